"""Records with the fields that a test does not name filled in."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from pipeline.formats.text import identity_hash
from pipeline.model import EdgeRecord, GatewayRecord, Timers

T0_US = 1_795_460_243_000_000
"""23 November 2026, 18:57:23 UTC."""


@pytest.fixture
def offsets() -> Callable[[], int]:
    """Give offsets as a bus would."""
    return itertools.count(1 << 40).__next__


@pytest.fixture
def edge(offsets: Callable[[], int]) -> Callable[..., EdgeRecord]:
    """Make an edge record; without a termination state it ended normally."""

    def make(request_id: str = "47c60cd1-c353-4d74-97a9-702ea38ece29", **fields: object) -> EdgeRecord:
        fields = {
            "offset": offsets(),
            "start_us": T0_US,
            "timers": Timers(0, 0, 0, 6, 0, 6, 0, 0),
            "status": 200,
            "termination": "----",
            "method": "GET",
            "path": "/open/0",
            "server": "kong1",
            "backend": "kong",
            "client_ip": "203.0.113.9",
        } | fields
        fields.setdefault(
            "rec_id", identity_hash(request_id, str(fields["start_us"]), fields.get("node") or "")
        )
        return EdgeRecord(request_id=request_id, **fields)

    return make


@pytest.fixture
def attempt(offsets: Callable[[], int]) -> Callable[..., GatewayRecord]:
    """Make a gateway record; `request_ids` may be one id."""

    def make(
        gateway_request_id: str | None = "b49d07081953ff3de3c0ed45db180067",
        request_ids: str | tuple[str, ...] = ("47c60cd1-c353-4d74-97a9-702ea38ece29",),
        **fields: object,
    ) -> GatewayRecord:
        ids = (request_ids,) if isinstance(request_ids, str) else request_ids
        fields = {
            "offset": offsets(),
            "started_us": T0_US + 1000,
            "status": 200,
            "source": "upstream",
            "method": "GET",
            "path": "/open/0",
            "kong_ms": 2.0,
            "proxy_ms": 3.0,
            "receive_ms": 1.0,
            "request_ms": 6.0,
            "client_ip": "203.0.113.9",
            "service": "main",
        } | fields
        fields.setdefault(
            "attempt_id", identity_hash(gateway_request_id or "", *ids, str(fields["started_us"]))
        )
        return GatewayRecord(gateway_request_id=gateway_request_id, request_ids=ids, **fields)

    return make

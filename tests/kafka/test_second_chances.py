"""Halves whose keys lie in different partitions find each other all the same."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from pipeline.bus.kafka.keys import gateway_key, key_of, partition_of

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

PARTITIONS = 4


def edge_line(request_id: str, gateway_id: str) -> bytes:
    now_us = time.time_ns() // 1000
    fields = {
        "v": "hap-req/1", "node": "edge-1", "pid": 7, "id": request_id, "kong_rid": gateway_id, "acc_us": now_us,
        "end_us": now_us + 9000, "ci": "192.0.2.1", "cp": 5000, "fe": "fe", "be": "kong", "srv": "kong1",
        "Th": 0, "Ti": 0, "TR": 0, "Tw": 0, "Tc": 1, "Tr": 8, "Td": 0, "Ta": 9, "st": 200, "ts": "----", "rc": "0",
        "m": "GET", "path": "/", "U": 100, "B": 200, "rt": 1,
    }  # fmt: skip
    return (
        b"<134>1 2026-01-01T00:00:00Z edge-1 haproxy 7 - - "
        + json.dumps(fields, separators=(",", ":")).encode()
    )


def entry(request_ids: object, gateway_id: str) -> bytes:
    request = {"id": gateway_id, "method": "GET", "uri": "/", "headers": {}}
    if request_ids is not None:
        request["headers"] = {"x-request-id": request_ids}
    return json.dumps(
        {
            "request": request,
            "response": {"status": 200},
            "started_at": time.time_ns() // 10**6,
            "latencies": {"kong": 1, "proxy": 7, "request": 8},
            "upstream_status": "200",
            "client_ip": "192.0.2.1",
        }
    ).encode()


def apart(wanted: bytes) -> str:
    """Make a request id of another partition than a key's."""
    while True:
        other = str(uuid.uuid4())
        if partition_of(key_of((other,), None), PARTITIONS) != partition_of(wanted, PARTITIONS):
            return other


def test_halves_in_different_partitions_meet_by_another_id_of_the_list_and_by_the_gateway_id(
    world: Any,
) -> None:
    """One entry's edge id is not its last; another has none, and the edge captured its gateway id."""
    world.start("join", ready=False)
    ingest = world.start("ingest")
    edge_id, gateway_id = str(uuid.uuid4()), uuid.uuid4().hex
    last = apart(key_of((edge_id,), None))
    ingest.send(edge_line(edge_id, "-"), edge_line(apart(gateway_key(gateway_id)), gateway_id))
    assert ingest.post(entry([edge_id, last], uuid.uuid4().hex)) == 200
    assert ingest.post(entry(None, gateway_id)) == 200
    world.wait(lambda rows: rows["haproxy"]["stored"] >= 2 and rows["kong"]["stored"] >= 2)
    world.until(lambda: outcomes(world) == ["complete"] * 2, "both halves of both have met")
    assert all(len(one["attempts"]) == 1 for one in world.lineages())
    rows = world.wait(bool)
    assert rows["haproxy"]["received"] == rows["haproxy"]["stored"] == 2
    assert rows["kong"]["received"] == rows["kong"]["stored"] == 2, "copies are in no account"


def outcomes(world: Any) -> list[str]:
    return [one["outcome"] for one in world.lineages()]

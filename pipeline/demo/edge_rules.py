"""The rules of `deploy/haproxy/haproxy.cfg` that a stand-in edge keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.demo.http1 import Headers, first

_DROP = re.compile(r"^\s*http-request\s+del-header\s+(\S+)(\s+-m\s+beg)?\s*$", re.MULTILINE)
_RETRIES = re.compile(r"^\s*retries\s+(\d+)", re.MULTILINE)


class EdgeRules(NamedTuple):
    """Read from the configuration."""

    dropped: frozenset[str]
    """Names of headers that a client may not send on."""
    dropped_prefixes: tuple[str, ...]
    pools: Mapping[str, str]
    """Backend by host, as in `maps/pool.map`."""
    retries: int

    def forwarded(
        self,
        headers: Headers,
        *,
        request_id: str,
        request_us: int,
        traceparent: str,
        client_ip: str,
        port: int,
        scheme: str = "http",
    ) -> list[tuple[str, str]]:
        """Give the headers for the gateway: the client's own without the dropped, then the edge's."""
        kept = [(name, value) for name, value in headers if not self._is_dropped(name)]
        return [
            *kept,
            ("x-request-id", request_id),
            ("x-request-start", f"t={request_us}"),
            ("traceparent", traceparent),
            ("x-forwarded-for", client_ip),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-port", str(port)),
            ("x-forwarded-host", first(headers, "host") or ""),
        ]

    def pool(self, host: str | None) -> str | None:
        """Give the pool that serves a host; None where there is none."""
        return self.pools.get((host or "").partition(":")[0].lower())

    def _is_dropped(self, name: str) -> bool:
        return name in self.dropped or name.startswith(self.dropped_prefixes)


def load_rules(config: Path) -> EdgeRules:
    """Read `haproxy.cfg` and the map beside it."""
    source = config.read_text(encoding="utf-8")
    found = _DROP.findall(source)
    pool_map = (config.parent / "maps" / "pool.map").read_text(encoding="utf-8")
    pools = dict(line.split()[:2] for line in pool_map.splitlines() if line.strip() and line[0] != "#")
    retries = _RETRIES.search(source)
    return EdgeRules(
        dropped=frozenset(name for name, prefix in found if not prefix),
        dropped_prefixes=tuple(name for name, prefix in found if prefix),
        pools=pools,
        retries=int(retries[1]) if retries else 3,
    )

"""Memory of halves that wait: 500,000 edge and 500,000 gateway records, none of which finds its other half."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

from pipeline.formats.text import identity_hash
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import EdgeRecord, GatewayRecord, Timers, Try

EACH = int(os.environ.get("EACH", "500000"))
AT_ONCE = 1000
START_US = 1_795_460_243_000_000


def main() -> None:
    """Print bytes for each kind of half, and the whole process's peak."""
    joiner = Joiner(JoinLimits(30 * 10**9, 10**9, 64))
    before = _resident()
    _hold(joiner, _edge)
    edges = _resident()
    _hold(joiner, _attempt)
    attempts = _resident()
    if joiner.pending != 2 * EACH:
        raise SystemExit(f"{joiner.pending} halves wait, not {2 * EACH}")
    print(f"edge half       {(edges - before) / EACH:7.0f} bytes, key included")
    print(f"gateway half    {(attempts - edges) / EACH:7.0f} bytes, key included")
    print(f"estimated       {joiner.pending_bytes / 2**30:7.2f} GiB by `hoptrail_join_pending_bytes`")
    print(
        f"whole process   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:7.2f} GiB at its peak"
    )


def _hold(joiner: Joiner, make: Callable[[int], EdgeRecord | GatewayRecord]) -> None:
    """Let records wait as the engine does: some at once, with one stamp, and then a look at the time."""
    arrival_ns = START_US * 1000
    for first in range(0, EACH, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, EACH)):
            joiner.add(make(number), arrival_ns)
        joiner.due(arrival_ns)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _edge(n: int) -> EdgeRecord:
    return EdgeRecord(
        rec_id=identity_hash(str(n)), offset=(1 << 40) + n, request_id=f"edge0000-0000-4000-8000-{n:012}",
        start_us=START_US, gateway_request_id=f"{n:032x}", traceparent=f"00-{n:032x}-{n:016x}-01",
        request_start_us=START_US, end_us=START_US + 9000, node="edge-1", pid=7, log_counter=n, frontend="edge",
        backend="kong_blue", server="blue1", server_ip="10.0.0.2", server_port=8000, client_ip="203.0.113.9",
        client_port=40_000, timers=Timers(0, 0, 1, 5, 1, 7, 0, 0), status=200, termination="----", request_bytes=310,
        response_bytes=778, method="GET", scheme="https", host="api.example.com", path=f"/orders/{n}", query="page=2",
        http_version="2", user_agent="shop-ios/4.2", tls_version="TLSv1.3", tls_cipher="TLS_AES_256_GCM_SHA384",
        tls_sni="api.example.com", pool="kong_blue",
    )  # fmt: skip


def _attempt(n: int) -> GatewayRecord:
    request_id = f"gate0000-0000-4000-8000-{n:012}"
    return GatewayRecord(
        attempt_id=identity_hash("a", str(n)), offset=(1 << 41) + n, request_ids=(request_id,), started_us=START_US,
        gateway_request_id=f"f{n:031x}", correlation_id=request_id, traceparent=f"00-{n:032x}-{n:016x}-01",
        request_start_us=START_US, node="10.0.0.2", kong_ms=2, proxy_ms=3, receive_ms=1, request_ms=6, status=200,
        source="upstream", method="GET", scheme="http", host="api.example.com", path=f"/orders/{n}", query="page=2",
        user_agent="shop-ios/4.2", upstream_uri=f"/{n}?page=2", upstream_status=("200",), request_bytes=310,
        response_bytes=818, client_ip="203.0.113.9", service="main", service_id="8027b672-cb4d-5059-bc59-7d67b683008e",
        route="open", route_id="367bdb48-b987-54a4-b618-b350391e1597", workspace="default",
        consumer_id="b32379d9-3d28-5683-a79c-72139be6e34f", consumer_name="alice", custom_id="cust-alice",
        credential_id="4da65aae-fc3a-41ab-a473-2ba026934d54",
        tries=(Try("10.0.3.4", 8080, None, None, START_US, 0.01),),
    )  # fmt: skip


if __name__ == "__main__":
    main()

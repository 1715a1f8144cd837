"""What one writes in an afternoon: `orjson`, a dict by request id, rows through `clickhouse-connect`.

    python benchmarks/plain_ways.py flat|ours EDGE KONG DIRECTORY

`flat` makes a table of its own of 61 columns, the joined fields as they are. `ours` fills our table, every column
that we write, from the same fields. Neither knows redaction, hostile bytes, retries, halves that are missing or
late, reasons, verdicts, proof, windows (all edge records are in memory at once), nor keeps an account of what came;
`flat` does not sync to disk either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import orjson

_BATCH = 20_000

_TEXTS = [
    "id",
    "tp",
    "node",
    "fe",
    "be",
    "srv",
    "si",
    "m",
    "host",
    "path",
    "q",
    "hv",
    "ua",
    "ts",
    "c_rid",
    "c_tp",
    "tls",
    "cph",
    "sni",
    "pool",
    "kong_rid",
]
_WORDS = frozenset(["node", "fe", "be", "srv", "m", "host", "ts"])
_TIMERS = ["Th", "Ti", "TR", "Tw", "Tc", "Tr", "Td"]
_NUMBERS = ["Ta", "B", "U", "cp", "sp", "end_us"]
_KONG = {
    "k_id": "String", "k_started": "DateTime64(3, 'UTC')", "k_status": "UInt16", "k_source": "String",
    "k_kong": "Float64", "k_proxy": "Float64", "k_receive": "Float64", "k_request": "Float64", "k_uri": "String",
    "k_up": "String", "k_client": "IPv6", "k_service": "LowCardinality(String)", "k_service_id": "String",
    "k_route": "LowCardinality(String)", "k_route_id": "String", "k_workspace": "String", "k_consumer": "String",
    "k_consumer_id": "String", "k_custom": "String", "k_credential": "String", "k_tries": "Array(Tuple(String, UInt16))",
}  # fmt: skip
FLAT = (
    {name: "LowCardinality(String)" if name in _WORDS else "String" for name in _TEXTS}
    | {"pid": "UInt32", "lc": "UInt64", "rt": "UInt64", "ci": "IPv6", "st": "UInt16"}
    | dict.fromkeys(_TIMERS, "Int64")
    | dict.fromkeys(_NUMBERS, "Int64")
    | {"start": "DateTime64(6, 'UTC')"}
    | _KONG
)
"""Columns of the flat table."""
_AS_LOGGED = [*_TEXTS, "pid", "lc", "rt", "ci", "st", *_TIMERS]

_REQUEST, _WHO = "two['request']", "two['consumer']"
_START = "int(one['req_us'])"
OURS = {
    "bucket": "datetime.fromtimestamp(int(one['req_us']) // 10**6, UTC)",
    "request_id": "one['id']", "rec_id": "hash(one['id']) & (2**63 - 1)", "rev": "5", "outcome": "'complete'",
    "match": "'proven'", "final": "True", "delivered": "0", "trace_id": "one['tp'][3:35]",
    "trace_id_source": "'edge'", "identity.kind": "'consumer'", "identity.consumer_id": f"{_WHO}['id']",
    "identity.consumer_name": f"{_WHO}['username']", "identity.custom_id": f"{_WHO}['custom_id']",
    "identity.credential_id": "two['authenticated_entity']['id']", "identity.proof": "'kong.consumer'",
    "verdict.domain": "'ok'", "verdict.code": "'ok'", "verdict.text": "f'Answered {one[\"st\"]}.'",
    "has_edge": "True", "edge.start_us": _START, "edge.gateway_request_id": "one['kong_rid']",
    "edge.traceparent": "one['tp']", "edge.request_start_us": _START,
    "edge.end_us": "int(one['end_us'])", "edge.node": "one['node']",
    "edge.pid": "one['pid']", "edge.log_counter": "one['lc']", "edge.frontend": "one['fe']",
    "edge.backend": "one['be']", "edge.server": "one['srv']", "edge.server_ip": "one['si']",
    "edge.server_port": "int(one['sp'])", "edge.client_ip": "one['ci']", "edge.client_port": "int(one['cp'])",
    **{f"edge.timers.{name}": f"one['{name}']" for name in _TIMERS}, "edge.timers.Ta": "int(one['Ta'])",
    "edge.status": "one['st']", "edge.termination": "one['ts']", "edge.request_bytes": "int(one['U'])",
    "edge.response_bytes": "int(one['B'])", "edge.method": "one['m']", "edge.scheme": "'https'",
    "edge.host": "one['host']", "edge.path": "one['path']", "edge.query": "one['q']",
    "edge.http_version": "one['hv']", "edge.user_agent": "one['ua']", "edge.tls.version": "one['tls']",
    "edge.tls.cipher": "one['cph']", "edge.tls.sni": "one['sni']", "edge.pool": "one['pool']",
    "attempts.attempt_id": f"hash({_REQUEST}['id']) & (2**63 - 1)",
    "attempts.request_ids": f"[{_REQUEST}['headers']['x-request-id']]",
    "attempts.started_us": "two['started_at'] * 1000",
    "attempts.gateway_request_id": f"{_REQUEST}['id']", "attempts.correlation_id": "two['correlation_id']",
    "attempts.traceparent": f"{_REQUEST}['headers']['traceparent']", "attempts.request_start_us": _START,
    **{f"attempts.latencies.{name}": f"two['latencies']['{name}']" for name in ("kong", "proxy", "receive", "request")},
    "attempts.status": "two['response']['status']", "attempts.source": "two['source']",
    "attempts.method": f"{_REQUEST}['method']", "attempts.host": f"{_REQUEST}['headers']['host']",
    "attempts.path": f"{_REQUEST}['uri'].partition('?')[0]", "attempts.query": f"{_REQUEST}['uri'].partition('?')[2]",
    "attempts.user_agent": f"{_REQUEST}['headers']['user-agent']", "attempts.upstream_uri": "two['upstream_uri']",
    "attempts.upstream_status": "[two['upstream_status']]", "attempts.request_bytes": f"{_REQUEST}['size']",
    "attempts.response_bytes": "two['response']['size']", "attempts.client_ip": "two['client_ip']",
    "attempts.service": "two['service']['name']", "attempts.service_id": "two['service']['id']",
    "attempts.route": "two['route']['name']", "attempts.route_id": "two['route']['id']",
    "attempts.workspace": "two['workspace']", "attempts.consumer_id": f"{_WHO}['id']",
    "attempts.consumer_name": f"{_WHO}['username']", "attempts.custom_id": f"{_WHO}['custom_id']",
    "attempts.credential_id": "two['authenticated_entity']['id']",
    "tries.ip": "two['tries'][0]['ip']", "tries.port": "two['tries'][0]['port']",
    "tries.started_us": "two['tries'][0]['balancer_start'] * 1000",
    "tries.balancer_ms": "two['tries'][0]['balancer_latency']",
}  # fmt: skip
"""Where the columns of our table come from: expressions over an edge line `one` and a Kong entry `two`."""


def main() -> None:
    """Do the work of `hoptrail replay`, as far as it goes."""
    way, edge, kong, directory = sys.argv[1:]
    row_of: Callable[[Any, Any], list[Any]]
    if way == "flat":
        client = clickhouse_connect.get_client(dsn=f"chdb://{directory}")
        columns = ", ".join(f"{name} {kind}" for name, kind in FLAT.items())
        client.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY (start, id)")
        table, names, row_of = "t", list(FLAT), _flat_row
    else:
        client, names, row_of = _ours(directory)
        table = "lineage_rows"
    rows = []
    for one, two in _pairs(edge, kong):
        rows.append(row_of(one, two))
        if len(rows) == _BATCH:
            client.insert(table, rows, column_names=names)
            rows = []
    if rows:
        client.insert(table, rows, column_names=names)
    client.close()


def _ours(directory: str) -> tuple[Any, list[str], Callable[[Any, Any], list[Any]]]:
    """Make an empty store of ours; gives the client, the columns, and what makes a row of them."""
    from pipeline.store import schema  # noqa: PLC0415 -- the flat way is not to load any of ours
    from pipeline.store.connection import connect  # noqa: PLC0415
    from pipeline.store.dsn import parse_dsn  # noqa: PLC0415
    from pipeline.store.statements import table_columns  # noqa: PLC0415

    connection = connect(parse_dsn(f"chdb://{directory}"), create=True)
    schema.apply(connection, embedded=True)
    names = list(table_columns())
    text = f"lambda one, two: [{', '.join(_values(names))}]"
    row_of = eval(text, {"datetime": datetime, "UTC": UTC})  # noqa: S307 -- our own text
    return connection.client, names, row_of


def _values(names: list[str]) -> Iterator[str]:
    """Give the values of our table's columns, Python."""
    from pipeline.store.columns import ATTEMPT, ROW, TRY  # noqa: PLC0415
    from pipeline.store.statements import STORED_EDGE  # noqa: PLC0415

    row = {column.name: OURS.get(column.name) or _nothing(column.kind.stored) for column in ROW}
    edge = [_element("edge", column) for column in STORED_EDGE if not column.field.startswith("timers.")]
    timers = [_element("edge", column) for column in STORED_EDGE if column.field.startswith("timers.")]
    place = next(n for n, column in enumerate(STORED_EDGE) if column.field.startswith("timers."))
    edge.insert(place, f"({', '.join(timers)})")
    tried = f"[({', '.join(_element('tries', column) for column in TRY)})]"
    attempt = [tried if column.field == "tries" else _element("attempts", column) for column in ATTEMPT]
    tuples = {"edge": f"({', '.join(edge)})", "attempts": f"[({', '.join(attempt)})]"}
    yield from (row.get(name) or tuples.get(name) or OURS[name] for name in names)


def _element(of: str, column: Any) -> str:  # noqa: ANN401 -- the flat way is not to load our types
    return OURS.get(f"{of}.{column.name}") or _nothing(column.kind.stored)


def _nothing(kind: str) -> str:
    """Give a value that says nothing, for a column that the plain way has nothing for."""
    if kind.startswith("Nullable"):
        return "None"
    if kind.startswith("Array"):
        return "[]"
    if kind.startswith("Map"):
        return "{}"
    return "''" if "String" in kind else "0"


def _pairs(edge: str, kong: str) -> Iterator[tuple[Any, Any]]:
    halves = {}
    with open(edge, "rb") as lines:  # noqa: PTH123 -- as one writes it
        for line in lines:
            one = orjson.loads(line[line.index(b"{") :])
            halves[one["id"]] = one
    with open(kong, "rb") as lines:  # noqa: PTH123
        for line in lines:
            two = orjson.loads(line)
            yield halves.pop(two["request"]["headers"]["x-request-id"]), two


def _flat_row(one: Any, two: Any) -> list[Any]:  # noqa: ANN401 -- JSON
    times, who = two["latencies"], two.get("consumer", {})
    return [
        *[one[name] for name in _AS_LOGGED],
        *[int(one[name]) for name in _NUMBERS],
        datetime.fromtimestamp(int(one["req_us"]) / 1e6, UTC),
        two["request"]["id"],
        datetime.fromtimestamp(two["started_at"] / 1e3, UTC),
        two["response"]["status"],
        two["source"],
        times["kong"],
        times["proxy"],
        times["receive"],
        times["request"],
        two["upstream_uri"],
        two["upstream_status"],
        two["client_ip"],
        two["service"]["name"],
        two["service"]["id"],
        two["route"]["name"],
        two["route"]["id"],
        two["workspace"],
        who.get("username", ""),
        who.get("id", ""),
        who.get("custom_id", ""),
        two.get("authenticated_entity", {}).get("id", ""),
        [(tried["ip"], tried["port"]) for tried in two["tries"]],
    ]


if __name__ == "__main__":
    main()

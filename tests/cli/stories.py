"""Stories told record by record: lineages that show one thing each."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers, Try

START_US = 1_795_460_671_817_000
"""2026-11-23T19:04:31.817Z"""
REQUEST_ID = "afb64c9d-5ac6-42be-8697-9b1aa9ea1383"


def tell() -> dict[str, Lineage]:
    """Give lineages that show one thing each."""
    nobody = {"consumer_id": None, "consumer_name": None, "custom_id": None, "credential_id": None}
    twice = [_edge(), _edge(rec_id=2, start_us=START_US + 5_000_000, client_port=4)]
    storm = {"status": 502, "source": "kong", "tries": _attempt(1).tries * 25, "upstream_status": ()}
    return {
        "retried": _retried(),
        "denied": _denied(),
        "bypassed": _only(attempts=[_attempt(1, request_ids=(), client_ip="10.9.9.9", **nobody)]),
        "conflict": _only(_edge(gateway_request_id="9" * 32), [_attempt(3)]),
        "reused": resolve(twice, [_attempt(3)])[1],
        "hostile": _hostile(),
        "lost": _only(_edge()),
        "storm": _only(
            _edge(status=502, termination="SH--", gateway_request_id=None), [_attempt(1, **storm)]
        ),
    }


def _edge(**changed: object) -> EdgeRecord:
    """Give an edge record of a request that went well, with some fields changed."""
    fields: dict[str, object] = {
        "rec_id": 1,
        "offset": 0,
        "request_id": REQUEST_ID,
        "start_us": START_US,
        "gateway_request_id": "3" * 32,
        "traceparent": "00-afb64c9d5ac642be86979b1aa9ea1383-5fa2ac07c3c4f0aa-01",
        "node": "lb-1",
        "pid": 4711,
        "log_counter": 1201,
        "frontend": "fe_public",
        "backend": "kong",
        "server": "k2",
        "server_ip": "10.0.2.2",
        "server_port": 8000,
        "client_ip": "203.0.113.9",
        "client_port": 51_234,
        "timers": Timers(TR=0, Tw=1, Tc=2, Tr=41, Td=1, Ta=45, Th=3, Ti=0),
        "status": 200,
        "termination": "----",
        "request_bytes": 812,
        "response_bytes": 1930,
        "method": "GET",
        "scheme": "https",
        "host": "api.example.com",
        "path": "/v1/charge",
        "http_version": "2",
        "user_agent": "billing/2.4",
        "tls_version": "TLSv1.3",
        "pool": "green",
    }
    return EdgeRecord(**{**fields, **changed})  # type: ignore[arg-type] # checked by msgspec's own types


def _attempt(number: int, **changed: object) -> GatewayRecord:
    """Give an attempt of a request that went well, with some fields changed."""
    fields: dict[str, object] = {
        "attempt_id": number,
        "offset": 0,
        "request_ids": (REQUEST_ID,),
        "started_us": START_US + 2_000 * number,
        "gateway_request_id": str(number) * 32,
        "node": f"10.0.2.{number}",
        "kong_ms": 2.0,
        "proxy_ms": 38.0,
        "receive_ms": 1.0,
        "request_ms": 41.0,
        "status": 200,
        "source": "upstream",
        "method": "GET",
        "client_ip": "203.0.113.9",
        "service": "payments",
        "route": "charge",
        "workspace": "default",
        "upstream_uri": "/charge",
        "upstream_status": ("200",),
        "consumer_id": "0b6f3d0e-6f0a-4e5e-9b5d-5b1b7f0c2a11",
        "consumer_name": "billing-bot",
        "custom_id": "svc-77",
        "credential_id": "62eb165c-070d-4c0c-9d8f-8f6f5b6f1d10",
        "tries": (Try("10.0.3.5", 8080, None, None, START_US + 3_000, 0.02),),
    }
    return GatewayRecord(**{**fields, **changed})  # type: ignore[arg-type] # checked by msgspec's own types


ODD_ID = "0192f0c1-odd0-7000-8000-000000000003"
LATE_ID = "0192f0c1-late-7000-8000-000000000004"
"""An edge record came late; the tombstone of the orphan that it absorbed is not written yet."""
TWIN_ID = "0192f0c1-twin-7000-8000-000000000002"
"""A request id that two edge records carry."""


def told_for_the_store() -> list[Lineage]:
    """Give lineages that only a store needs: two under one id, odd values, an orphan that was absorbed."""
    bare = {"request_id": TWIN_ID, "traceparent": None, "gateway_request_id": None}
    odd = _only(_edge(**{**bare, "request_id": ODD_ID}, path="/a_b/100%\\x", client_ip="::ffff:203.0.113.9"))
    twins = resolve([_edge(**bare), _edge(**bare, rec_id=2, start_us=START_US + 1_000_000)], [])
    late = _edge(**{**bare, "request_id": LATE_ID})
    early = _attempt(5, request_ids=(LATE_ID,))
    return [*twins, odd, _only(attempts=[early]), _only(late, [early])]


def _only(edge: EdgeRecord | None = None, attempts: Iterable[GatewayRecord] = ()) -> Lineage:
    (lineage,) = resolve([edge] if edge else [], list(attempts))
    return lineage


def _denied() -> Lineage:
    """Tell of a partner with a verified certificate that a rule of the edge turned away."""
    unreached = {"gateway_request_id": None, "server": None, "server_ip": None, "server_port": None}
    return _only(
        _edge(
            **unreached,
            status=403,
            termination="PR--",
            timers=Timers(TR=0, Ta=0),
            path="/admin",
            tls_client_verify="0",
            tls_client_dn="/O=Partner/CN=robot-7",
            traceparent=None,
        )
    )


def _retried() -> Lineage:
    """Tell of a payment that was sent three times, twice as far as an upstream."""
    tries = (
        Try("10.0.3.4", 8080, "failed", 504, START_US + 8_000, 0.02),
        Try("10.0.3.5", 8080, None, None, START_US + 1_008_000, 0.02),
    )
    by_kong = {"source": "kong", "status": 503, "proxy_ms": None, "kong_ms": 0.4, "request_ms": 0.4}
    by_upstream = {"status": 503, "request_ms": 3.1, "proxy_ms": 3.0, "upstream_status": ("503",)}
    at_last = {"request_ms": 1041.0, "proxy_ms": 1038.0, "upstream_status": ("504", "200"), "tries": tries}
    attempts = [
        _attempt(1, method="POST", **{**by_kong, "tries": (), "upstream_status": ()}),
        _attempt(2, method="POST", **by_upstream),
        _attempt(3, method="POST", **at_last),
    ]
    timers = Timers(TR=0, Tw=1, Tc=6, Tr=1042, Td=1, Ta=1050, Th=3, Ti=0)
    return _only(_edge(timers=timers, method="POST", retries=2, redispatched=True, query="n=774"), attempts)


EVIL = "\x1b[2J\x1b]0;owned\x07[bold red]x[/]\u202egnp.exe\x9b31m\u2028\r\nforged line"
"""Wants to rule whoever looks: a terminal, rich's markup, the reading direction, the next line."""


def _hostile() -> Lineage:
    edge = _edge(
        path=f"/{EVIL}",
        query="a=" + "9" * 8000,
        user_agent=f"=cmd|'/c calc'!A0{EVIL}",
        host=EVIL,
        method="GE\x07T",
        frontend="fe\x1b[31m",
        claimed_request_id=f"evil{EVIL}",
        error=EVIL,
        pool=EVIL,
        flags=("control_chars",),
    )
    evil = dict.fromkeys(("service", "route", "upstream_uri", "consumer_name", "node", "source"), EVIL)
    return _only(edge, [_attempt(3, **evil)])

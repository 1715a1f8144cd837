"""The back-dated history: the same for the same seed, and such as HAProxy and Kong would have written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest

from pipeline.demo.declared import Declared
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import load_rules
from pipeline.demo.history import EDGE_NODES, Logged, history
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeRecord, GatewayRecord
from pipeline.resources import resource

END_US = 1_795_552_124_018_000
SPAN_S = 6 * 3600
REDACTOR = Redactor(b"a key of the tests alone")


def told(declared: Declared, seed: int = 1, count: int = 2000, end_us: int = END_US) -> list[Logged]:
    config = resource("deploy/haproxy/haproxy.cfg")
    lines = {node: EdgeLines(config, node) for node in EDGE_NODES}
    rules = load_rules(config)
    return list(
        history(
            seed=seed, end_us=end_us, span_s=SPAN_S, count=count, declared=declared, rules=rules, lines=lines
        )
    )


def edge_records(logged: Iterable[Logged]) -> list[EdgeRecord]:
    parser = HaproxyParser(redactor=REDACTOR)
    found = [
        parser.parse(one.edge_line, offset=0, arrival_ns=0, peer="")
        for one in logged
        if one.edge_line is not None
    ]
    assert all(isinstance(record, EdgeRecord) for record in found)
    return [record for record in found if isinstance(record, EdgeRecord)]


def gateway_records(logged: Iterable[Logged]) -> list[GatewayRecord]:
    parser = KongParser(redactor=REDACTOR)
    found = [parser.parse(entry, offset=0, arrival_ns=0, peer="") for one in logged for entry in one.entries]
    return [record for record in found if isinstance(record, GatewayRecord)]


def test_the_same_seed_and_end_give_the_same_bytes(declared: Declared) -> None:
    assert told(declared, count=300) == told(declared, count=300)


def test_another_seed_gives_other_requests(declared: Declared) -> None:
    ids = [{one.request_id for one in told(declared, seed, 300)} - {""} for seed in (1, 2)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_kind_of_trouble_comes_in_a_demos_history(declared: Declared, seed: int) -> None:
    logged = told(declared, seed, 3000)
    edges = edge_records(logged)
    statuses = Counter(edge.status for edge in edges)
    assert {200, 400, 401, 404, 421, 429, 500, 504} <= statuses.keys()
    assert statuses[200] > 0.9 * len(edges)
    assert any(edge.retries for edge in edges)
    assert any(edge.claimed_request_id for edge in edges)
    assert any(len(attempt.tries) > 1 for attempt in gateway_records(logged))
    assert any(not one.entries and one.edge_line for one in logged), "no gateway half is missing"
    assert any(one.entries and one.edge_line is None and one.request_id for one in logged), (
        "no edge line lost"
    )
    assert any(not one.request_id for one in logged), "none went past the edge"


def test_all_lies_in_the_span_and_in_the_order_of_the_edges_log(declared: Declared) -> None:
    edges = edge_records(told(declared))
    assert all(END_US - SPAN_S * 1_000_000 <= edge.start_us < END_US for edge in edges)
    ends = [edge.end_us for edge in edges if edge.end_us is not None]
    assert len(ends) == len(edges)
    assert all(one <= other for one, other in pairwise(ends))


def test_both_halves_of_a_request_agree(declared: Declared) -> None:
    compared = 0
    for one in told(declared):
        if one.edge_line is None or not one.entries:
            continue
        (edge,), attempts = edge_records([one]), gateway_records([one])
        last = attempts[-1]
        assert {attempt.request_ids for attempt in attempts} == {(edge.request_id,)}
        assert {attempt.request_start_us for attempt in attempts} == {edge.request_start_us}
        assert {attempt.traceparent for attempt in attempts} == {edge.traceparent}
        assert {attempt.client_ip for attempt in attempts} == {edge.client_ip}
        assert {attempt.path for attempt in attempts} == {edge.path}
        assert edge.retries == len(attempts) - 1
        if last.status != 499:
            assert (edge.gateway_request_id, edge.status) == (last.gateway_request_id, last.status)
        assert edge.end_us is not None
        for attempt in attempts:
            assert attempt.started_us + 1000 > edge.start_us
            assert attempt.started_us + int((attempt.request_ms or 0) * 1000) <= edge.end_us
        compared += 1
    assert compared > 1900


def test_the_edges_timers_sum_to_the_active_time(declared: Declared) -> None:
    for edge in edge_records(told(declared, count=500)):
        timers = edge.timers
        if edge.termination == "----":
            parts = [timers.TR, timers.Tw, timers.Tc, timers.Tr, timers.Td]
            assert None not in parts
            assert sum(part or 0 for part in parts) == timers.Ta


def test_log_counters_have_gaps_where_lines_were_lost_and_only_there(declared: Declared) -> None:
    logged = told(declared, count=3000)
    lost = sum(one.edge_line is None and bool(one.request_id) for one in logged)
    gaps = 0
    for node in EDGE_NODES:
        counters = [edge.log_counter for edge in edge_records(logged) if edge.node == node]
        gaps += sum(after - before - 1 for before, after in pairwise(counter or 0 for counter in counters))
    assert lost > 0
    assert gaps == lost


def test_the_day_is_busier_than_the_night(declared: Declared) -> None:
    day = 1_795_552_124_018_000 // 86_400_000_000 * 86_400_000_000
    busy = told(declared, count=1000, end_us=day + 17 * 3_600_000_000)  # 11:00 to 17:00
    hours = Counter((edge.start_us - day) // 3_600_000_000 for edge in edge_records(busy))
    quiet = told(declared, count=1000, end_us=day + 8 * 3_600_000_000)  # 02:00 to 08:00
    night = Counter((edge.start_us - day) // 3_600_000_000 for edge in edge_records(quiet))
    assert max(hours.values()) < 2 * min(hours.values())
    assert night[7] > 2 * night[2]


def test_no_key_of_a_consumer_is_in_any_entry(declared: Declared) -> None:
    entries = b"".join(entry for one in told(declared, count=500) for entry in one.entries)
    for secret in (b"mobile-key", b"acme-key", b"signing-secret", b"log-secret"):
        assert secret not in entries
    assert all(
        "apikey" not in json.loads(entry)["request"]["headers"]
        for entry in told(declared, count=50)[7].entries
    )

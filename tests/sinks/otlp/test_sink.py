"""What the engine's rows say of their spans is what went into the queue: all of it, once, and never more."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import force_setattr
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.join.group import Group
from pipeline.join.settle import Settled, settle
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, SpanRecord, Timers
from pipeline.sinks.otlp.queue import QueueInlet, SpanQueue
from pipeline.sinks.otlp.sink import SpanSink
from pipeline.spans import SamplingRules, Spans, SpanSettings
from pipeline.spans.waiting import DROPPED, QUEUE_FULL, SENT

TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUEST_ID = "47c60cd1-3b7a-4e1c-8f2d-0a1b2c3d4e5f"
KEEP_ALL, KEEP_NONE = SamplingRules(), SamplingRules(share=0.0)


def edge(number: int = 0, **fields: Any) -> EdgeRecord:
    usual = {
        "rec_id": 7 + number,
        "offset": 10 + number,
        "request_id": REQUEST_ID if not number else f"{REQUEST_ID}#{number}",
        "start_us": 1_795_460_243_518_000,
        "traceparent": f"00-{TRACE[:-4]}{number:04x}-b7ad6b7169203331-01",
        "timers": Timers(TR=0, Tw=0, Tc=1, Tr=20, Td=1, Ta=22),
        "status": 200,
        "termination": "----",
        "method": "GET",
        "path": "/",
    }
    return EdgeRecord(**{**usual, **fields})


def attempt(**fields: Any) -> GatewayRecord:
    usual = {
        "attempt_id": 99,
        "offset": 5000,
        "request_ids": (REQUEST_ID,),
        "started_us": 1_795_460_243_520_000,
        "gateway_request_id": "b49d0708a1b2c3d4e5f60718293a4b5c",
        "traceparent": f"00-{TRACE[:-4]}0000-b7ad6b7169203331-01",
        "status": 200,
        "request_ms": 19.0,
    }
    return GatewayRecord(**{**usual, **fields})


def closed(
    *records: EdgeRecord | GatewayRecord, stored: tuple[Lineage, ...] = (), how: str = "window"
) -> Settled:
    edges = [one for one in records if isinstance(one, EdgeRecord)]
    attempts = [one for one in records if isinstance(one, GatewayRecord)]
    return settle(Group(edges, attempts, how, look_up=bool(stored)), stored)


def sink(queue: SpanQueue, rules: SamplingRules = KEEP_ALL, **settings: Any) -> SpanSink:
    return SpanSink(QueueInlet(queue), Spans(SpanSettings(**settings)), rules)


def drained(queue: SpanQueue) -> list[tuple[str, str]]:
    """Take everything out of a queue: span ids with their parents'."""
    found = []
    while (stored := queue.first(0)) is not None:
        queue.done(stored, {(SENT, ""): stored.frame.spans})
        read = ExportTraceServiceRequest.FromString(stored.frame.body)
        found += [
            (span.span_id.hex(), span.parent_span_id.hex())
            for group in read.resource_spans
            for span in group.scope_spans[0].spans
        ]
    return found


async def test_a_row_says_why_and_how_many_spans_were_sent(queue: SpanQueue) -> None:
    one = closed(edge(), attempt())
    await sink(queue).keep([one])
    assert one.lineages[0].spans == SpanRecord("share", 3, None)
    assert len(drained(queue)) == 3


async def test_a_row_whose_spans_are_not_sent_says_so(queue: SpanQueue) -> None:
    one = closed(edge(), attempt())
    keeper = sink(queue, KEEP_NONE)
    await keeper.keep([one])
    assert one.lineages[0].spans == SpanRecord("dropped", 0, None)
    assert queue.account().received == 0
    assert keeper.decided == {"dropped": 1}


async def test_a_late_half_sends_only_what_is_missing(queue: SpanQueue) -> None:
    keeper = sink(queue)
    first = closed(attempt())
    await keeper.keep([first])
    ((gateway, parent),) = drained(queue)
    late = closed(edge(), stored=tuple(first.lineages))
    await keeper.keep([late])
    assert drained(queue) == [("b7ad6b7169203331", ""), (parent, "b7ad6b7169203331")]
    row = next(row for row in late.lineages if not row.is_deleted)
    assert row.spans == SpanRecord("share", 3, None)
    assert gateway != parent


async def test_a_decision_to_send_is_never_taken_back(queue: SpanQueue) -> None:
    first = closed(attempt(status=503))
    await sink(queue, KEEP_NONE).keep([first])
    assert first.lineages[0].spans.decision == "error"
    late = closed(edge(), stored=tuple(first.lineages))
    await sink(queue, KEEP_NONE._replace(errors=False)).keep([late])
    assert [row.spans.decision for row in late.lineages if not row.is_deleted] == ["error"]
    assert len(drained(queue)) == 3


async def test_what_was_dropped_is_sent_whole_when_a_late_half_makes_it_worth_it(queue: SpanQueue) -> None:
    keeper = sink(queue, KEEP_NONE)
    first = closed(attempt())
    await keeper.keep([first])
    assert queue.account().received == 0
    late = closed(edge(status=502, termination="SH--"), stored=tuple(first.lineages))
    await keeper.keep([late])
    assert len(drained(queue)) == 3
    assert keeper.decided == {"dropped": 1, "error": 1}


async def test_a_redelivery_changes_no_row_and_sends_nothing(queue: SpanQueue) -> None:
    keeper = sink(queue)
    first = closed(edge(), attempt())
    await keeper.keep([first])
    drained(queue)
    again = closed(edge(), attempt(), stored=tuple(first.lineages))
    await keeper.keep([again])
    assert again.lineages == []
    assert drained(queue) == []


async def test_spans_of_other_settings_are_sent_again_whole(queue: SpanQueue) -> None:
    first = closed(attempt())
    await sink(queue, gateway_spans="never").keep([first])
    assert drained(queue) == []
    late = closed(edge(), stored=tuple(first.lineages))
    await sink(queue, gateway_spans="always").keep([late])
    assert len(drained(queue)) == 3


async def test_what_still_waits_is_decided_when_it_is_closed(queue: SpanQueue) -> None:
    keeper = sink(queue)
    shown = closed(edge(), how="pending")
    await keeper.keep([], [shown])
    assert shown.lineages[0].spans == SpanRecord()
    assert drained(queue) == []
    whole = closed(edge(), attempt(), stored=tuple(shown.lineages))
    await keeper.keep([whole])
    assert len(drained(queue)) == 3


async def test_two_halves_of_one_batch_are_sent_once(queue: SpanQueue) -> None:
    first = closed(attempt())
    late = closed(edge(), stored=tuple(first.lineages))
    await sink(queue).keep([first, late])
    ids = [span for span, _ in drained(queue)]
    assert len(ids) == len(set(ids)) == 3


async def test_what_does_not_fit_is_counted_and_its_row_says_that_nothing_was_sent(tmp_path: Path) -> None:
    queue = SpanQueue(tmp_path / "small.db", 4000)
    groups = [closed(edge(number)) for number in range(40)]
    await sink(queue).keep(groups)
    account = queue.account()
    rows = [group.lineages[0] for group in groups]
    assert {row.spans.decision for row in rows} == {"share"}
    assert sum(row.spans.sent for row in rows) == account.queued > 0
    assert account.fates == {(DROPPED, QUEUE_FULL): 40 - account.queued}
    assert len(drained(queue)) == account.queued
    queue.close()


async def test_a_full_disk_is_counted_and_no_row_says_that_spans_were_sent(queue: SpanQueue) -> None:
    queue._database.execute("PRAGMA query_only = ON")
    groups = [closed(edge(number)) for number in range(3)]
    await sink(queue).keep(groups)
    assert [group.lineages[0].spans for group in groups] == [SpanRecord("share", 0, None)] * 3
    assert queue.account().fates == {(DROPPED, "disk_error"): 3}


async def test_the_callers_span_is_in_the_row(queue: SpanQueue) -> None:
    caller = f"00-{TRACE[:-4]}0000-00f067aa0ba902b7-01"
    one = closed(edge(claimed_traceparent=caller))
    await sink(queue, context="continue").keep([one])
    assert one.lineages[0].spans == SpanRecord("share", 1, "00f067aa0ba902b7")


@pytest.mark.parametrize("rules", [KEEP_ALL, KEEP_NONE])
async def test_a_tombstone_has_no_spans(queue: SpanQueue, rules: SamplingRules) -> None:
    first = closed(attempt())
    await sink(queue, rules).keep([first])
    late = closed(edge(), stored=tuple(first.lineages))
    dead = [row for row in late.lineages if row.is_deleted]
    before = [row.spans for row in dead]
    await sink(queue, rules).keep([late])
    assert len(dead) == 1
    assert [row.spans for row in dead] == before


async def test_a_request_whose_spans_cannot_be_made_does_not_stop_its_neighbours(
    queue: SpanQueue, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = closed(edge(1)), closed(edge(2))
    for row in bad.lineages:
        force_setattr(row, "trace_id", "a secret that is no trace id")
    await sink(queue).keep([bad, good])
    assert queue.account().fates == {(DROPPED, "internal_error"): 1}
    assert len(drained(queue)) == 1
    assert [one.lineages[0].spans.sent for one in (bad, good)] == [0, 1]
    assert "cannot be made: ValueError" in caplog.text
    assert "secret" not in caplog.text

"""What is redacted before the bus gives the same lineage, and the bus holds no secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.engine import Engine, EngineLimits
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import Delivery, Lineage, Source
from pipeline.parsers import Parsers
from pipeline.sinks.memory import MemoryStore

SECRET = "s3cr3t-of-the-client"


async def _stored(bodies: list[tuple[Source, bytes]], *, sealed: bool) -> tuple[list[Lineage], list[bytes]]:
    redactor = Redactor(b"only for these tests")
    parsers = Parsers(redactor, HaproxyParser(redactor=redactor), KongParser(redactor=redactor), sealed)
    bus, store = MemoryBus(), MemoryStore()
    given = parsers.guard(bus)
    for source, body in bodies:
        await given.append(Delivery(source, [body], 1_795_460_243_100_000_000, "192.0.2.7"))
    on_bus = [body for delivery in await bus.read(1000, 0) for body in delivery.bodies]
    second = MemoryBus()
    for (source, _), body in zip(bodies, on_bus, strict=True):
        await second.append(Delivery(source, [body], 1_795_460_243_100_000_000, "192.0.2.7"))
    engine = Engine(
        bus=second,
        parse=parsers.stage(),
        joiner=Joiner(JoinLimits(30 * 10**9, 1000, 64)),
        store=store,
        clock=ManualClock(),
        limits=EngineLimits(1000, 1.0),
        event_time=True,
    )
    engine.drain(flush=True)
    await asyncio.wait_for(engine.run(), 30)
    return store.lineages, on_bus


def test_a_sealed_bus_holds_no_secret_and_gives_the_same_lineage(
    edge_line: Callable[..., bytes], kong_entry: Callable[..., dict[str, object]]
) -> None:
    entry = kong_entry()
    entry["request"]["uri"] = f"/open/0?token={SECRET}"  # type: ignore[index] # it is a mapping
    entry["request"]["headers"]["cookie"] = f"session={SECRET}"  # type: ignore[index]
    bodies = [
        (Source.HAPROXY, edge_line(q=f"?token={SECRET}")),
        (Source.KONG, json.dumps(entry).encode()),
        (Source.KONG, b'{"token":"' + SECRET.encode() + b'"'),
    ]
    plain, raw = asyncio.run(_stored(bodies, sealed=False))
    sealed, on_bus = asyncio.run(_stored(bodies, sealed=True))
    assert SECRET.encode() in b"".join(raw)
    assert SECRET.encode() not in b"".join(on_bus)
    (first,), (second,) = plain, sealed
    assert first.verdict == second.verdict
    assert first.edge is not None
    assert second.edge is not None
    assert (first.edge.query, first.attempts[0].query) == (second.edge.query, second.attempts[0].query)


def test_a_sealed_record_is_not_believed_where_nothing_seals(edge_line: Callable[..., bytes]) -> None:
    (record,) = asyncio.run(_stored([(Source.HAPROXY, edge_line())], sealed=True))[1]
    assert record.startswith(b'{"hoptrail":1,')
    stored, _ = asyncio.run(_stored([(Source.HAPROXY, record)], sealed=False))
    assert stored == []

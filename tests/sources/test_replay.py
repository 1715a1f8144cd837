"""Files go on the bus whole, in order of time, and a broken one does not undo the others."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.bus.journal import Journal
from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.contracts import Bus
from pipeline.errors import ConfigError
from pipeline.formats.times import Dates
from pipeline.model import Delivery, Source
from pipeline.sources.replay import Replay

NOW_NS = 1_800_000_000_000_000_000
Files = dict[Source, list[Path]]


async def replay(files: Files, into: Bus) -> tuple[dict[Source, int], list[str]]:
    report = await Replay(files, Dates("UTC")).run(into, ManualClock(NOW_NS))
    return report.records, report.faults


async def delivered(bus: Bus) -> list[Delivery]:
    found: list[Delivery] = []
    while some := await bus.read(100_000, 0.0):
        found += some
    return found


def bodies_of(deliveries: list[Delivery], source: Source) -> list[bytes]:
    return [body for delivery in deliveries if delivery.source is source for body in delivery.bodies]


@pytest.fixture
def corpus(tmp_path: Path, corpus_bodies: list[bytes], corpus_lines: list[bytes]) -> Files:
    haproxy, kong = tmp_path / "haproxy.log", tmp_path / "kong.jsonl"
    haproxy.write_bytes(b"\n".join(corpus_lines) + b"\n")
    kong.write_bytes(b"\n".join(corpus_bodies) + b"\n")
    return {Source.HAPROXY: [haproxy], Source.KONG: [kong]}


async def test_the_corpus_goes_on_the_bus_byte_for_byte_and_in_order_of_time(
    corpus: Files, bus: MemoryBus, corpus_bodies: list[bytes], corpus_lines: list[bytes]
) -> None:
    records, faults = await replay(corpus, bus)
    deliveries = await delivered(bus)
    assert (records, faults) == ({Source.HAPROXY: 1500, Source.KONG: 1544}, [])
    assert bodies_of(deliveries, Source.HAPROXY) == corpus_lines
    assert bodies_of(deliveries, Source.KONG) == corpus_bodies
    stamps = [delivery.arrival_ns for delivery in deliveries]
    assert all(one <= other for one, other in itertools.pairwise(stamps))
    assert 1_795_460_243 * 10**9 <= stamps[0] < stamps[-1] < 1_795_460_400 * 10**9
    assert {delivery.peer for delivery in deliveries} == {""}


async def test_both_sides_stay_within_a_second_or_two_of_each_other(
    tmp_path: Path, bus: MemoryBus, corpus_lines: list[bytes]
) -> None:
    """An hour of ten requests a second on either side."""
    template = corpus_lines[0]
    assert template.count(b"18:57:23.518") == 1
    lines, entries = [], []
    for tenth in range(36_000):
        minute, second = divmod(tenth // 10, 60)
        lines.append(template.replace(b"18:57:23.518", b"18:%02d:%02d.%d00" % (minute, second, tenth % 10)))
        entries.append(b'{"request":{},"started_at":%d}' % (1_795_456_800_000 + tenth * 100))
    (tmp_path / "h").write_bytes(b"\n".join(lines))
    (tmp_path / "k").write_bytes(b"\n".join(entries))
    await replay({Source.HAPROXY: [tmp_path / "h"], Source.KONG: [tmp_path / "k"]}, bus)
    seen = dict.fromkeys(Source, 0)
    for delivery in await delivered(bus):
        seen[delivery.source] += len(delivery.bodies)
        assert abs(seen[Source.HAPROXY] - seen[Source.KONG]) <= 20
    assert seen == {Source.HAPROXY: 36_000, Source.KONG: 36_000}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
async def test_packed_files_give_the_same_records(
    pack: Callable[[bytes], bytes], corpus: Files, bus: MemoryBus, corpus_lines: list[bytes]
) -> None:
    [haproxy] = corpus[Source.HAPROXY]
    haproxy.write_bytes(pack(haproxy.read_bytes()))
    await replay(corpus, bus)
    assert bodies_of(await delivered(bus), Source.HAPROXY) == corpus_lines


async def test_rotated_files_are_put_in_order_whatever_order_they_are_given_in(
    tmp_path: Path, bus: MemoryBus, corpus_lines: list[bytes]
) -> None:
    parts = [tmp_path / f"haproxy.log.{number}" for number in range(5)]
    for number, part in enumerate(parts):
        part.write_bytes(gzip.compress(b"\n".join(corpus_lines[number * 300 : number * 300 + 300])))
    await replay({Source.HAPROXY: [parts[at] for at in (3, 0, 4, 2, 1)]}, bus)
    assert bodies_of(await delivered(bus), Source.HAPROXY) == corpus_lines


async def test_arrays_are_split_and_what_cannot_be_split_is_one_record(
    tmp_path: Path, bus: MemoryBus, corpus_bodies: list[bytes]
) -> None:
    kong = tmp_path / "kong.jsonl"
    entries = corpus_bodies[:10]
    poisoned = b"[" + b",".join([*entries[:3], b'{"x":"\xff"}', *entries[3:5]]) + b"]"
    kong.write_bytes(b"\n".join([b"[" + b",".join(entries) + b"]", b"[]", b"no entry", entries[0], poisoned]))
    records, _ = await replay({Source.KONG: [kong]}, bus)
    expected = [*entries, b"no entry", entries[0], *entries[:3], b'{"x":"\xff"}', *entries[3:5]]
    assert bodies_of(await delivered(bus), Source.KONG) == expected
    assert records[Source.KONG] == len(expected)


async def test_a_broken_file_does_not_undo_the_others(
    corpus: Files, bus: MemoryBus, corpus_bodies: list[bytes], corpus_lines: list[bytes]
) -> None:
    [haproxy] = corpus[Source.HAPROXY]
    packed = gzip.compress(haproxy.read_bytes())
    haproxy.write_bytes(packed[: len(packed) // 2])
    records, faults = await replay(corpus, bus)
    deliveries = await delivered(bus)
    lines = bodies_of(deliveries, Source.HAPROXY)
    assert faults == [f"{haproxy}: ends in the middle of its gzip data"]
    assert lines[:-1] == corpus_lines[: len(lines) - 1]
    assert 500 < len(lines) == records[Source.HAPROXY] < 1500
    assert bodies_of(deliveries, Source.KONG) == corpus_bodies


async def test_a_file_that_is_missing_is_found_out_before_anything_is_replayed(
    corpus: Files, bus: MemoryBus, tmp_path: Path
) -> None:
    corpus[Source.KONG].append(tmp_path / "missing.jsonl")
    with pytest.raises(ConfigError, match=r"cannot read .*missing\.jsonl: No such file"):
        await replay(corpus, bus)
    assert await delivered(bus) == []


async def test_standard_input_is_one_of_the_files(
    corpus: Files, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, corpus_lines: list[bytes]
) -> None:
    content = gzip.compress(b"\n".join(corpus_lines))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    corpus[Source.HAPROXY] = [Path("-")]
    records, _ = await replay(corpus, bus)
    assert records == {Source.HAPROXY: 1500, Source.KONG: 1544}
    assert bodies_of(await delivered(bus), Source.HAPROXY) == corpus_lines


def test_standard_input_cannot_be_two_of_the_files() -> None:
    with pytest.raises(ConfigError, match="can be read once"):
        Replay({Source.HAPROXY: [Path("-")], Source.KONG: [Path("-")]}, Dates("UTC"))


async def test_records_without_any_time_get_the_clock_s(tmp_path: Path, bus: MemoryBus) -> None:
    path = tmp_path / "admin.log"
    path.write_bytes(b"<133>Proxy fe started.\n" * 3)
    await replay({Source.HAPROXY: [path]}, bus)
    assert [delivery.arrival_ns for delivery in await delivered(bus)] == [NOW_NS]


async def test_progress_goes_up_to_all_of_it(corpus: Files, bus: MemoryBus) -> None:
    told: list[tuple[Source, int, int | None]] = []
    await Replay(corpus, Dates("UTC")).run(bus, ManualClock(NOW_NS), lambda *progress: told.append(progress))
    for source, paths in corpus.items():
        its = [(done, total) for whose, done, total in told if whose is source]
        size = paths[0].stat().st_size
        assert its == sorted(its)
        assert its[-1] == (size, size)


async def test_a_full_bus_is_waited_for(
    corpus: Files, full_journal: Journal, empty: Callable[[Bus], Awaitable[None]]
) -> None:
    replaying = asyncio.ensure_future(replay(corpus, full_journal))
    while not replaying.done():
        await empty(full_journal)
        await asyncio.sleep(0)
    records, _ = await replaying
    await empty(full_journal)
    stored = {left.source: count for left, count in full_journal.account().outcomes.items()}
    assert stored[Source.HAPROXY] == records[Source.HAPROXY] == 1500
    assert stored[Source.KONG] >= records[Source.KONG] == 1544

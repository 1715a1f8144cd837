"""Log files as a source: what lies in HAProxy's and Kong's files goes on the bus as if it came in now.

A HAProxy file holds one record a line; a Kong file one http-log body a line, an object or an array. All files
of both sides are merged by time, so that halves meet within the window; stamps are event time and never fall.

Back pressure: a bus that is full is waited for. Reading blocks the loop it runs on, a mebibyte at a time.

Delivery: a file that breaks off (a truncated .gz) does not undo what came before: that is replayed, the other
files are finished, and the report names the fault, for an exit code of 1. A file that cannot be opened
is found out before anything is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.clock import Clock
from pipeline.contracts import Inlet
from pipeline.errors import BusFull, ConfigError, MalformedLine
from pipeline.formats.kong_split import split_body
from pipeline.formats.start import peek_haproxy_start_us, peek_kong_start_us
from pipeline.formats.times import Dates
from pipeline.model import Delivery, Source
from pipeline.sources.log_files import LogFile, UnreadableFile
from pipeline.sources.merging import Peek, Run, merged, runs

OnProgress = Callable[[Source, int, int | None], None]
"""Told, per source, how many bytes of its files are read, and of how many; None where one is a pipe."""

_FULL_WAIT_S = 0.02
_BRACE = ord("{")


@dataclass(slots=True)
class Replayed:
    """What was replayed."""

    records: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))
    faults: list[str] = field(default_factory=list)
    """One line for each file that could not be read to its end, with its name."""


class Replay:
    """The files of one replay.

    Args:
        files: Per source, in any order; `-` is standard input, for one file at most.
        dates: Reads HAProxy's dates in the zone that it logs in.

    Raises:
        ConfigError: A file cannot be opened.
    """

    def __init__(self, files: Mapping[Source, Sequence[Path]], dates: Dates) -> None:
        if sum(str(path) == "-" for paths in files.values() for path in paths) > 1:
            raise ConfigError("standard input (-) can be read once: give one of the sources as a file")
        peeks: dict[Source, Peek] = {
            Source.HAPROXY: partial(peek_haproxy_start_us, dates=dates),
            Source.KONG: peek_kong_start_us,
        }
        self.report = Replayed()
        self._streams = [
            _Stream(source, path, peeks[source], self.report.faults)
            for source, paths in files.items()
            for path in paths
        ]

    async def run(self, bus: Inlet, clock: Clock, on_progress: OnProgress | None = None) -> Replayed:
        """Put everything on a bus; on return it has all that could be read.

        Args:
            bus: Gets deliveries of up to 256 records of one file, or of one second.
            clock: Asked for the stamp of records that come before any that shows a time.
            on_progress: Called after each delivery.
        """
        streams = [(stream, stream.first_us(), stream.runs()) for stream in self._streams]
        for stream, run, time_us in merged(streams):
            arrival_ns = time_us * 1000 or clock.now_ns()
            await _append(bus, Delivery(stream.source, run.bodies, arrival_ns, ""))
            self.report.records[stream.source] += len(run.bodies)
            if on_progress is not None:
                on_progress(stream.source, *self._progress(stream.source))
            await asyncio.sleep(0)
        return self.report

    def _progress(self, source: Source) -> tuple[int, int | None]:
        its = [stream for stream in self._streams if stream.source is source]
        sizes = [stream.bytes_total for stream in its]
        total = sum(size for size in sizes if size is not None)
        return sum(stream.bytes_read for stream in its), None if None in sizes else total


class _Stream:
    """One file, opened to look at its beginning, and again when its turn comes."""

    def __init__(self, source: Source, path: Path, peek: Peek, faults: list[str]) -> None:
        self.source = source
        self._path = path
        self._peek = peek
        self._faults = faults
        file = LogFile(path)
        self.bytes_total = file.bytes_total
        self._file = file if file.bytes_total is None else None
        if self._file is None:
            file.close()

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read if self._file else 0

    def first_us(self) -> int:
        """Find when the file begins; 0, so that its turn comes at once, for a pipe, which is read once."""
        if self._file is not None:
            return 0
        file = LogFile(self._path)
        try:
            return next((run.start_us for run in runs(self._records(file), self._peek)), 0)
        except UnreadableFile:
            return 0
        finally:
            file.close()

    def runs(self) -> Iterator[Run]:
        """Give the file's runs; a fault at its end is kept for the report."""
        self._file = self._file or LogFile(self._path)
        try:
            yield from runs(self._records(self._file), self._peek)
        except UnreadableFile as fault:
            self._faults.append(str(fault))
        finally:
            self._file.close()

    def _records(self, file: LogFile) -> Iterator[list[bytes]]:
        if self.source is Source.HAPROXY:
            return file.lines()
        return map(_entries, file.lines())


def _entries(bodies: list[bytes]) -> list[bytes]:
    """Split http-log bodies into entries; what cannot be split is one, as it is."""
    if not [body for body in bodies if body[0] != _BRACE]:
        return bodies
    entries: list[bytes] = []
    for body in bodies:
        if body.startswith(b"{"):
            entries.append(body)
            continue
        try:
            entries += split_body(body)
        except MalformedLine:
            entries.append(body)
    return entries


async def _append(bus: Inlet, delivery: Delivery) -> None:
    while True:
        try:
            await bus.append(delivery)
        except BusFull:
            await asyncio.sleep(_FULL_WAIT_S)
        else:
            return

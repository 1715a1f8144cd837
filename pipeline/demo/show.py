"""The demo from the first line on the screen to the last."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.demo.gateway import SERVER
from pipeline.demo.history import history
from pipeline.demo.history_send import send_history
from pipeline.demo.scene import WINDOW_S, Scene, scene
from pipeline.demo.settled import Verdict
from pipeline.demo.tour import Step, in_sql, take, tour

_HISTORY_HOURS, _HISTORY_COUNT = 6, 3000
_BURST_S, _BURST_RATE, _BURST_ROUND_S = 8.0, 45.0, 6.0
_CALM_RATE, _CALM_ROUND_S = 6.0, 30.0
_SETTLE_S = 40.0
_SHOWN = 2


class DemoOptions(NamedTuple):
    """What the command line says."""

    data_dir: Path | None
    """Kept; None: a temporary one, removed at the end."""
    real_haproxy: bool
    seconds: float | None
    """How long live traffic goes on after the tour; None: until interrupted."""
    seed: int


class Show:
    """Runs the demo on a console."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._stop = asyncio.Event()

    async def run(self) -> bool:
        """Run to the end; says whether every sum came out."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def on_signal() -> None:
            if self._stop.is_set() and task is not None:
                task.cancel()  # asked twice: no tour, no sums, but every process still ends
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)
        with self._directory() as data_dir:
            self._say(f"Starting hoptrail serve in {data_dir} …")
            async with scene(
                data_dir, real_haproxy=self._options.real_haproxy, seed=self._options.seed
            ) as parts:
                self._introduce(parts)
                with self._progress() as progress:
                    lines, entries = await self._send_history(parts, progress)
                    await self._burst(parts, progress)
                await self._until_stored(parts)
                if not self._stop.is_set():
                    await self._tour(tour(parts.traffic.seen, data_dir), parts)
                    await self._go_on(parts)
                    await self._until_stored(parts)
                verdict = await parts.questions.judge(
                    parts.traffic.seen.answered,
                    entries + parts.log.sent,
                    lines + len(parts.traffic.seen.answered),
                    parts.before,
                )
            return self._conclude(verdict, parts.server.exit_code)

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        if self._options.data_dir is not None:
            yield self._options.data_dir.resolve()
            return
        with tempfile.TemporaryDirectory(prefix="hoptrail-demo-", ignore_cleanup_errors=True) as made:
            yield Path(made)

    def _introduce(self, parts: Scene) -> None:
        addresses = parts.server.addresses
        kept = "kept" if self._options.data_dir else "removed at the end"
        for name, value in (
            (
                "edge",
                f"http://127.0.0.1:{parts.edge_port}   {parts.edge_name}, by deploy/haproxy/haproxy.cfg",
            ),
            ("gateway", f"http://127.0.0.1:{parts.gateway_ports[0]}   {SERVER}, by deploy/kong/kong.yml"),
            ("edge lines", f"syslog at {addresses['syslog_udp']} (UDP), {addresses['syslog_tcp']} (TCP)"),
            ("entries", f"http-log at {parts.ingest_url}"),
            ("read door", f"{addresses['read_url']}   read-only, ClickHouse's HTTP protocol"),
            ("data", f"join window {WINDOW_S:g} s here; the directory is {kept}"),
        ):
            self._say(f"  {name:11} {value}")

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("  {task.description:24}"), BarColumn(bar_width=30), MofNCompleteColumn(),
            TimeElapsedColumn(), console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip

    async def _send_history(self, parts: Scene, progress: Progress) -> tuple[int, int]:
        """Send some hours of back-dated lines; gives how many of the edge and of the gateway."""
        logged = list(
            history(
                seed=self._options.seed,
                end_us=time.time_ns() // 1000 - 5_000_000,
                span_s=_HISTORY_HOURS * 3600,
                count=_HISTORY_COUNT,
                declared=parts.declared,
                rules=parts.rules,
                lines=dict(parts.lines),
            )
        )
        bar = progress.add_task(f"{_HISTORY_HOURS} h of history, requests", total=len(logged))
        began = time.monotonic()
        await send_history(
            logged,
            syslog_tcp=parts.server.addresses["syslog_tcp"],
            http_log=parts.declared.http_log,
            ingest_url=parts.ingest_url,
            on_sent=lambda count: progress.advance(bar, count),
        )
        if not self._console.is_terminal:
            took_s = time.monotonic() - began
            self._say(f"  sent {len(logged)} requests of the last {_HISTORY_HOURS} h in {took_s:.1f} s")
        return sum(one.edge_line is not None for one in logged), sum(len(one.entries) for one in logged)

    async def _burst(self, parts: Scene, progress: Progress) -> None:
        """Send live traffic long enough for every kind of trouble to come round."""
        bar = progress.add_task("live traffic, requests", total=None)
        began = time.monotonic()

        def is_over() -> bool:
            progress.update(bar, completed=parts.traffic.seen.sent)
            return self._stop.is_set() or time.monotonic() - began > _BURST_S

        await parts.traffic.run(rate=_BURST_RATE, until=is_over, every_trouble_s=_BURST_ROUND_S)
        progress.update(bar, completed=parts.traffic.seen.sent, total=parts.traffic.seen.sent)
        if not self._console.is_terminal:
            seen = parts.traffic.seen
            self._say(
                f"  sent {seen.sent} live requests, {len(seen.answered)} answered, {seen.left} given up"
            )

    async def _until_stored(self, parts: Scene) -> None:
        with self._console.status("  waiting until all is joined and stored …"):
            stored = await parts.questions.wait_stored(lambda: parts.log.waiting == 0, _SETTLE_S)
        if not stored:
            self._say(f"  something is still pending after {_SETTLE_S:g} s")

    async def _tour(self, steps: list[Step], parts: Scene) -> None:
        for step in steps[:_SHOWN]:
            self._say(f"\n$ {step.command}")
            await take(step.arguments)
        self._say("\nTo try while this runs:")
        for number, step in enumerate(steps, 1):
            self._say(f"\n  {number}. {step.words}\n     {step.command}")
        self._say(f"\n  The same store in SQL, read-only:\n     {in_sql(parts.server.addresses['read_url'])}")

    async def _go_on(self, parts: Scene) -> None:
        """Keep a little traffic coming until interrupted, or for the seconds asked for."""
        seconds = self._options.seconds
        if seconds == 0:
            return
        self._say("\nLive traffic goes on; Ctrl-C stops." if seconds is None else f"\n{seconds:g} s more …")
        began = time.monotonic()

        def is_over() -> bool:
            return self._stop.is_set() or (seconds is not None and time.monotonic() - began > seconds)

        await parts.traffic.run(rate=_CALM_RATE, until=is_over, every_trouble_s=_CALM_ROUND_S)

    def _conclude(self, verdict: Verdict, exit_code: int | None) -> bool:
        faults = [*verdict.faults]
        if exit_code != 0:
            faults.append(f"hoptrail serve ended with exit code {exit_code}")
        for fault in faults:
            self._say(f"FAULT: {fault}")
        if not faults:
            self._say(f"\nOK: {verdict.text}; stopped cleanly.")
        return not faults

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

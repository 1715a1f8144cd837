"""PURE: where the time of a request went, as bars that lie behind each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from pipeline.cli.draw_words import HOP_STYLES, duration

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FULL = "█"
_NAME, _HOP, _TIME, _SHARE = 21, 9, 10, 6
_LEAST, _MOST = 10, 80


class Waterfall:
    """Phases, one a line: name, hop, bar, milliseconds, share of the whole.

    Args:
        phases: As in a lineage document.
        total_ms: What 100 % is.
    """

    def __init__(self, phases: Sequence[Mapping[str, Any]], total_ms: float) -> None:
        self._phases = phases
        self._total_ms = total_ms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fill the width there is, within reason; a narrow terminal gets names and times alone."""
        room = options.max_width - _NAME - _HOP - _TIME - _SHARE
        yield from self.lines(min(_MOST, room)) if room >= _LEAST else self.short_lines()

    def short_lines(self) -> Iterator[Text]:
        """Draw no bars."""
        for phase in self._phases:
            style = HOP_STYLES.get(phase["hop"], "white")
            line = Text(no_wrap=True).append(f"{phase['name'].replace('_', ' '):{_NAME}}", style=style)
            line.append(f"{duration(phase['duration_ms']):>{_TIME}}")
            yield line

    def lines(self, cells: int) -> Iterator[Text]:
        """Draw bars that are so many cells long in all."""
        for phase in self._phases:
            line = Text(f"{phase['name'].replace('_', ' '):{_NAME}}", no_wrap=True)
            style = HOP_STYLES.get(phase["hop"], "white")
            line.append(f"{phase['hop']:{_HOP}}", style=style)
            line.append(self._bar(phase, cells), style=style)
            line.append(f"{duration(phase['duration_ms']):>{_TIME}}")
            line.append(f"{self._share(phase['duration_ms']):>{_SHARE}}", style="dim")
            yield line

    def _share(self, ms: float) -> str:
        share = 100 * ms / self._total_ms
        return f"{share:.0f} %" if share >= 0.5 else "<1 %"  # noqa: PLR2004 -- what rounds to nothing is something

    def _bar(self, phase: Mapping[str, Any], cells: int) -> str:
        """Draw from the cell in which a phase begins to the eighth of one in which it ends; never nothing."""
        first = min(int(cells * phase["start_ms"] / self._total_ms), cells - 1)
        end = round(8 * cells * min(1.0, (phase["start_ms"] + phase["duration_ms"]) / self._total_ms))
        eighths = max(1, end - 8 * first)
        bar = " " * first + _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        return f"{bar:{cells}}"

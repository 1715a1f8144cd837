"""PURE: lines that hang: what is too long for its line goes on below, set in."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text


class Hanging:
    """A label and what is said of it; further lines begin below the first one's text.

    Args:
        text: What is said.
        label: Stands before it, padded to the indent; None: the first line begins at the edge.
        indent: Cells from the left edge to the text.
    """

    def __init__(self, text: Text, label: Text | str | None = None, indent: int = 2) -> None:
        self._text = text
        self._label = Text(label, style="bold") if isinstance(label, str) else label
        self._indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Wrap to the width there is."""
        width = max(20, options.max_width - self._indent)
        for place, line in enumerate(self._text.wrap(console, width, overflow="fold")):
            line.rstrip()
            head = Text()
            if self._label and place == 0:
                head.append_text(self._label)
            if place or self._label is not None:
                head.append(" " * max(0, self._indent - head.cell_len))
            yield head.append_text(line)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Take the whole width, so that a tree does not squeeze it."""
        return Measurement(options.max_width, options.max_width)

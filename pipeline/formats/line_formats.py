"""The compiled formats of the frontends whose lines share a socket: which one wrote a line?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope
from pipeline.formats.lenient_json import without_surrogates
from pipeline.formats.log_format import Format
from pipeline.formats.log_format.text_lines import Values


class LineFormat(NamedTuple):
    """A format and where it comes from."""

    compiled: Format
    frontend: str = ""
    """Whose lines it writes; empty: any."""
    is_error: bool = False
    """`error-log-format`: of connections that failed before there was a request."""
    structured: Format | None = None
    """`log-format-sd`, whose values stand in the structured data of RFC 5424."""


class LineFormats:
    """Tries formats, the one that fitted last first."""

    def __init__(self, formats: Sequence[LineFormat]) -> None:
        self._formats = list(formats)

    def read(self, envelope: Envelope, flags: set[str]) -> tuple[LineFormat, Values] | None:
        """Give the format that wrote a line, and its values; None where none did.

        A format that names its frontend wrote lines of that frontend only. A line that one format can read
        whole is not taken for the cut-off line of another.
        """
        cut: tuple[LineFormat, Values, set[str]] | None = None
        for index, candidate in enumerate(self._formats):
            raised: set[str] = set()
            values = _read(candidate.compiled, envelope, raised)
            if values is None or not _is_of(candidate, values):
                continue
            if raised & {flag.TRUNCATED, flag.NOT_JSON}:
                cut = cut or (candidate, values, raised)
                continue
            if index:
                self._formats.insert(0, self._formats.pop(index))
            return candidate, _with_structured(candidate, values, envelope)
        if cut is None:
            return None
        flags |= cut[2]
        return cut[0], _with_structured(cut[0], cut[1], envelope)


def _read(compiled: Format, envelope: Envelope, flags: set[str]) -> Values | None:
    """Read a line; JSON whose bytes are not all UTF-8 with the odd ones as surrogates, shown afterwards."""
    if envelope.is_utf8 or not compiled.is_json:
        return compiled.read(envelope.message, flags)
    values = compiled.read(envelope.raw.decode(errors="surrogateescape"), flags)
    return values and {key: text and without_surrogates(text) for key, text in values.items()}


def _is_of(candidate: LineFormat, values: Values) -> bool:
    name = values.get("ft") or values.get("f")
    return not name or not candidate.frontend or name.removesuffix("~") == candidate.frontend


def _with_structured(candidate: LineFormat, values: Values, envelope: Envelope) -> Values:
    """Add the values of the structured data; those of the message itself go first."""
    if candidate.structured is None or envelope.structured is None:
        return values
    return {**(candidate.structured.read(envelope.structured) or {}), **values}

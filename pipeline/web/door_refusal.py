"""Why the door says no, in ClickHouse's words: a code, a name, an HTTP status, one sentence.

PURE: no I/O.
"""

from __future__ import annotations

import re

from pipeline.errors import PipelineError

_ENGINE_ERROR = re.compile(r"Code: (\d+)\. DB::Exception: (.*) \(([A-Z][A-Z0-9_]+)\)\s*$", re.DOTALL)

_REPEATED = re.compile(r"^(?:Code: \d+\. DB::Exception: )+| \([A-Z_]+\) \(version [^)]*\)\.?$")
"""What the engine writes again around an error of an inner query."""

_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE, _TIMEOUT, _INTERNAL = 400, 403, 404, 413, 408, 500

_STATUS = {
    **dict.fromkeys((6, 26, 27, 32, 36, 38, 41, 42, 43, 53, 62, 70, 72, 117), _BAD_REQUEST),
    **dict.fromkeys((179, 184, 207, 208, 215, 352, 386, 456, 457, 476), _BAD_REQUEST),
    **dict.fromkeys((16, 46, 47, 50, 60, 73, 81, 115), _NOT_FOUND),
    **dict.fromkeys((164, 291, 497), _FORBIDDEN),
    159: _TIMEOUT,
    223: _TOO_LARGE,
}
"""HTTP status by ClickHouse error code; anything else is 500, as a ClickHouse server has it."""


class DoorRefusal(PipelineError):  # noqa: N818 -- says what is the case
    """A query that is not answered.

    Attributes:
        code: ClickHouse's error code, sent as `X-ClickHouse-Exception-Code`.
        name: ClickHouse's name of it.
        status: HTTP status.
        retry_after_s: Seconds after which the same may pass, or None.
    """

    def __init__(
        self,
        code: int,
        name: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.status = status or _STATUS.get(code, _INTERNAL)
        self.retry_after_s = retry_after_s

    @property
    def text(self) -> str:
        """The body of the answer, as a ClickHouse server writes it."""
        return f"Code: {self.code}. DB::Exception: {self} ({self.name})\n"


def denied(message: str) -> DoorRefusal:
    """Something that this door never does."""
    return DoorRefusal(497, "ACCESS_DENIED", f"{message}; this door is read-only")


def readonly(message: str) -> DoorRefusal:
    """A setting that is not the client's to set."""
    return DoorRefusal(164, "READONLY", message)


def malformed(message: str) -> DoorRefusal:
    """Something that is not a query at all."""
    return DoorRefusal(62, "SYNTAX_ERROR", message)


def bad_argument(message: str) -> DoorRefusal:
    """A value that is not what its name says."""
    return DoorRefusal(36, "BAD_ARGUMENTS", message)


def too_large(message: str) -> DoorRefusal:
    """More bytes than the door reads."""
    return DoorRefusal(223, "QUERY_IS_TOO_LARGE", message)


def too_long(message: str) -> DoorRefusal:
    """An answer of more bytes than it may have."""
    return DoorRefusal(396, "TOO_MANY_ROWS_OR_BYTES", message)


def unauthenticated(message: str) -> DoorRefusal:
    """Nobody, or somebody with the wrong password."""
    return DoorRefusal(516, "AUTHENTICATION_FAILED", message, status=401)


def busy(message: str) -> DoorRefusal:
    """Too many queries at once."""
    return DoorRefusal(202, "TOO_MANY_SIMULTANEOUS_QUERIES", message, status=503, retry_after_s=1)


def from_engine(error: RuntimeError) -> DoorRefusal:
    """Read what the engine said."""
    said = _ENGINE_ERROR.search(str(error))
    if said is None:
        return DoorRefusal(1002, "UNKNOWN_EXCEPTION", "the engine did not answer")
    return DoorRefusal(int(said[1]), said[3], _REPEATED.sub("", said[2]))

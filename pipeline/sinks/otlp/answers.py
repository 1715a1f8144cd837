"""PURE: what a receiver may answer, and what is to be done (OTLP specification 1.10, "Failures").

Reasons are a closed set: they are metrics' labels and lines of the account.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

LONGEST_PAUSE_S = 300.0
"""What a receiver may ask for with `Retry-After`; one that asks for more is tried again all the same."""
REJECTED = "rejected"
_REASONS = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "unauthorized",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
}
REFUSED = "refused"
REASONS = (REJECTED, "bad_request", "unauthorized", "too_large", REFUSED)
"""Why a receiver did not take spans."""
_LATER = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MOST_WORDS = 200


class Taken(NamedTuple):
    """The receiver has it, apart from some spans that it says it rejected."""

    rejected: int = 0
    words: str = ""


class Later(NamedTuple):
    """The same may pass later."""

    words: str
    after_s: float | None = None
    """When the receiver wants to be asked again; None where it does not say."""


class Refused(NamedTuple):
    """The same will be refused again."""

    reason: str
    words: str


Answer = Taken | Later | Refused


def answer_of_status(status: int, retry_after: str | None, words: str) -> Answer:
    """Say what an HTTP status other than 2xx means; only 429, 502, 503 and 504 may be tried again."""
    said = f"HTTP {status} {shortened(words)}".rstrip()
    if status in _LATER:
        return Later(said, pause_of(retry_after))
    return Refused(_REASONS.get(HTTPStatus(status), REFUSED) if status in _REASONS else REFUSED, said)


def pause_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Read `Retry-After`, seconds or a date (RFC 9110 10.2.3); seconds, bounded, None for what is neither."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE_S)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, min((then - (now or datetime.now(UTC))).total_seconds(), LONGEST_PAUSE_S))


def shortened(words: str) -> str:
    """Make what a stranger wrote fit for one line of a log."""
    return "".join(letter if letter.isprintable() else " " for letter in words[:_MOST_WORDS]).strip()

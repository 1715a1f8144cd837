"""PURE: the words and signs in which a lineage is shown: flags, reasons, durations, times."""

from __future__ import annotations

from typing import Any

FLAGS = {
    "bad_request": "HAProxy could not parse what the client sent.",
    "client_ip_mismatch": "The gateway takes another address for the client's: check its trusted addresses.",
    "clock_skew": "The clocks of the two nodes stand 100 ms or more apart; no time was altered.",
    "constant_id": "So many records carry this id that it cannot be one request's; it was not joined on.",
    "control_chars": "A field holds control characters; they are shown escaped.",
    "edge_id_not_forwarded": "Joined by the gateway's id alone: the gateway does not log the edge's.",
    "extra_attempts": "More gateway records than the edge made attempts: the gateway calls itself?",
    "header_time": "The line has no date of its own; the header's, to the second, stands for it.",
    "id_list": "More than one request id reached the gateway; the edge's own was used.",
    "id_reuse": "Another edge record carries the same request id: a collision, a replay or a constant.",
    "late": "One half came after the window and was united with the stored one.",
    "log_asap": "Logged before the end (option logasap): duration and sizes are lower bounds.",
    "non_idempotent_retry": "Not to be repeated, yet an upstream got it more than once: was it done twice?",
    "not_json": "The log line was not valid JSON and was read piece by piece.",
    "not_utf8": r"Some bytes were not UTF-8; they stand as \xNN.",
    "odd_id_time": "The time in the request id is more than a day off; it was not believed.",
    "odd_request_start": "X-Request-Start is more than a day off; it was not believed.",
    "odd_types": "A field had a type that its writer does not write; it was read as far as possible.",
    "spoofed_request_id": "The client sent a request id of its own; it was not used.",
    "status_mismatch": "Edge and gateway both ended regularly and yet log different statuses.",
    "truncated": "The log line or a field was cut off.",
}
"""What each flag means, in one line."""

MISSING = {
    "pending": "it may still come, the window is open",
    "denied_at_edge": "none is expected, the edge denied the request",
    "answered_at_edge": "none is expected, the edge answered by itself",
    "bad_request": "none is expected, the edge could not parse the request",
    "client_left_before_gateway": "none is expected, the client left before the gateway was asked",
    "gateway_unreachable": "none is expected, the edge could not connect to the gateway",
    "no_server": "none is expected, no gateway server was in service",
    "queue_timeout": "none is expected, no gateway server became free in time",
    "bypassed_edge": "the request did not pass the edge: the gateway saw no id of the edge's",
    "edge_log_lost": "the edge's id is there, but its log line never came",
    "gateway_log_lost": "the edge says that the gateway was asked, but the gateway's entry never came",
    "not_logged_by_config": "the configuration does not log it",
    "evicted": "it was not waited for, as memory or bus was full",
}
"""Why a half is missing (design section 5), behind "the gateway's half is missing: "."""

MATCHES = {
    "proven": "proven by both keys",
    "matched": "matched by one key",
    "conflict": "in conflict",
    "unmatched": "unmatched",
}

HOP_STYLES = {"client": "cyan", "edge": "blue", "gateway": "magenta", "upstream": "green"}

_SECOND_MS, _MINUTE_MS = 1000, 60_000
_UNIT = 1024
_OK, _ERROR, _SERVER_ERROR = 200, 400, 500


def duration(ms: float | None) -> str:
    """Write milliseconds so that three digits say it: `0.04 ms`, `41 ms`, `1.05 s`, `2 m 03 s`."""
    if ms is None:
        return "?"
    if ms >= _MINUTE_MS:
        return f"{int(ms // _MINUTE_MS)} m {int(ms % _MINUTE_MS / 1000):02d} s"
    value, unit = (ms / 1000, "s") if ms >= _SECOND_MS - 0.5 else (ms, "ms")
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2  # noqa: PLR2004 -- 3 digits
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text and unit == 'ms' else text} {unit}"


def size(count: float | None) -> str:
    """Write bytes with a binary unit: `778 B`, `1.9 KiB`."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < _UNIT or unit == "TiB":
            break
        count /= _UNIT
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"  # noqa: PLR2004 -- 3 digits


def moment(rfc3339: str | None) -> str:
    """Write a time for eyes: `2026-11-23 18:57:25.477`, all six digits where the last three are not 0."""
    if rfc3339 is None:
        return "?"
    text = rfc3339.removesuffix("Z").replace("T", " ")
    return text.removesuffix("000")


def status_style(status: int | None) -> str:
    """Give the colour of a status."""
    if status is None or status >= _SERVER_ERROR:
        return "bold red"
    return "bold yellow" if status >= _ERROR else "bold green" if status >= _OK else "bold cyan"


def verdict_style(domain: str) -> str:
    """Give the colour of a verdict."""
    return {"ok": "green", "client": "yellow", "unknown": "yellow"}.get(domain, "red")


def missing_words(outcome: str, missing: str | None) -> str:
    """Say which half is missing and why; empty where none is."""
    if missing is None:
        return ""
    half = "edge" if outcome == "gateway_only" else "gateway"
    return f"the {half}'s half is missing: {MISSING.get(missing, missing)}"


def who(identity: dict[str, Any]) -> str:
    """Name whoever is proven to have made a request, by the most telling name; empty for nobody."""
    for name in ("consumer_name", "custom_id", "subject", "consumer_id", "credential_id"):
        if identity[name] and identity["kind"] != "anonymous":
            return str(identity[name])
    return "anonymous" if identity["kind"] == "anonymous" else ""

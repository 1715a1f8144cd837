"""The sentences of verdicts, by what they are about."""

from __future__ import annotations

from pipeline.join import expect

BY_KONG = {
    400: ("client", "bad_request", "The gateway could not accept the request ({answer})."),
    401: ("client", "unauthenticated", "The gateway refused the credentials, or there were none ({answer})."),
    403: ("client", "forbidden", "The gateway refused access ({answer})."),
    404: ("client", "no_route", "No route of the gateway matches the request ({answer})."),
    405: ("client", "method_refused", "The gateway refused the method ({answer})."),
    408: ("client", "request_timeout", "The client was too slow for the gateway ({answer})."),
    413: ("client", "too_large", "The request was larger than the gateway accepts ({answer})."),
    414: ("client", "uri_too_long", "The request target was longer than the gateway accepts ({answer})."),
    417: (
        "client",
        "expectation_failed",
        "The gateway could not meet the request's Expect header ({answer}).",
    ),
    426: ("client", "https_required", "The route answers HTTPS only ({answer})."),
    429: ("gateway", "rate_limited", "The gateway's rate limit refused the request ({answer})."),
    494: (
        "client",
        "headers_too_large",
        "The request's headers were larger than the gateway accepts ({answer}).",
    ),
    500: ("gateway", "gateway_error", "The gateway itself failed, in a plugin or its resolver ({answer})."),
    502: ("upstream", "bad_gateway", "The gateway got no valid answer from {upstream}{in_tries} ({answer})."),
    503: ("upstream", "no_target", "The gateway had no healthy target in {upstream} ({answer})."),
    504: ("upstream", "upstream_timeout", "The gateway waited in vain for {upstream}{in_tries} ({answer})."),
    505: ("client", "bad_version", "The gateway does not speak the request's HTTP version ({answer})."),
}
"""What Kong's own answers mean: domain, code, sentence."""

MISSING = {
    "denied_at_edge": ("edge", "denied", "The edge denied the request with {status}."),
    "answered_at_edge": ("ok", "answered_at_edge", "The edge answered the request itself with {status}."),
    "bad_request": ("client", "bad_request", "The edge could not parse what the client sent."),
    "client_left_before_gateway": (
        "client",
        "client_left",
        "The client left, or was too slow, before the request reached the gateway.",
    ),
    "gateway_unreachable": ("gateway", "gateway_unreachable", "The edge could not connect to {server}."),
    "no_server": ("gateway", "no_server", "The edge had no gateway server in service."),
    "queue_timeout": ("gateway", "queue_timeout", "The request waited too long for a free gateway server."),
}
"""Reasons for a missing gateway half that say why the request ended: domain, code, sentence."""

NO_GATEWAY = {
    expect.GATEWAY_LOG_LOST: "the gateway's log of it never came",
    expect.EVICTED: "its gateway half was not waited for, as memory was full",
    expect.PENDING: "its gateway half has not come yet",
    expect.NOT_LOGGED_BY_CONFIG: "it has no id that the gateway's half could be found by",
}
"""Reasons that leave the gateway's part open."""

CUT_SHORT = {
    "C": ("client", "client_left"),
    "c": ("client", "client_timeout"),
    "s": ("gateway", "gateway_timeout"),
    "S": ("gateway", "gateway_closed"),
    "SD": ("gateway", "truncated_answer"),
    "SL": ("gateway", "truncated_answer"),
    "P": ("edge", "denied"),
    "PH": ("gateway", "bad_answer"),
    "PD": ("gateway", "bad_answer"),
    "L": ("ok", "answered_at_edge"),
    "R": ("edge", "out_of_resources"),
    "I": ("edge", "edge_error"),
    "D": ("gateway", "server_went_down"),
    "U": ("edge", "backup_released"),
    "K": ("edge", "killed_by_operator"),
}
"""Domain and code by cause, or by cause and phase, of a termination state (HAProxy manual 8.5)."""


GATEWAY_ANSWER = ("gateway", "gateway_answer", "The gateway itself answered {answer}.")
"""What is said of an answer of Kong's own that is not among those above."""

WAITED_FOR_UPSTREAM = (
    "The edge's timeout ended while the gateway was still waiting for {upstream}{in_tries}; "
    "the client got {status}"
)
BAD_ANSWER = "The edge could not accept the gateway's response: its headers were malformed or too many"
"""For `PH`, which HAProxy also gives where a rule denied the response."""


def disagreement(status: int | None, kong_status: int | None) -> str:
    """Say what either side logged where a request was cut short: they differ for a reason, not by mistake."""
    return f"; the client got {status or 'no answer'}, the gateway logged {kong_status or 'none'}"


def counted(tries: int) -> dict[str, str]:
    """Give the words for a number of tries."""
    return {"in_tries": f" in {tries} tries" if tries > 1 else ""}

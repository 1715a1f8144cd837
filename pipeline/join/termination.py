"""HAProxy's termination states in words (manual 8.5)."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.errors import ConfigError

CAUSES = {
    "-": "ended normally",
    "C": "the client closed or reset the connection",
    "S": "the server closed, refused or reset the connection",
    "P": "HAProxy itself refused it: a deny rule, a limit, or a message it could not accept",
    "L": "HAProxy answered itself: a redirect, a return rule, statistics",
    "R": "HAProxy ran out of a resource (memory, sockets, ports)",
    "I": "HAProxy found an internal error",
    "D": "HAProxy killed it because the server went down",
    "U": "HAProxy killed it on a backup server because an active one came up",
    "K": "an administrator killed it",
    "c": "the client was silent until its timeout ended",
    "s": "the server was silent until its timeout ended",
}
PHASES = {
    "-": "at the regular end",
    "R": "while the request was still being received",
    "Q": "while it waited in the queue for a server",
    "C": "while the connection to the server was being made",
    "H": "while waiting for the response headers",
    "D": "while data was being transferred",
    "L": "while the last data was being sent to the client",
    "T": "while the request was held in the tarpit",
}
REQUEST_COOKIES = {
    "-": "no cookie persistence",
    "N": "the client sent no persistence cookie",
    "I": "the client's cookie named no known server",
    "D": "the client's cookie named a server that is down",
    "V": "the client's cookie named the server that was used",
    "E": "the client's cookie had expired",
    "O": "the client's cookie was older than allowed",
    "U": "the client's cookie was not used",
}
RESPONSE_COOKIES = {
    "-": "no cookie in the response",
    "N": "the server set no cookie and none was inserted",
    "I": "HAProxy inserted a cookie",
    "U": "HAProxy updated the date in a cookie",
    "P": "the server's own cookie passed",
    "R": "the server's cookie was rewritten",
    "D": "the server's cookie was deleted",
}
_LENGTHS = (2, 4)


class Explanation(NamedTuple):
    """A state in words."""

    state: str
    cause: str
    phase: str
    request_cookie: str | None
    response_cookie: str | None
    reaches_gateway: str
    """Whether a gateway record is to be expected: `yes`, `no` or `perhaps`."""

    @property
    def sentence(self) -> str:
        """Say cause and phase in one sentence."""
        if self.state[:2] == "--":
            return "The request ended normally."
        return f"{self.cause[0].upper()}{self.cause[1:]} {self.phase}."


def explain(state: str) -> Explanation:
    """Explain a termination state of two (TCP) or four (HTTP) characters.

    Raises:
        ConfigError: It is none; names the character.
    """
    if len(state) not in _LENGTHS:
        raise ConfigError(
            f"{state!r} is not a termination state: it has 2 characters (TCP) or 4 (HTTP), as SC--"
        )
    tables = (CAUSES, PHASES, REQUEST_COOKIES, RESPONSE_COOKIES)
    for place, (letter, table) in enumerate(zip(state, tables, strict=False), 1):
        if letter not in table:
            known = " ".join(table)
            raise ConfigError(f"{state!r}: {letter!r} is no character {place} of a state; known are {known}")
    return Explanation(
        state=state,
        cause=CAUSES[state[0]],
        phase=PHASES[state[1]],
        request_cookie=REQUEST_COOKIES[state[2]] if len(state) > 2 else None,  # noqa: PLR2004 -- HTTP states
        response_cookie=RESPONSE_COOKIES[state[3]] if len(state) > 2 else None,  # noqa: PLR2004
        reaches_gateway=_reaches_gateway(state[0], state[1]),
    )


def _reaches_gateway(cause: str, phase: str) -> str:
    if phase in "RQT":
        return "no"
    if phase == "C":
        return "no"
    if cause in "PL" and phase != "-":
        return "perhaps"
    return "yes" if phase in "-DL" else "perhaps"

"""Why a request ended as it did: whose fault, and one sentence that an SRE would have written."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.join import verdict_words as words
from pipeline.join.termination import CAUSES, PHASES
from pipeline.model import EdgeRecord, GatewayRecord, Verdict

_FIRST_ERROR, _FIRST_SERVER_ERROR = 400, 500
_CLIENT_CLOSED = 499
_NOT_HTTP = 9
"""What Kong logs where the upstream's answer was not HTTP (nginx takes it for HTTP/0.9)."""
_REGULAR = "--"


class _Facts(NamedTuple):
    """What the judgement rests on, and nothing else: judgements are remembered by it."""

    status: int | None
    """What the client got; None where nothing was sent."""
    state: str | None
    """HAProxy's termination state; None without an edge record."""
    server: str | None
    missing: str | None
    has_attempt: bool = False
    kong_status: int | None = None
    by_kong: bool = False
    """Whether Kong made that answer itself."""
    proxied: bool = False
    attempts: int = 0
    tries: int = 0
    service: str | None = None

    @property
    def upstream(self) -> str:
        return f"the upstream of service {self.service}" if self.service else "the upstream"

    @property
    def answer(self) -> int | None:
        return self.status if self.state is not None else self.kong_status


def verdict_of(
    edge: EdgeRecord | None, attempts: tuple[GatewayRecord, ...], delivered: int | None, missing: str | None
) -> Verdict:
    """Judge a request by its halves, the delivered attempt or else the last one speaking for the gateway."""
    status, state, server = (edge.status, edge.termination or "", edge.server) if edge else (None, None, None)
    if not attempts:
        return _judge(status, state, server, missing)
    attempt = attempts[delivered if delivered is not None else -1]
    proxied = attempt.proxy_ms is not None
    return _judge(
        status,
        state,
        server,
        missing,
        True,
        attempt.status,
        attempt.source == "kong" or (attempt.source is None and not proxied),
        proxied,
        min(len(attempts), 1 + edge.retries) if edge else len(attempts),
        len(attempt.tries),
        attempt.service,
    )


@lru_cache(maxsize=16_384)
def _judge(*about: Any) -> Verdict:  # noqa: ANN401 -- what `_Facts` takes
    facts = _Facts(*about)
    return (
        _of_missing(facts)
        or _of_cut_short(facts)
        or _of_no_answer(facts)
        or _of_edge_alone(facts)
        or _of_success(facts)
        or _of_gateway(facts)
        or _of_upstream(facts)
    )


def _of_missing(facts: _Facts) -> Verdict | None:
    """Judge by why there is no gateway half, where that says it all."""
    if facts.missing not in words.MISSING:
        return None
    domain, code, text = words.MISSING[facts.missing]
    return Verdict(domain, code, text.format(status=facts.status or "no answer", server=facts.server or "it"))


def _of_cut_short(facts: _Facts) -> Verdict | None:
    """Judge a request that HAProxy ended, or saw ended, before its regular end."""
    if facts.state is None or facts.state[:2] in {_REGULAR, "-", ""}:
        return None
    cause, phase = facts.state[0], (facts.state + "-")[1]
    if cause == "s" and facts.kong_status == _CLIENT_CLOSED and facts.tries:
        text = words.WAITED_FOR_UPSTREAM.format(
            upstream=facts.upstream, status=facts.status or "no answer", **words.counted(facts.tries)
        )
        return Verdict("upstream", "upstream_timeout", f"{text}.")
    said = words.BAD_ANSWER if cause + phase == "PH" else _in_words(cause, phase)
    if facts.has_attempt and facts.kong_status != facts.status:
        said += words.disagreement(facts.status, facts.kong_status)
    domain, code = words.CUT_SHORT.get(cause + phase) or words.CUT_SHORT.get(cause, ("edge", "edge_ended"))
    return Verdict(domain, code, f"{said}.")


def _in_words(cause: str, phase: str) -> str:
    said = f"{CAUSES.get(cause, 'something ended it')} {PHASES.get(phase, '')}".strip()
    return said[0].upper() + said[1:]


def _of_no_answer(facts: _Facts) -> Verdict | None:
    if facts.answer is not None:
        return None
    return Verdict("unknown", "no_answer", "No answer was logged.")


def _of_edge_alone(facts: _Facts) -> Verdict | None:
    """Judge by the edge's status alone, which does not say who made the answer."""
    if facts.has_attempt or facts.answer is None:
        return None
    why = words.NO_GATEWAY.get(facts.missing or "", "the gateway's side of it is not known")
    domain = "ok" if facts.answer < _FIRST_ERROR else "unknown"
    return Verdict(domain, f"edge_{facts.answer // 100}xx", f"The edge logged {facts.answer}; {why}.")


def _of_success(facts: _Facts) -> Verdict | None:
    answer = facts.answer or 0
    if answer >= _FIRST_ERROR or facts.kong_status == _NOT_HTTP:
        return None
    if facts.attempts > 1:
        return Verdict(
            "ok",
            "ok_after_retry",
            f"Answered {answer} at attempt {facts.attempts}; a retry of the edge saved it.",
        )
    if facts.tries > 1:
        return Verdict("ok", "ok_after_retry", f"Answered {answer} at try {facts.tries} of the gateway.")
    return Verdict("ok", "ok", f"Answered {answer}.")


def _of_gateway(facts: _Facts) -> Verdict | None:
    """Judge an answer that Kong made itself."""
    if facts.kong_status == _CLIENT_CLOSED:
        return Verdict("client", "client_left", "The client left before the gateway had answered.")
    if not facts.by_kong:
        return None
    domain, code, text = words.BY_KONG.get(facts.kong_status or 0, words.GATEWAY_ANSWER)
    return Verdict(
        domain, code, text.format(answer=facts.answer, upstream=facts.upstream, **words.counted(facts.tries))
    )


def _of_upstream(facts: _Facts) -> Verdict:
    who = facts.upstream[0].upper() + facts.upstream[1:]
    if facts.kong_status == _NOT_HTTP:
        return Verdict("upstream", "not_http", f"{who} answered something that is not HTTP.")
    after = f" after {facts.attempts} attempts of the edge" if facts.attempts > 1 else ""
    if (facts.answer or 0) >= _FIRST_SERVER_ERROR:
        return Verdict("upstream", "upstream_error", f"{who} answered {facts.answer}{after}.")
    return Verdict("client", "client_error", f"{who} refused the request with {facts.answer}{after}.")

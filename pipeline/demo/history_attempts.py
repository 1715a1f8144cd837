"""The gateway's half of a request of the demo's history: what Kong would have logged of each attempt.

PURE: everything is decided by the `chance` handed in.
"""

from __future__ import annotations

import random

from pipeline.demo.declared import Credential, Declared, Route
from pipeline.demo.edge_line import EdgeFacts
from pipeline.demo.edge_rules import EdgeRules
from pipeline.demo.gateway import SERVER, upstream_uri
from pipeline.demo.history_profiles import HOST, Profile
from pipeline.demo.http1 import Headers
from pipeline.demo.kong_entry import Served, Try

_SINGLE_TARGETS = {
    "catalog": "10.20.1.10", "partner-feed": "10.20.2.10", "payments": "10.20.3.10", "reports": "10.20.4.10",
}  # fmt: skip
_REFUSING = "10.20.0.13"
_READ_TIMEOUT_MS = 2000


class AttemptTeller:
    """Makes up attempts.

    Args:
        declared: Services, routes and consumers.
        rules: What the edge strips and tells.
        chance: Decides everything.
    """

    def __init__(self, declared: Declared, rules: EdgeRules, chance: random.Random) -> None:
        self._declared = declared
        self._rules = rules
        self._chance = chance
        self._by_consumer: dict[str, Credential] = {
            credential.consumer.username: credential
            for credential in (*declared.keys.values(), *declared.jwts.values())
        }

    def tell(self, edge: EdgeFacts, profile: Profile, target: str, kind: str | None) -> list[Served]:
        """Make up what the gateway logged of a request, one for each of the edge's attempts, oldest first."""
        begin_us, attempts = edge.headers_us + self._chance.randrange(150, 600), []
        for _ in range(self._chance.choice((1, 1, 2)) if kind == "edge_retry" else 0):
            attempts.append(self._attempt(edge, begin_us, profile, target, "unavailable"))
            begin_us += attempts[-1].request_ms * 1000 + self._chance.randrange(400, 900)
        attempts.append(self._attempt(edge, begin_us, profile, target, kind))
        return attempts

    def _attempt(
        self, edge: EdgeFacts, start_us: int, profile: Profile, target: str, kind: str | None
    ) -> Served:
        chance = self._chance
        served = Served(
            gateway_id=f"{chance.getrandbits(128):032x}",
            started_us=start_us,
            method=edge.method,
            uri=target,
            headers=self._headers(edge, profile, kind),
            request_size=edge.bytes_read + 330,
            client_ip=edge.client_ip if kind != "past_the_edge" else "10.20.9.9",
            port=8000,
            kong_ms=chance.choice((0, 1, 1, 1, 2)),
        )
        if kind == "no_route":
            return self._refused(served, 404, 103, ())
        route = self._declared.route(profile.route)
        served.route = route
        served.upstream_uri = upstream_uri(route, target)
        if kind != "past_the_edge":
            served.correlation_id = edge.request_id
        if kind == "expired_key":
            return self._refused(served, 401, 81, (("WWW-Authenticate", "Key"),))
        if profile.consumer is not None:
            self._authenticate(served, self._by_consumer[profile.consumer])
        if kind == "rate_limited":
            limits = (("RateLimit-Limit", "5"), ("RateLimit-Remaining", "0"), ("Retry-After", "1"))
            return self._refused(served, 429, 92, limits)
        return self._proxied(served, route, profile, kind)

    def _headers(self, edge: EdgeFacts, profile: Profile, kind: str | None) -> Headers:
        own = [("host", HOST), ("user-agent", edge.user_agent or ""), ("accept", "*/*")]
        if profile.body_bytes:
            own += [("content-type", "application/json"), ("content-length", str(profile.body_bytes))]
        if profile.consumer == "billing-batch":
            own.append(("authorization", "Bearer"))
        if kind == "past_the_edge":
            return own
        return self._rules.forwarded(
            own,
            request_id=edge.request_id,
            request_us=edge.headers_us,
            traceparent=edge.traceparent,
            client_ip=edge.client_ip,
            port=edge.bind_port,
            scheme="https" if edge.tls_version else "http",
        )

    @staticmethod
    def _authenticate(served: Served, credential: Credential) -> None:
        entity = credential.consumer.entity
        served.credential = credential
        served.headers = [
            *served.headers,
            ("x-consumer-id", entity["id"]),
            ("x-consumer-username", entity["username"]),
            ("x-consumer-custom-id", entity["custom_id"]),
            ("x-credential-identifier", credential.key if credential.secret else credential.id),
        ]

    @staticmethod
    def _refused(served: Served, status: int, size: int, extra: tuple[tuple[str, str], ...]) -> Served:
        served.status, served.request_ms, served.answer_size = status, served.kong_ms, size + 310
        served.answer_headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Connection", "keep-alive"),
            ("Content-Length", str(size)),
            *extra,
            ("X-Kong-Response-Latency", str(served.kong_ms)),
            ("Server", SERVER),
            ("X-Kong-Request-Id", served.gateway_id),
        ]
        return served

    def _proxied(self, served: Served, route: Route, profile: Profile, kind: str | None) -> Served:
        chance = self._chance
        wait_ms = max(1, round(profile.wait_ms * chance.lognormvariate(0, 0.45)))
        served.source, status, size = "upstream", 200, profile.answer_bytes + chance.randrange(-80, 80)
        if kind == "refused_try":
            self._try(served, route, _REFUSING, ("failed", 502))
            served.upstream_status.append("502")
        self._try(served, route, None, ("failed", 504) if kind == "gateway_timeout" else None)
        if kind == "gateway_timeout":
            wait_ms, served.source, status, size = _READ_TIMEOUT_MS + 1, "kong", 504, 102
        elif kind == "unavailable":
            status, size = 503, 64
        elif kind == "upstream_fault":
            status, size = 500, 96
        served.upstream_status.append("-" if kind == "client_left" else str(status))
        served.proxy_ms, served.receive_ms = wait_ms, 0 if size < 4000 else chance.randrange(0, 4)  # noqa: PLR2004
        served.request_ms = served.kong_ms + served.proxy_ms + served.receive_ms
        if kind == "client_left":
            served.status, served.answer_headers, served.answer_size = 499, [("Connection", "keep-alive")], 0
            return served
        served.status, served.answer_size = status, size + 320
        served.answer_headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(size)),
            ("Connection", "keep-alive"),
            ("Via", "1.1 stand-in"),
            ("Server", SERVER),
            ("X-Kong-Upstream-Latency", str(served.proxy_ms)),
            ("X-Kong-Proxy-Latency", str(served.kong_ms)),
            ("X-Kong-Request-Id", served.gateway_id),
        ]
        return served

    def _try(self, served: Served, route: Route, ip: str | None, failed: tuple[str, int] | None) -> None:
        healthy = _SINGLE_TARGETS.get(route.name) or self._chance.choice(("10.20.0.11", "10.20.0.12"))
        start_us = served.started_us + served.kong_ms * 1000 + 120 * (1 + len(served.tries))
        state, code = failed or (None, None)
        balancer_ns = self._chance.randrange(6_000, 32_000) // 256 * 256
        served.tries.append(Try(ip or healthy, 8080, start_us, balancer_ns, state, code))

"""One request of the demo's history: what HAProxy and Kong would have logged of it.

PURE: everything is decided by the `chance` handed in; the same seed gives the same bytes.
"""

from __future__ import annotations

import random
import uuid
from typing import NamedTuple

from pipeline.demo.edge_line import EdgeFacts
from pipeline.demo.history_attempts import AttemptTeller
from pipeline.demo.history_profiles import CALLERS, HOST, PROFILES, Caller, Fortune, Profile
from pipeline.demo.kong_entry import Served

_NODES = (("edge-1", 2104), ("edge-2", 1987))
_GATEWAYS = (("10.20.8.1", 8000), ("10.20.8.2", 8000))
_CLAIMED = ("order-55120", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Past(NamedTuple):
    """What is left of a request in the logs."""

    edge: EdgeFacts | None
    """None where it did not come through the edge."""
    attempts: tuple[Served, ...]
    edge_line_lost: bool
    entry_lost: bool


class Storyteller:
    """Makes up requests.

    Args:
        attempts: Tells the gateway's half.
        chance: Decides everything.
    """

    def __init__(self, attempts: AttemptTeller, chance: random.Random) -> None:
        self._attempts = attempts
        self._chance = chance
        self._fortune = Fortune(chance)

    def tell(self, start_us: int, moment: float) -> Past:
        """Make up the request that started then; `moment` is its place in the span, 0 to 1."""
        chance = self._chance
        profile = chance.choices(PROFILES, [profile.weight for profile in PROFILES])[0]
        caller = chance.choices(CALLERS, [caller.weight for caller in CALLERS])[0]
        kind = self._fortune.trouble_at(moment, profile.route)
        target = profile.target.replace("{n}", str(chance.randrange(1, 2000)))
        if kind == "no_route":
            target = "/wp-login.php"
        edge = self._edge(start_us, profile, caller, target, kind)
        if kind == "unknown_host":
            edge.host, edge.pool, edge.roll = "old.example.com", None, None
            edge.status, edge.bytes_sent, edge.termination = 421, 262, "PR--"
            edge.end_us = edge.headers_us
            return Past(edge, (), edge_line_lost=False, entry_lost=False)
        attempts = self._attempts.tell(edge, profile, target, kind)
        self._finish(edge, attempts, kind)
        if kind == "past_the_edge":
            return Past(None, tuple(attempts), edge_line_lost=False, entry_lost=False)
        return Past(edge, tuple(attempts), kind == "edge_line_lost", kind == "entry_lost")

    def _edge(
        self, start_us: int, profile: Profile, caller: Caller, target: str, kind: str | None
    ) -> EdgeFacts:
        chance = self._chance
        node, pid = chance.choice(_NODES)
        path, _, query = target.partition("?")
        th_ms = chance.randrange(1, 4) if caller.tls and chance.random() < 0.2 else 0  # noqa: PLR2004
        ti_ms = 0 if th_ms else chance.randrange(0, 4000)
        edge = EdgeFacts(
            request_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            traceparent=f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01",
            pid=pid,
            request_counter=0,
            log_counter=0,
            node=node,
            accepted_us=start_us - (th_ms + ti_ms) * 1000,
            headers_us=start_us + chance.randrange(60, 900),
            end_us=0,
            Th=th_ms,
            Ti=ti_ms,
            client_ip=caller.ip,
            client_port=chance.randrange(32_768, 61_000),
            bind_ip="198.51.100.1",
            bind_port=443 if caller.tls else 80,
            pool="kong_blue",
            roll=chance.randrange(100),
            method="GET" if kind == "no_route" else profile.method,
            host=HOST,
            path=path,
            query=query,
            http_major=2 if caller.tls and "Mozilla" in caller.user_agent else 1,
            user_agent=caller.user_agent,
            bytes_read=chance.randrange(160, 420) + profile.body_bytes,
            connections=(chance.randrange(1, 40), 1, chance.randrange(0, 6), chance.randrange(0, 3)),
        )
        if caller.tls:
            _encrypt(edge)
        if kind == "spoofed":
            edge.claimed_request_id, edge.claimed_traceparent = _CLAIMED
        return edge

    def _finish(self, edge: EdgeFacts, attempts: list[Served], kind: str | None) -> None:
        """Let the edge see its last attempt end."""
        chance, last = self._chance, attempts[-1]
        edge.backend, server = "kong_blue", chance.randrange(2)
        edge.server, (edge.server_ip, edge.server_port) = f"blue{server + 1}", _GATEWAYS[server]
        edge.source_ip, edge.source_port = "10.20.8.100", chance.randrange(32_768, 61_000)
        edge.retries, edge.redispatched = len(attempts) - 1, len(attempts) > 1
        edge.TR = 0
        edge.Tw, edge.Tc = 0, chance.choice((0, 0, 0, 1))
        begun_ms = (last.started_us - edge.headers_us) // 1000
        edge.end_us = last.started_us + last.request_ms * 1000 + chance.randrange(150, 900)
        edge.Ta = round((edge.end_us - edge.accepted_us) / 1000) - edge.Th - edge.Ti
        if kind == "client_left":
            edge.status, edge.termination, edge.bytes_sent = 400, "CH--", 254
            return
        edge.Tr = begun_ms + last.kong_ms + max(0, last.proxy_ms)
        edge.Td = max(0, edge.Ta - edge.TR - edge.Tw - edge.Tc - edge.Tr)
        edge.status, edge.bytes_sent = last.status, last.answer_size + 50
        edge.gateway_request_id = last.gateway_id
        if last.source == "upstream" or last.tries:
            edge.gateway_proxy_ms, edge.gateway_upstream_ms = last.kong_ms, last.proxy_ms


def _encrypt(edge: EdgeFacts) -> None:
    edge.tls_version, edge.tls_cipher, edge.tls_sni = "TLSv1.3", "TLS_AES_256_GCM_SHA384", HOST
    edge.tls_alpn = "h2" if edge.http_major == 2 else "http/1.1"  # noqa: PLR2004
    edge.client_cert_used = edge.client_cert_verify = 0

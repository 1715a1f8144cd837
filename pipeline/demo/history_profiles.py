"""Who asked for what in the demo's history, and what went wrong when.  PURE tables.

Addresses are from the ranges kept for documentation (RFC 5737, RFC 3849).
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

HOST = "api.example.com"
_DAY_S = 86_400
_BUSIEST_S = 14 * 3600


class Profile(NamedTuple):
    """One kind of request."""

    weight: int
    route: str
    method: str
    target: str
    """`{n}` stands for a number."""
    consumer: str | None
    wait_ms: float
    """Median time of the upstream."""
    answer_bytes: int
    body_bytes: int = 0


class Caller(NamedTuple):
    """Where requests come from."""

    weight: int
    ip: str
    user_agent: str
    tls: bool


class Trouble(NamedTuple):
    """Something that went wrong for a while."""

    kind: str
    begins: float
    """Share of the history's span."""
    ends: float
    share: float
    """Of the requests that it can strike."""
    route: str | None
    """Which route it strikes; None: all."""


PROFILES = (
    Profile(38, "catalog", "GET", "/catalog/items/{n}", None, 9, 2200),
    Profile(14, "catalog", "GET", "/catalog/search?q=green+tea&page={n}", None, 24, 5400),
    Profile(16, "orders", "GET", "/orders?customer={n}", "mobile-app", 15, 1300),
    Profile(10, "orders", "POST", "/orders", "mobile-app", 31, 420, 180),
    Profile(9, "partner-feed", "GET", "/feed/updates?since={n}", "acme", 18, 7800),
    Profile(9, "payments", "POST", "/payments/charges", "billing-batch", 120, 350, 140),
    Profile(4, "reports", "GET", "/reports/daily?day={n}", "mobile-app", 420, 21000),
)

CALLERS = (
    Caller(30, "203.0.113.24", "shop-ios/4.2", tls=True),
    Caller(22, "203.0.113.77", "shop-android/4.1", tls=True),
    Caller(18, "2001:db8:31::9", "Mozilla/5.0 (X11; Linux x86_64)", tls=True),
    Caller(12, "198.51.100.8", "Mozilla/5.0 (Macintosh)", tls=True),
    Caller(9, "198.51.100.130", "acme-sync/2.0", tls=True),
    Caller(9, "192.0.2.15", "billing-batch/1.9", tls=False),
)

TROUBLES = (
    Trouble("refused_try", 0.30, 0.36, 0.34, "orders"),
    Trouble("rate_limited", 0.52, 0.58, 0.60, "partner-feed"),
    Trouble("gateway_timeout", 0.66, 0.74, 0.70, "reports"),
    Trouble("edge_retry", 0.80, 0.83, 0.25, "catalog"),
    Trouble("expired_key", 0.86, 0.90, 0.50, "orders"),
    Trouble("upstream_fault", 0.0, 1.0, 0.006, None),
    Trouble("client_left", 0.0, 1.0, 0.06, "reports"),
    Trouble("edge_retry", 0.0, 1.0, 0.004, "catalog"),
    Trouble("refused_try", 0.0, 1.0, 0.004, "orders"),
    Trouble("spoofed", 0.0, 1.0, 0.003, None),
    Trouble("no_route", 0.0, 1.0, 0.003, None),
    Trouble("unknown_host", 0.0, 1.0, 0.004, None),
    Trouble("edge_line_lost", 0.44, 0.45, 0.20, None),
    Trouble("entry_lost", 0.62, 0.63, 0.20, None),
    Trouble("past_the_edge", 0.0, 1.0, 0.002, "catalog"),
)


class Fortune:
    """Decides what goes wrong: by chance, and at least once for every trouble.

    Args:
        chance: Decides.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._struck: set[Trouble] = set()

    def trouble_at(self, moment: float, route: str) -> str | None:
        """Say what strikes a request, if anything; `moment` is its place in the span, 0 to 1."""
        for trouble in TROUBLES:
            if not trouble.begins <= moment < trouble.ends or trouble.route not in {None, route}:
                continue
            if trouble not in self._struck or self._chance.random() < trouble.share:
                self._struck.add(trouble)
                return trouble.kind
        return None


def starts(count: int, end_us: int, span_s: int, chance: random.Random) -> list[int]:
    """Give the start times of requests, microseconds, rising: more by day, uneven by the minute.

    Args:
        count: How many.
        end_us: All lie before it.
        span_s: All lie at most so long before it.
        chance: Decides.
    """
    first_s = end_us // 1_000_000 - span_s
    minutes = range(0, span_s, 60)
    weights = [_by_day(first_s + second) * chance.uniform(0.6, 1.4) for second in minutes]
    chosen = chance.choices(minutes, weights, k=count)
    times = [(first_s + second) * 1_000_000 + chance.randrange(60_000_000) for second in chosen]
    return sorted(min(time, end_us - 1) for time in times)


def _by_day(second: int) -> float:
    """Weigh an hour of the day: 1.0 at the busiest, 0.15 at the quietest."""
    angle = 2 * math.pi * ((second % _DAY_S) - _BUSIEST_S) / _DAY_S
    return 0.575 + 0.425 * math.cos(angle)

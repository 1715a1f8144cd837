"""What a lineage must be like to be found, and the same in SQL with bound parameters. PURE: text alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MARGIN_S = 90_000
"""How far a row's bucket may be from its start: a day, and the hour that a bucket may be rounded down by."""
_BUCKETS = (0, 2**32 - 1)


class StatusRange(NamedTuple):
    """Statuses from one to another, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lineage must be like; within a field any value does, between fields all must hold."""

    since_us: int | None = None
    """Its start is at or after this, UTC epoch microseconds."""
    until_us: int | None = None
    """Its start is before this."""
    status: Sequence[StatusRange] = ()
    method: Sequence[str] = ()
    """Upper case."""
    path: Sequence[str] = ()
    """A prefix, or with `*` or `?` a pattern of the whole path; `*` crosses slashes."""
    host: Sequence[str] = ()
    """In any case; as it is, or with `*` or `?` a pattern."""
    service: Sequence[str] = ()
    """Of any attempt."""
    route: Sequence[str] = ()
    """Of any attempt."""
    consumer: Sequence[str] = ()
    """Name, custom id or id of the consumer, subject, or id of the credential."""
    client_ip: Sequence[Network] = ()
    outcome: Sequence[str] = ()
    missing: Sequence[str] = ()
    flag: Sequence[str] = ()
    min_duration_ms: float | None = None

    def words(self) -> str:
        """Name the fields that narrow the search, as the options are called; empty for none."""
        given = [field.name for field in fields(self) if getattr(self, field.name) not in (None, (), [])]
        return ", ".join("--" + name.removesuffix("_us").replace("_", "-") for name in given)


class Condition(NamedTuple):
    """A condition on the columns of `lineage_rows`."""

    sql: str
    parameters: dict[str, Any]


def condition_of(wanted: Wanted) -> Condition:
    """Write what is wanted as SQL; values are parameters, and no text of theirs is in the statement."""
    parameters: dict[str, Any] = {}

    def bound(kind: str, value: object) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return f"{{{name}:{kind}}}"

    parts = list(_conditions(wanted, bound))
    return Condition(" AND ".join(parts) or "1", parameters)


_Bound = Callable[[str, object], str]
"""Keeps a value as a parameter of a type; gives its placeholder."""

_NAMES = ("consumer_name", "custom_id", "consumer_id", "subject", "credential_id")
_CONSUMER = f"({' OR '.join(f'`identity.{name}` IN {{0}}' for name in _NAMES)})"


def _conditions(wanted: Wanted, bound: _Bound) -> Iterator[str]:
    yield from _times(wanted, bound)
    for of_words, values in (
        ("method IN {}", wanted.method),
        ("outcome IN {}", wanted.outcome),
        ("missing IN {}", wanted.missing),
        ("hasAny(flags, {})", wanted.flag),
        ("hasAny(`attempts.service`, {})", wanted.service),
        ("hasAny(`attempts.route`, {})", wanted.route),
        (_CONSUMER, wanted.consumer),
    ):
        if values:
            yield of_words.format(bound("Array(String)", list(values)))
    alternatives = (
        [_status(status, bound) for status in wanted.status],
        [_path(path, bound) for path in wanted.path],
        [_host(host.lower(), bound) for host in wanted.host],
        [_address(network, bound) for network in wanted.client_ip],
    )
    yield from (f"({' OR '.join(parts)})" for parts in alternatives if parts)
    if wanted.min_duration_ms is not None:
        yield f"duration_ms >= {bound('Float64', wanted.min_duration_ms)}"


def _times(wanted: Wanted, bound: _Bound) -> Iterator[str]:
    """Bound the start, and the bucket near it, by which partitions and granules are left out."""
    for time_us, sign, margin_s in ((wanted.since_us, ">=", -_MARGIN_S), (wanted.until_us, "<", _MARGIN_S)):
        if time_us is not None:
            yield f"start_time {sign} fromUnixTimestamp64Micro({bound('Int64', time_us)}, 'UTC')"
            bucket_s = min(max(time_us // 1_000_000 + margin_s, _BUCKETS[0]), _BUCKETS[1])
            yield f"bucket {sign[0]}= toDateTime({bound('UInt32', bucket_s)}, 'UTC')"


def _status(status: StatusRange, bound: _Bound) -> str:
    return f"status BETWEEN {bound('UInt16', status.low)} AND {bound('UInt16', status.high)}"


def _path(path: str, bound: _Bound) -> str:
    if is_pattern(path):
        return f"path LIKE {bound('String', like_of(path))}"
    return f"startsWith(path, {bound('String', path)})"


def _host(host: str, bound: _Bound) -> str:
    if is_pattern(host):
        return f"lowerUTF8(host) LIKE {bound('String', like_of(host))}"
    return f"lowerUTF8(host) = {bound('String', host)}"


def _address(network: Network, bound: _Bound) -> str:
    """Compare an address; what is no address (a unix socket, a name) is in no network.

    An IPv4 client of an IPv6 socket is logged as `::ffff:203.0.113.9`, and is meant too.
    """
    if isinstance(network, ipaddress.IPv6Network):
        return _within("isIPv6String", "::", network, bound)
    mapped = ipaddress.ip_network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    v4, v6 = _within("isIPv4String", "0.0.0.0", network, bound), _within("isIPv6String", "::", mapped, bound)
    return f"({v4} OR {v6})"


def _within(is_address: str, instead: str, network: Network, bound: _Bound) -> str:
    """Ask whether an address is in a network; the function raises for what is none, so it never sees such."""
    address = f"if({is_address}(client_ip), client_ip, '{instead}')"
    return f"({is_address}(client_ip) AND isIPAddressInRange({address}, {bound('String', str(network))}))"


def is_pattern(text: str) -> bool:
    """Whether a text is a glob, and not a plain word."""
    return "*" in text or "?" in text


def like_of(glob: str) -> str:
    """Write a glob (`*` for any text, `?` for one character) as a LIKE pattern."""
    escaped = "".join(f"\\{char}" if char in "\\%_" else char for char in glob)
    return escaped.replace("*", "%").replace("?", "_")

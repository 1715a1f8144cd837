"""What may be typed behind the options of a search."""

from __future__ import annotations

import ipaddress

import pytest

from pipeline.cli.search_options import moment_us, networks, one_of, span_us, status_ranges
from pipeline.errors import ConfigError

NOW_US = 1_795_460_400_000_000
"""2026-11-23T19:00:00Z"""


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("90s", NOW_US - 90_000_000),
        ("15m", NOW_US - 900_000_000),
        ("24h", NOW_US - 86_400_000_000),
        ("7d", NOW_US - 7 * 86_400_000_000),
        ("2w", NOW_US - 14 * 86_400_000_000),
        ("2026-11-23T19:00:00Z", NOW_US),
        ("2026-11-23T19:00:00.000001Z", NOW_US + 1),
        ("2026-11-23T20:00:00+01:00", NOW_US),
        ("2026-11-23 19:00", NOW_US),
        ("2026-11-23", NOW_US - 19 * 3_600_000_000),
        ("1960-01-01", -315_619_200_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_740_000_000),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800_000_000),
        ("999999w", -62_135_596_800_000_000),
    ],
)
def test_times_ago_and_rfc_3339_are_read(text: str, time_us: int) -> None:
    assert moment_us("--since", text, NOW_US) == time_us


@pytest.mark.parametrize(
    "text", ["", "15", "m", "15 m", "-5m", "1.5h", "tomorrow", "2026-02-30", "99999999d", "²m", "٣m"]
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since .* is no time; write 15m"):
        moment_us("--since", text, NOW_US)
    with pytest.raises(ConfigError, match="--since"):
        span_us("--since", text)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("503", [(503, 503)]),
        ("=503", [(503, 503)]),
        ("5xx", [(500, 599)]),
        ("4XX", [(400, 499)]),
        (">=400", [(400, 65_535)]),
        (">399", [(400, 65_535)]),
        ("<400", [(1, 399)]),
        ("<=399", [(1, 399)]),
        ("401, 403,5xx", [(401, 401), (403, 403), (500, 599)]),
    ],
)
def test_statuses_are_read(text: str, ranges: list[tuple[int, int]]) -> None:
    assert list(status_ranges([text])) == ranges


@pytest.mark.parametrize("text", ["", "xx", "0xx", "5x", "50000", "!=200", "200-299", "-1", ">=", "٥٠٣"])
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no status; write 503, 5xx or '>=400'"):
        status_ranges([text])


def test_addresses_and_networks_are_read_leniently_about_host_bits_alone() -> None:
    assert networks(["203.0.113.9", "203.0.113.9/24", "[2001:db8::1]"]) == (
        ipaddress.ip_network("203.0.113.9/32"),
        ipaddress.ip_network("203.0.113.0/24"),
        ipaddress.ip_network("2001:db8::1/128"),
    )
    with pytest.raises(ConfigError, match="--client-ip 'x' is no address"):
        networks(["x"])


def test_words_come_from_closed_lists() -> None:
    assert one_of("--outcome", ["a,b", "a"], ("a", "b")) == ("a", "b", "a")
    with pytest.raises(ConfigError, match="--outcome 'c' is not known; known are a, b"):
        one_of("--outcome", ["c"], ("a", "b"))

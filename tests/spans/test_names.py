"""Names, statuses and errors by the semantic conventions."""

import pytest

from pipeline.spans.names import client_error, edge_error, known_method, name_of, server_error, split_host


@pytest.mark.parametrize(
    ("method", "target", "name", "known"),
    [
        ("GET", "orders", "GET orders", "GET"),
        ("GET", None, "GET", "GET"),
        ("BREW", "orders", "HTTP orders", "_OTHER"),
        ("get", None, "HTTP", "_OTHER"),
        (None, None, "HTTP", None),
    ],
)
def test_a_name_is_a_known_method_and_a_target(
    method: str | None, target: str | None, name: str, known: str | None
) -> None:
    assert name_of(method, target) == name
    assert known_method(method) == known


@pytest.mark.parametrize(
    ("status", "termination", "error"),
    [
        (200, "----", (None, False)),
        (404, "----", (None, False)),
        (503, "SC--", ("503", True)),
        (200, "CD--", ("client_abort", True)),
        (200, "cD--", ("client_abort", True)),
        (200, "SD--", ("server_abort", True)),
        (200, "sD--", ("server_timeout", True)),
        (200, "PL--", ("edge_abort", True)),
        (None, "CR--", ("client_abort", False)),
        (408, "cR--", (None, False)),
        (None, "SH--", ("server_abort", True)),
        (None, None, (None, False)),
        (504, "sH--", ("504", True)),
    ],
)
def test_the_edge_span_fails_for_5xx_and_for_answers_that_were_cut_off(
    status: int | None, termination: str | None, error: tuple[str | None, bool]
) -> None:
    assert edge_error(status, termination) == error


def test_a_client_span_fails_for_4xx_too_and_a_server_span_does_not() -> None:
    assert client_error(404) == ("404", True)
    assert client_error(None) == ("no_response", True)
    assert client_error(302) == (None, False)
    assert server_error(404) == (None, False)
    assert server_error(500) == ("500", True)
    assert server_error(499) == ("client_abort", False)


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("api.example.com", "https", ("api.example.com", 443)),
        ("api.example.com:8443", "https", ("api.example.com", 8443)),
        ("[2001:db8::1]:8443", "http", ("2001:db8::1", 8443)),
        ("[2001:db8::1]", "http", ("2001:db8::1", 80)),
        ("api.example.com", None, ("api.example.com", None)),
        ("api:99999999999", "http", ("api:99999999999", 80)),
        ("", "http", (None, None)),
        (None, "http", (None, None)),
    ],
)
def test_a_host_is_an_address_and_a_port(
    host: str | None, scheme: str | None, expected: tuple[str | None, int | None]
) -> None:
    assert split_host(host, scheme) == expected

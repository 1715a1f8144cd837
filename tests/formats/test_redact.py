"""Secrets by name, by shape, hidden in other values; equal ones told equal; redacting twice is once."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.redact import Policy, Redactor

REDACTOR = Redactor(b"k" * 32)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
_VALUE = "S3cr3tValue0987"


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "id_token", "api_key", "apikey", "api-key", "key", "jwt", "sig", "signature", "password", "passwd",
     "pwd", "secret", "client_secret", "code", "state", "session", "sid", "auth", "X-Amz-Signature", "otp", "TOKEN", "%74oken",
     "a[password]", "user.password", "sessionid", "oauth_verifier", "hmac"],
)  # fmt: skip
def test_values_of_names_that_look_secret_are_replaced(name: str) -> None:
    query = REDACTOR.query(f"a=1&{name}={_VALUE}&b=2")
    assert _VALUE not in query
    assert query.startswith(f"a=1&{name}=~")
    assert query.endswith("&b=2")


@pytest.mark.parametrize(
    "name",
    ["page", "q", "monkey", "keyword", "statement", "author", "codec", "sort", "country_code2", "pinned"],
)
def test_other_values_are_kept(name: str) -> None:
    query = f"{name}=value&x=1"
    assert REDACTOR.query(query) == (query if name != "author" else REDACTOR.query(query))


@pytest.mark.parametrize(
    "secret",
    [JWT, "Bearer abcdef123456", "bearer%20abcdef123456", "Basic+dXNlcjpwYXNz", "ghp_abcdefghijklmnop", "glpat-abcdefghijklm",
     "xoxb-1234567890", "sk_live_abcdefgh12", "AKIAABCDEFGHIJKL", "AIzaSyA1234567890abcdefghij", "hvs.CAESIJ1234567890abc",
     "github_pat_abcdefghijklmnop1"],
)  # fmt: skip
def test_credentials_are_known_by_their_shape_wherever_they_stand(secret: str) -> None:
    assert secret not in REDACTOR.query(f"q={secret}&x=1")
    assert secret not in REDACTOR.query(secret)
    assert secret not in REDACTOR.path(f"/a/{secret}/b")
    assert secret not in REDACTOR.clean(f"agent ({secret})")
    assert secret not in REDACTOR.identifier(secret)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_secret_within_an_encoded_value_takes_the_value_with_it(times: int) -> None:
    inner = f"/cb?token={_VALUE}"
    for _ in range(times):
        inner = quote(inner, safe="")
    assert _VALUE not in REDACTOR.query(f"next={inner}&a=1")
    assert REDACTOR.query("next=%2Fcb%3Fpage%3D2") == "next=%2Fcb%3Fpage%3D2"


def test_separators_may_be_semicolons_and_matrix_parameters_are_parameters() -> None:
    assert _VALUE not in REDACTOR.query(f"a=1;token={_VALUE}")
    assert _VALUE not in REDACTOR.query(f"a=1&b=2;token={_VALUE}")
    assert REDACTOR.path(f"/a;jsessionid={_VALUE};v=2/b").endswith(";v=2/b")
    assert _VALUE not in REDACTOR.path(f"/a;jsessionid={_VALUE}")


def test_a_target_loses_userinfo_and_fragment() -> None:
    assert REDACTOR.uri(f"https://u:{_VALUE}@h/a?b=c#t={_VALUE}") == "https://h/a?b=c"
    assert REDACTOR.uri("/a@b?c=d@e") == "/a@b?c=d@e"


def test_equal_secrets_have_equal_fingerprints_under_one_key_alone() -> None:
    assert REDACTOR.query(f"token={_VALUE}") == "token=" + REDACTOR.secret(_VALUE)
    assert REDACTOR.secret(_VALUE) != Redactor(b"other key, 16 or more").secret(_VALUE)
    assert REDACTOR.secret(_VALUE) != REDACTOR.secret(_VALUE + "x")
    assert len(REDACTOR.fingerprint(b"x")) == 32


queries = st.lists(
    st.sampled_from(
        [
            "a=1",
            f"token={_VALUE}",
            f"x={JWT}",
            "next=%3Ftoken%3Dabc",
            "code",
            ";",
            "&",
            "=",
            "%",
            f"key={JWT}",
        ]
    )
    | st.text(max_size=8)
).map("&".join)


@given(queries)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    for act in (REDACTOR.query, REDACTOR.uri, REDACTOR.path, REDACTOR.clean):
        once = act(text)
        assert act(once) == once


def test_the_operator_names_more_secrets_and_fewer() -> None:
    redactor = Redactor(b"k" * 32, Policy(secret_names=("^ref$",), plain_names=("state",)))
    assert redactor.query("ref=abc&state=xyz") == f"ref={redactor.secret('abc')}&state=xyz"


def test_pseudonyms_are_off_unless_wanted() -> None:
    assert REDACTOR.user("alice") == "alice"
    assert REDACTOR.address("192.0.2.1") == "192.0.2.1"


@given(st.ip_addresses())
def test_an_address_gets_one_that_is_an_address_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    redactor = Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"client_ip"})))
    shown = redactor.address(str(address))
    assert shown is not None
    assert ipaddress.ip_address(shown).is_private
    assert redactor.address(shown) == shown
    if address.version == 4:
        assert redactor.address(f"::ffff:{address}") == shown
    assert (
        Redactor(b"another key of 32 bytes, or more", Policy(pseudonyms=frozenset({"client_ip"}))).address(
            str(address)
        )
        != shown
    )


def test_users_get_names_that_stay() -> None:
    redactor = Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"user"})))
    shown = redactor.user("alice")
    assert shown == redactor.user("alice") == redactor.user(shown)
    assert shown != redactor.user("bob")
    assert redactor.user(None) is None
    assert redactor.address("192.0.2.1") == "192.0.2.1"
    assert redactor.address("not an address") == "not an address"


def test_memory_does_not_grow_for_clients_that_make_names_up() -> None:
    redactor = Redactor(b"k" * 32)
    for number in range(20_000):
        redactor.query(f"n{number}=1")
        redactor.clean(f"agent {number}")
    assert len(redactor._names) <= 4096
    assert len(redactor._clean) <= 4096
    assert len(redactor._queries) <= 4096

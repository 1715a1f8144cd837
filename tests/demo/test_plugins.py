"""The gateway's plugins refuse and let pass as Kong's do."""

from __future__ import annotations

import json

import pytest

from pipeline.demo.declared import Declared
from pipeline.demo.plugins import Passage, Plugins, Refusal, is_signed, make_token, read_claims

NOW_US = 1_795_459_335_000_000
NOW_S = NOW_US // 1_000_000


def passage(*headers: tuple[str, str], now_us: int = NOW_US) -> Passage:
    return Passage("0" * 32, list(headers), now_us)


def run(declared: Declared, route: str, through: Passage, plugins: Plugins | None = None) -> Refusal | None:
    return (plugins or Plugins(declared)).run(through, declared.route(route).plugins)


def test_a_known_key_gives_the_consumer_and_is_hidden(declared: Declared) -> None:
    through = passage(("apikey", "mobile-key"), ("x-consumer-id", "forged"))
    assert run(declared, "orders", through) is None
    assert through.credential is not None
    headers = dict(through.headers)
    assert "apikey" not in headers
    assert headers["x-consumer-id"] == through.credential.consumer.entity["id"]
    assert headers["x-credential-identifier"] == through.credential.id
    assert len(through.headers) == len(headers)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], '{"message":"Unauthorized"}'),
        ([("authorization", "Basic abc")], '{"message":"Unauthorized"}'),
        ([("authorization", "Bearer not.a.token")], '{"message":"No credentials found for given \'iss\'"}'),
        (
            [("authorization", f"Bearer {make_token({'iss': 'billing-batch', 'exp': NOW_S + 9}, 'other')}")],
            '{"message":"Invalid signature"}',
        ),
        (
            [
                (
                    "authorization",
                    f"Bearer {make_token({'iss': 'billing-batch', 'exp': NOW_S - 9}, 'signing-secret')}",
                )
            ],
            '{"exp":"token expired"}',
        ),
    ],
)
def test_a_token_that_proves_nothing_is_refused_in_kongs_words(
    declared: Declared, headers: list[tuple[str, str]], body: str
) -> None:
    refused = run(declared, "payments", passage(*headers))
    assert refused is not None
    assert (refused.status, refused.body.decode()) == (401, body)
    assert dict(refused.headers)["WWW-Authenticate"].startswith("Bearer")


def test_a_valid_token_gives_the_consumer(declared: Declared) -> None:
    token = make_token({"iss": "billing-batch", "exp": NOW_S + 9}, "signing-secret")
    through = passage(("authorization", f"Bearer {token}"))
    assert run(declared, "payments", through) is None
    assert through.credential is not None
    assert through.credential.consumer.username == "billing-batch"
    assert dict(through.headers)["x-credential-identifier"] == "billing-batch"


def test_a_token_changed_by_one_character_is_not_signed() -> None:
    token = make_token({"iss": "a"}, "s")
    assert is_signed(token, "s")
    assert read_claims(token) == {"iss": "a"}
    head, claims, signature = token.split(".")
    for broken in (f"{head}.{claims}x.{signature}", f"{head}.{claims}.{signature[:-2]}", token + "é", ""):
        assert not is_signed(broken, "s")


@pytest.mark.parametrize("token", ["", ".", "a.b", "a.W10.c", "a.%%%.c", "a.eyJ.c"])
def test_what_is_no_token_has_no_claims(token: str) -> None:
    assert read_claims(token) == {}


def test_limits_count_in_windows_of_the_clock_and_refusals_do_not_count(declared: Declared) -> None:
    plugins = Plugins(declared)
    start_us = NOW_US - NOW_US % 60_000_000
    statuses = []
    for second in range(2):
        for _ in range(8):
            through = passage(("apikey", "acme-key"), now_us=start_us + second * 1_000_000)
            refused = run(declared, "partner-feed", through, plugins)
            statuses.append(refused.status if refused else 200)
            if refused:
                assert json.loads(refused.body)["message"] == "API rate limit exceeded"
                assert dict(through.answer_headers)["Retry-After"] == "1"
    assert statuses == ([200] * 5 + [429] * 3) * 2
    last = passage(("apikey", "acme-key"), now_us=start_us + 2_000_000)
    assert run(declared, "partner-feed", last, plugins) is None
    assert dict(last.answer_headers)["X-RateLimit-Remaining-Minute"] == str(120 - 11)


def test_the_minutes_limit_holds_where_the_seconds_do_not(declared: Declared) -> None:
    plugins, passed = Plugins(declared), 0
    start_us = NOW_US - NOW_US % 60_000_000
    for tenth in range(600):
        through = passage(("apikey", "acme-key"), now_us=start_us + tenth * 100_000)
        passed += run(declared, "partner-feed", through, plugins) is None
    assert passed == 120

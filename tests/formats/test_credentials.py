"""The cheap question before the dear search never hides a credential."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.credentials import CREDENTIAL, may_hold_credential

ALTERNATIVES = [
    r"eyJ[\w-]{5,9}\.[\w-]{4,9}(\.[\w-]{0,5})?",
    r"([Bb][Ee]arer|BASIC|digest|Negotiate|apiKey|tOken)([ +_:=]|%20|%3[AaDd]){1,3}[\w.~+/=%-]{6,12}",
    r"gh[a-z]_\w{16,20}|github_pat_\w{16,20}|glpat-[\w-]{12,16}|xox[a-z]-[\w-]{8,12}|[a-z]{2}_(live|test)_\w{8,12}",
    r"(AKIA|ASIA)[0-9A-Z]{12,16}|AIza[\w-]{20,24}|hv[sb]\.[\w-]{16,20}|npm_\w{20,24}",
    r"-----BEGIN[^-]{0,9}PRIVATE KEY.{0,9}",
]
around = st.text("/aZ9._-&=;?% \u00e9", max_size=6)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_a_credential_of_any_shape_is_looked_for(alternative: str) -> None:
    @settings(max_examples=200)
    @given(around, st.from_regex(re.compile(alternative, re.ASCII), fullmatch=True), around)
    def holds(before: str, secret: str, behind: str) -> None:
        text = before + secret + behind
        assert may_hold_credential(text) or CREDENTIAL.search(text) is None
        assert may_hold_credential(secret) >= (CREDENTIAL.fullmatch(secret) is not None)

    holds()


fragments = st.sampled_from(
    ["eyJ", "bearer", "BASIC", "Digest", "negotiate", "ApiKey", "TOKEN", "ghp_", "github_pat_", "glpat-", "xoxb-", "sk_live_", "rk_test_",
     "AKIA", "ASIA", "AIza", "hvs.", "hvb.", "npm_", "-----BEGIN RSA PRIVATE KEY", "A" * 20, "0123456789abcdef", ".", "-", "_", "/", "=", ":",
     "+", " ", "%20", "%3D", "\u017f", "\u212a", "\n"]
)  # fmt: skip


@given(st.lists(fragments, max_size=8).map("".join))
def test_where_nothing_is_looked_for_nothing_is(text: str) -> None:
    assert may_hold_credential(text) or CREDENTIAL.search(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "/orders/1/items",
        "/api/v1/users/33df4ccb-fc3a-4fcb-be9d-64c13e45f29c/cart",
        "sort=created_at",
        "api.example.com",
        "page=2",
    ],
)
def test_usual_paths_hosts_and_parameters_are_not_looked_through(text: str) -> None:
    assert not may_hold_credential(text)

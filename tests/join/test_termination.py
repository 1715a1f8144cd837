from __future__ import annotations

import itertools

import pytest

from pipeline.errors import ConfigError
from pipeline.join.termination import CAUSES, PHASES, REQUEST_COOKIES, RESPONSE_COOKIES, explain


def test_every_state_has_a_sentence() -> None:
    for letters in itertools.product(CAUSES, PHASES, REQUEST_COOKIES, RESPONSE_COOKIES):
        explained = explain("".join(letters))
        assert explained.sentence.endswith(".")
        assert explained.sentence[0].isupper()


@pytest.mark.parametrize(
    ("state", "reaches"),
    [("----", "yes"), ("SC--", "no"), ("sQ", "no"), ("PR--", "no"), ("sH--", "perhaps"), ("CD--", "yes")],
)
def test_it_says_whether_a_gateway_record_is_to_be_expected(state: str, reaches: str) -> None:
    assert explain(state).reaches_gateway == reaches


@pytest.mark.parametrize("state", ["", "S", "SC-", "SC---", "XC--", "SX--", "--x-", "---x"])
def test_what_is_no_state_is_refused_and_the_fault_named(state: str) -> None:
    with pytest.raises(ConfigError, match="state"):
        explain(state)

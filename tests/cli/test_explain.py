"""`hoptrail explain STATE`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("sH--", "The server was silent until its timeout ended while waiting for the response headers."),
        ("----", "The request ended normally."),
        ("SC--", "while the connection to the server was being made"),
        ("CD", "The client closed or reset the connection while data was being transferred."),
    ],
)
def test_a_state_is_said_in_words(run: Run, state: str, words: str) -> None:
    ran = run("explain", state)
    assert ran.code == 0
    assert words in " ".join(ran.out.split())
    assert words in json.loads(run("explain", "-o", "json", state).out)["sentence"]


@pytest.mark.parametrize("state", ["----", "--VN", "-R--", "--"])
def test_states_that_look_like_options_are_states(run: Run, state: str) -> None:
    words = ("explain", "--", state) if state == "--" else ("explain", state)
    ran = run(*words, "-o", "json") if state != "--" else run("explain", "-o", "json", "--", state)
    assert ran.code == 0
    assert json.loads(ran.out)["state"] == state


@pytest.mark.parametrize("state", ["S", "SCXX", "SC---", "zz--", "sH-\x1b"])
def test_what_is_no_state_is_refused_with_what_is_known(run: Run, state: str) -> None:
    ran = run("explain", state)
    assert ran.code == 2
    assert "state" in ran.err

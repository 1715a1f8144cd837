"""What becomes of raw records in a draft."""

from __future__ import annotations

import logging

import pytest

from pipeline.engine.draft import Draft, ParseStage
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.model import Delivery, Source
from pipeline.originals import Originals

REDACTOR = Redactor(b"only for these tests")
ORIGINALS = Originals(b"another key for these tests")
SECRET = b"s3cr3t-of-the-client"


def parsed(stage: ParseStage, *bodies: bytes, source: Source = Source.HAPROXY) -> Draft:
    draft = Draft(0)
    stage.parse(Delivery(source, list(bodies), 5, "192.0.2.1", 7), lambda *_: None, draft)
    return draft


def stage(originals: Originals | None = None) -> ParseStage:
    return ParseStage(HaproxyParser(redactor=REDACTOR), KongParser(redactor=REDACTOR), REDACTOR, originals)


def test_without_a_key_a_letter_has_no_original() -> None:
    (letter,) = parsed(stage(), b"token=" + SECRET).dead_letters
    assert (letter.original, letter.original_key) == (b"", None)


@pytest.mark.parametrize("source", list(Source))
def test_with_a_key_a_letter_has_its_original_sealed(source: Source) -> None:
    body = b"token=" + SECRET
    (letter,) = parsed(stage(ORIGINALS), body, source=source).dead_letters
    assert letter.original_key == ORIGINALS.key_id
    assert SECRET not in letter.original
    assert (
        ORIGINALS.open(letter.original, source=source, fingerprint=letter.fingerprint, size=letter.size)
        == body
    )


def test_an_original_that_is_too_long_is_not_kept_and_its_letter_is() -> None:
    (letter,) = parsed(stage(ORIGINALS), b"x" * (2 * 2**20)).dead_letters
    assert (letter.reason, letter.size) == ("too_large", 2 * 2**20)
    assert (letter.original, letter.original_key) == (b"", None)


def test_a_draft_knows_how_large_its_letters_are() -> None:
    draft = parsed(stage(ORIGINALS), *[b"{" + b"x" * 100_000] * 10, source=Source.KONG)
    assert draft.rows == 10
    assert draft.bytes > 10 * 100_000


class Stumbling:
    """A parser with a fault in it, whose exception quotes the record."""

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> None:  # noqa: ARG002 -- as the formats
        raise ValueError(body.decode())


def test_a_fault_of_a_parser_is_logged_without_what_the_client_wrote(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    draft = parsed(ParseStage(Stumbling(), Stumbling(), REDACTOR), SECRET)  # type: ignore[arg-type] # it raises
    (letter,) = draft.dead_letters
    assert letter.reason == "parser_error"
    assert "ValueError in test_draft.py" in letter.detail
    assert "ValueError in test_draft.py" in caplog.text
    assert SECRET.decode() not in caplog.text + letter.body + letter.detail

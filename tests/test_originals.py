"""Originals of dead letters: only their key opens them, and only as what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SealedOriginal
from pipeline.model import Source
from pipeline.originals import LONGEST_ORIGINAL, Originals

KEY = b"a key of these tests, 32 bytes.."
BODY = b"GET /a?token=S3cr3tValue nonsense \xff\x00"
FINGERPRINT = "00112233445566778899aabbccddeeff"


def seal(body: bytes = BODY) -> bytes:
    return Originals(KEY).seal(body, source=Source.HAPROXY, fingerprint=FINGERPRINT)


def open_(sealed: bytes, **changes: object) -> bytes:
    letter = {"source": Source.HAPROXY, "fingerprint": FINGERPRINT, "size": len(BODY)} | changes
    return Originals(KEY).open(sealed, **letter)  # type: ignore[arg-type] # a test changes one of them


@given(st.binary(max_size=2000))
def test_what_is_sealed_comes_back_and_is_not_to_be_read(body: bytes) -> None:
    sealed = seal(body)
    assert open_(sealed, size=len(body)) == body
    assert len(sealed) == len(body) + 45
    assert len(body) < 4 or body not in sealed


def test_the_same_original_is_sealed_otherwise_each_time() -> None:
    assert len({seal()[1:45] for _ in range(50)}) == 50


@pytest.mark.parametrize("position", [0, 1, 16, 17, 28, 29, 40, -17, -16, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    sealed = bytearray(seal())
    sealed[position] ^= 1
    with pytest.raises(SealedOriginal):
        open_(bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 28, 44, 45, 60])
def test_a_cut_original_is_noticed(length: int) -> None:
    with pytest.raises(SealedOriginal):
        open_(seal()[:length])


@pytest.mark.parametrize(
    "changes", [{"source": Source.KONG}, {"fingerprint": FINGERPRINT[::-1]}, {"size": len(BODY) + 1}]
)
def test_an_original_is_not_shown_as_that_of_another_letter(changes: dict[str, object]) -> None:
    with pytest.raises(SealedOriginal):
        open_(seal(), **changes)


def test_another_key_opens_nothing_and_has_another_name() -> None:
    other = Originals(KEY + b"!")
    assert other.key_id != Originals(KEY).key_id
    assert Originals(KEY).key_id == Originals(KEY).key_id
    with pytest.raises(SealedOriginal) as caught:
        other.open(seal(), source=Source.HAPROXY, fingerprint=FINGERPRINT, size=len(BODY))
    assert "S3cr3t" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_the_name_of_a_key_is_no_part_of_it() -> None:
    named = bytes.fromhex(Originals(KEY).key_id)
    assert len(named) == 8
    assert named not in KEY


def test_a_record_that_is_too_long_is_not_kept() -> None:
    assert seal(bytes(LONGEST_ORIGINAL + 1)) == b""
    assert len(seal(bytes(LONGEST_ORIGINAL))) == LONGEST_ORIGINAL + 45


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        Originals(b"too short")

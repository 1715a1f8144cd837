from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.log_format.shapes import ANY, Shape, alphabet, char_class, span

masks = st.integers(0, ANY).filter(bool)


@given(masks, st.characters())
def test_a_class_matches_the_characters_of_its_mask(mask: int, character: str) -> None:
    matches = re.fullmatch(char_class(mask), character, re.DOTALL) is not None
    assert matches is bool(mask & alphabet(character))


def test_spans_hold_both_ends() -> None:
    assert span("a", "c") == alphabet("abc")


@given(st.text(alphabet=st.sampled_from('ab"\\'), max_size=8))
def test_an_escaped_text_may_hold_what_ends_it(text: str) -> None:
    written = text.replace("\\", "\\\\").replace('"', '\\"')
    shape = Shape(ANY & ~alphabet('"'), escape=True)
    assert re.fullmatch(f'"({shape.regex()})"', f'"{written}"', re.DOTALL)

"""How a lineage is drawn. The drawings in `drawings/` were looked at, line by line: they are the promise."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from pipeline.cli.draw import draw_lineage
from pipeline.cli.draw_words import FLAGS, MATCHES, MISSING, duration, moment, size
from pipeline.cli.search import known_flags
from pipeline.document import lineage_document
from pipeline.join import expect
from pipeline.model import Lineage

DRAWINGS = Path(__file__).with_name("drawings")


def drawn(lineage: Lineage, width: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(draw_lineage(lineage_document(lineage)))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "name", ["retried", "denied", "bypassed", "conflict", "reused", "hostile", "lost", "storm"]
)
def test_a_story_is_drawn_as_it_was_reviewed(stories: dict[str, Lineage], name: str, width: int) -> None:
    expected = (DRAWINGS / f"{name}-{width}.txt").read_text(encoding="utf-8")
    assert drawn(stories[name], width) == expected


@pytest.mark.parametrize("estimate_ms", [None, 400.0, -3000.0])
@pytest.mark.parametrize("gateway_ms", [400, -400, 3_600_000])
def test_an_attempt_is_drawn_within_its_edge_record_whatever_the_clocks_say(
    stories: dict[str, Lineage], gateway_ms: int, estimate_ms: float | None
) -> None:
    whole = stories["retried"]
    assert whole.edge is not None
    attempts = tuple(
        msgspec.structs.replace(one, started_us=one.started_us + gateway_ms * 1000) for one in whole.attempts
    )
    skewed = msgspec.structs.replace(whole, attempts=attempts, clock_offset_ms=estimate_ms)
    began = re.findall(r"began after ([\d.]+) (ms|s)( \(clocks set right\))?", drawn(skewed, 200))
    assert len(began) == len(attempts)
    assert all(said for *_, said in began) or abs(gateway_ms) < 1000
    for number, unit, _ in began:
        assert 0 <= float(number) * (1000 if unit == "s" else 1) <= (whole.edge.timers.Ta or 0)


def test_a_captured_retry_of_three_attempts_is_drawn_as_it_was_reviewed(corpus: list[Lineage]) -> None:
    lineage = next(one for one in corpus if one.request_id == "35a7da23-c7b5-4a74-b3ff-191b2f3dbce9")
    expected = (DRAWINGS / "captured-retry-80.txt").read_text(encoding="utf-8")
    assert drawn(lineage, 80) == expected


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_asked_or_ends_in_blanks(
    corpus: list[Lineage], captured: dict[str, list[Lineage]], stories: dict[str, Lineage], width: int
) -> None:
    some = [*corpus[::50], *stories.values(), *(one for case in captured.values() for one in case[:2])]
    for lineage in some:
        for line in drawn(lineage, width).splitlines():
            assert len(line) <= width
            assert line == line.rstrip()


def test_nothing_that_was_logged_reaches_the_terminal_as_a_command(
    stories: dict[str, Lineage], captured: dict[str, list[Lineage]]
) -> None:
    hostile = [stories["hostile"], *(one for case in captured.values() for one in case)]
    for lineage in hostile:
        text = drawn(lineage, 100)
        assert all(char.isprintable() or char == "\n" for char in text)
    assert r"\x1b[2J" in drawn(stories["hostile"], 200)
    assert "[bold red]x[/]" in drawn(stories["hostile"], 200)


def test_colours_change_nothing_but_colour(stories: dict[str, Lineage]) -> None:
    for lineage in stories.values():
        coloured = drawn(lineage, 80, colour=True)
        assert "\x1b[" in coloured
        plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
        assert "\x1b" not in plain
        assert plain == drawn(lineage, 80)


def test_a_colour_ends_with_the_word_it_is_for(stories: dict[str, Lineage]) -> None:
    coloured = drawn(stories["retried"], 80, colour=True)
    assert "\x1b[1;32m200\x1b[0m POST " in coloured
    assert "\x1b[1;32mok:\x1b[0m Answered 200" in coloured
    assert "\x1b[1;31m503\x1b[0m by kong" in coloured


def test_the_waterfall_shows_each_phase_once_and_in_its_place(stories: dict[str, Lineage]) -> None:
    document = lineage_document(stories["retried"])
    lines = drawn(stories["retried"], 120).splitlines()
    bars = lines[lines.index("where the 1.05 s went") + 1 :]
    assert len(bars) == len(document["phases"])
    starts = [len(bar[30:]) - len(bar[30:].lstrip()) for bar in bars]
    assert starts == sorted(starts)
    assert all(re.search(r"[▏▎▍▌▋▊▉█]", bar) for bar in bars)


def test_every_flag_reason_and_match_has_its_words() -> None:
    assert set(known_flags()) == set(FLAGS)
    assert set(expect.MISSING) == set(MISSING)
    assert set(MATCHES) == {"proven", "matched", "conflict", "unmatched"}
    assert all(len(words) < 90 for words in FLAGS.values())


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (None, "?"),
        (0.0, "0 ms"),
        (0.04, "0.04 ms"),
        (0.4, "0.4 ms"),
        (3.14159, "3.14 ms"),
        (41.0, "41 ms"),
        (41.56, "41.6 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (1050.0, "1.05 s"),
        (59_994.0, "60.0 s"),
        (60_000.0, "1 m 00 s"),
        (123_456.0, "2 m 03 s"),
    ],
)
def test_durations_are_said_in_three_digits(ms: float | None, words: str) -> None:
    assert duration(ms) == words


@pytest.mark.parametrize(
    ("count", "words"), [(None, "?"), (0, "0 B"), (778, "778 B"), (1930, "1.9 KiB"), (2**30, "1.0 GiB")]
)
def test_sizes_have_their_unit(count: int | None, words: str) -> None:
    assert size(count) == words


def test_moments_keep_microseconds_where_there_are_any() -> None:
    assert moment("2026-11-23T18:57:25.477000Z") == "2026-11-23 18:57:25.477"
    assert moment("2026-11-23T18:57:25.477123Z") == "2026-11-23 18:57:25.477123"
    assert moment(None) == "?"

"""What is said again and again does not hide what is said once."""

from __future__ import annotations

import logging

from pipeline.bus.kafka.repetitions import Repetitions
from pipeline.clock import ManualClock


def line(text: str, *args: object, name: str = "aiokafka", level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, text, args, None)


def test_a_kind_of_line_is_said_once_in_half_a_minute_and_then_with_how_often_it_was() -> None:
    clock = ManualClock(10**18)
    repetitions = Repetitions(clock)
    assert repetitions.filter(line("no node %d", 1))
    assert not any(repetitions.filter(line("no node %d", node)) for node in range(40))
    assert repetitions.filter(line("something else"))
    clock.turn_to(10**18 + 30 * 10**9)
    again = line("no node %d", 7)
    assert repetitions.filter(again)
    assert again.getMessage() == "no node 7 (and 40 more such lines before)"


def test_what_others_say_and_what_is_no_warning_is_never_held_back() -> None:
    repetitions = Repetitions(ManualClock(10**18))
    for one in (line("x", name="pipeline.sinks.clickhouse"), line("x", level=logging.INFO)):
        assert all(repetitions.filter(one) for _ in range(3))

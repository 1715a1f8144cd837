"""What a client asks for counts where it is less."""

from __future__ import annotations

import pytest

from pipeline.web.door_refusal import DoorRefusal
from pipeline.web.door_settings import Limits, engine_settings

LIMITS = Limits(rows=1000, bytes=2000, seconds=30.0, memory_bytes=4000, threads=2)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [("10", "10"), ("1000", "1000"), ("1001", "1000"), ("0", "1000"), ("9" * 19, "1000"), ("0.0", "1000")],
)
def test_a_limit_is_lowered_and_never_raised(asked: str, granted: str) -> None:
    assert engine_settings({"max_result_rows": asked}, LIMITS)["max_result_rows"] == granted


def test_without_a_wish_the_account_decides() -> None:
    assert engine_settings({}, LIMITS) == {
        "max_result_rows": "1000",
        "max_result_bytes": "2000",
        "max_execution_time": "30.000",
        "max_memory_usage": "4000",
        "max_threads": "2",
        "result_overflow_mode": "throw",
        "session_timezone": "UTC",
    }


def test_ignored_settings_reach_nothing() -> None:
    sent = {"session_id": "x'; DROP", "readonly": "2", "compress": "0", "log_comment": "other"}
    assert engine_settings(sent, LIMITS) == engine_settings({}, LIMITS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_result_rows", "-1"),
        ("max_result_rows", "1e9"),
        ("max_execution_time", "inf"),
        ("max_execution_time", "nan"),
        ("max_threads", "1' , readonly = '0"),
        ("session_timezone", "UTC'"),
        ("result_overflow_mode", "drop"),
        ("final", "yes"),
        ("limit", "1;"),
        ("readonly", "0"),
        ("compress", "1"),
        ("Max_result_rows", "1"),
        ("", "1"),
    ],
)
def test_anything_else_is_refused(name: str, value: str) -> None:
    with pytest.raises(DoorRefusal):
        engine_settings({name: value}, LIMITS)

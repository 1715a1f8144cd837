"""The queue keeps, is bounded, and its account holds whatever happens."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.sinks.otlp.queue import SpanQueue, read_account
from pipeline.spans import Frame
from pipeline.spans.waiting import DISK_ERROR, DROPPED, QUEUE_FULL, SENT

Make = Callable[..., Frame]


def test_frames_come_out_in_order_and_the_account_says_what_became_of_them(
    queue: SpanQueue, make_frame: Make
) -> None:
    frames = [make_frame("one"), make_frame("two", 3)]
    assert queue.put(frames)
    first = queue.first(0)
    assert first is not None
    assert first.frame == frames[0]
    queue.done(first, {(SENT, ""): 2})
    second = queue.first(0)
    assert second is not None
    assert second.frame == frames[1]
    assert queue.account() == ({(SENT, ""): 2}, 3, len(frames[1].body))
    queue.done(second, {(SENT, ""): 1, (DROPPED, "rejected"): 2})
    assert queue.first(0) is None
    assert queue.account().fates == {(SENT, ""): 3, (DROPPED, "rejected"): 2}
    assert queue.account().received == 5


def test_what_was_put_in_is_there_after_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "spans.db"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.sinks.otlp.queue import SpanQueue\n"
        "from pipeline.spans import Frame\n"
        "queue = SpanQueue(Path(sys.argv[1]), 2**20)\n"
        "queue.put([Frame(b'one', 1), Frame(b'two', 2)])\n"
        "queue.drop('queue_full', 7)\n"
        "stored = queue.first(0)\n"
        "queue.done(stored, {('sent', ''): 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file], check=False)
    assert done.returncode == -signal.SIGKILL
    left = read_account(file)
    assert left is not None
    assert left == ({(SENT, ""): 1, (DROPPED, QUEUE_FULL): 7}, 2, 3)
    again = SpanQueue(file, 2**20)
    stored = again.first(0)
    assert stored is not None
    assert stored.frame == Frame(b"two", 2)
    again.close()


def test_room_is_what_the_bytes_that_wait_leave(queue: SpanQueue) -> None:
    queue.put([Frame(b"x" * 2**19, 1)])
    assert queue.room == 2**19
    queue.put([Frame(b"x" * 2**20, 1)])
    assert queue.room == 0


def test_a_disk_that_takes_nothing_loses_spans_with_a_reason(queue: SpanQueue, make_frame: Make) -> None:
    queue._database.execute("PRAGMA query_only = ON")
    assert not queue.put([make_frame("lost", 3)])
    assert queue.account().fates == {(DROPPED, DISK_ERROR): 3}
    queue._database.execute("PRAGMA query_only = OFF")
    assert queue.put([make_frame("kept")])
    stored = queue.first(0)
    assert stored is not None
    queue.done(stored, {(SENT, ""): 2})
    ((told,),) = queue._ask("SELECT sum(spans) FROM account")
    assert told == 5


def test_a_queue_is_called_the_same_for_as_long_as_its_file_is(tmp_path: Path, queue: SpanQueue) -> None:
    name = queue.name
    queue.close()
    again = SpanQueue(tmp_path / "spans.db", 2**20)
    other = SpanQueue(tmp_path / "other.db", 2**20)
    assert again.name == name != other.name
    again.close()
    other.close()


def test_drops_that_the_disk_did_not_take_are_not_replaced_by_what_leaves_next(
    tmp_path: Path, queue: SpanQueue, make_frame: Make
) -> None:
    """Both are counted under one reason, and both are there after a restart."""
    queue.put([make_frame("one", 2)])
    queue._database.execute("PRAGMA query_only = ON")
    queue.drop("rejected", 5)
    queue._database.execute("PRAGMA query_only = OFF")
    stored = queue.first(0)
    assert stored is not None
    queue.done(stored, {(DROPPED, "rejected"): 2})
    queue.close()
    account = read_account(tmp_path / "spans.db")
    assert account is not None
    assert account.fates == {(DROPPED, "rejected"): 7}


def test_nobody_else_may_read_the_queue(tmp_path: Path, queue: SpanQueue) -> None:
    assert queue.room
    assert stat.S_IMODE((tmp_path / "spans.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 9, None])
def test_a_file_that_is_no_queue_is_a_configuration_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "spans.db"
    if content is None:
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"spans\.db cannot be used"):
        SpanQueue(file, 2**20)
    assert read_account(file) is None


def test_two_processes_do_not_share_a_queue(tmp_path: Path, queue: SpanQueue, make_frame: Make) -> None:
    queue.put([make_frame("mine")])
    with pytest.raises(ConfigError, match="locked"):
        SpanQueue(tmp_path / "spans.db", 2**20)


def test_an_emptied_queue_gives_its_space_back(tmp_path: Path) -> None:
    queue = SpanQueue(tmp_path / "spans.db", 2**26)
    queue.put([Frame(os.urandom(2**20), 1) for _ in range(40)])
    while (stored := queue.first(0)) is not None:
        queue.done(stored, {(SENT, ""): 1})
    queue.close()
    assert (tmp_path / "spans.db").stat().st_size < 20 * 2**20


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.integers(1, 5), min_size=1, max_size=3)),
        st.tuples(st.just("done"), st.sampled_from([SENT, DROPPED])),
        st.tuples(st.just("drop"), st.integers(1, 9)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=20,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_the_account_reconciles_after_any_steps(
    tmp_path_factory: pytest.TempPathFactory, taken: list[tuple[str, object]]
) -> None:
    file = tmp_path_factory.mktemp("queue") / "spans.db"
    queue = SpanQueue(file, 2**20)
    received = 0
    for step, value in taken:
        if step == "put":
            queue.put([Frame(b"body", spans) for spans in value])
            received += sum(value)
        elif step == "drop":
            queue.drop(QUEUE_FULL, value)
            received += value
        elif step == "done" and (stored := queue.first(0)) is not None:
            queue.done(stored, {(value, ""): stored.frame.spans})
        elif step == "reopen":
            queue.close()
            queue = SpanQueue(file, 2**20)
        assert queue.account().received == received
    queue.close()

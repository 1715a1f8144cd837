"""Sends what is in the queue, one frame after the other, on a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import RetryableError
from pipeline.sinks.otlp.answers import REJECTED, Answer, Later, Refused, Taken
from pipeline.spans.waiting import DROPPED, SENT, Fate, SpanOutlet, Stored

_log = logging.getLogger(__name__)

_IDLE_S = 60.0
_LAST_S = 1.0


class Transport(Protocol):
    """A way to a receiver; used by one thread."""

    def send(self, body: bytes) -> Answer:
        """Send one `ExportTraceServiceRequest` and wait for the answer; never raises for what it is."""
        ...

    def interrupt(self) -> None:
        """Make a `send` that waits come back soon; from any thread."""
        ...

    def close(self) -> None:
        """Give the connection up; safe to call twice."""
        ...


@dataclass(slots=True)
class Progress:
    """What became of requests since the process began; written by the exporter's thread alone."""

    requests: int = 0
    """Requests that the receiver answered for good."""
    retries: int = 0
    """Answers, or silences, after which the same was to be sent again."""
    trouble: str = ""
    """What the receiver said last, if that was no success; harmless text of one line."""


class Exporter:
    """Empties a queue into a transport until it is stopped.

    Frames are sent in order, and one that is to be sent later holds up those behind it: the receiver wants none
    of them. A frame that it will never take is dropped, counted with the reason.

    Args:
        queue: Where frames come from.
        transport: Where they go.
        first_retry_s: First pause after a failure, seconds; doubles up to the longest.
        longest_retry_s: Longest pause, unless the receiver names one.
    """

    def __init__(
        self,
        queue: SpanOutlet,
        transport: Transport,
        *,
        first_retry_s: float = 0.5,
        longest_retry_s: float = 30.0,
    ) -> None:
        self.progress = Progress()
        self._queue = queue
        self._transport = transport
        self._first_retry_s, self._longest_retry_s = first_retry_s, longest_retry_s
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, drain_s: float) -> None:
        """Send what is left as long as the receiver takes it, at most for `drain_s`; the rest stays on disk."""
        self._deadline = time.monotonic() + drain_s
        self._stopping.set()
        self._queue.end_waiting()
        self._thread.join(drain_s)
        if self._thread.is_alive():
            self._transport.interrupt()
            self._thread.join(_LAST_S)

    def _run(self) -> None:
        try:
            self._send_all()
        finally:
            self._transport.close()

    def _send_all(self) -> None:
        pause_s = self._first_retry_s
        while not self._is_over():
            wait_s = self._send_one(pause_s)
            if wait_s is None:
                pause_s = self._first_retry_s
                continue
            if self._stopping.wait(wait_s):
                return  # what was not sent stays in the queue
            pause_s = min(pause_s * 2, self._longest_retry_s)

    def _send_one(self, pause_s: float) -> float | None:
        """Send what is next; gives how long to rest where that failed, or where there is nothing more to send."""
        try:
            stored = self._queue.first(_IDLE_S)
            if stored is None:
                return 0.0 if self._stopping.is_set() else None
            answer = self._transport.send(stored.frame.body)
            if isinstance(answer, Later):
                self._note(answer, answer.words)
                return pause_s * random.uniform(0.5, 1.0) if answer.after_s is None else answer.after_s  # noqa: S311 -- jitter
            self._settle(stored, answer)
        except RetryableError as error:
            self.progress.trouble = f"the queue of spans does not answer, some may be sent twice: {error}"
            _log.error("%s", self.progress.trouble)
            return pause_s
        except Exception as error:  # noqa: BLE001 -- were this thread to end, nobody would send any more
            self.progress.trouble = f"sending failed: {type(error).__name__}"
            _log.exception("sending spans failed, and goes on")
            return pause_s
        return None

    def _is_over(self) -> bool:
        return self._stopping.is_set() and time.monotonic() >= self._deadline

    def _settle(self, stored: Stored, answer: Taken | Refused) -> None:
        """Let a frame leave the queue."""
        fates = fates_of(stored.frame.spans, answer)
        self._queue.done(stored, fates)
        self.progress.requests += 1
        lost = {reason: spans for (kind, reason), spans in fates.items() if kind == DROPPED}
        if lost:
            self._note(answer, answer.words)
            _log.warning("the receiver of spans did not take some: %s (%s)", lost, answer.words)
        else:
            self.progress.trouble = ""

    def _note(self, answer: Answer, words: str) -> None:
        progress = self.progress
        if isinstance(answer, Later):
            progress.retries += 1
            if progress.trouble != words:
                _log.warning("the receiver of spans is not ready, they wait: %s", words)
        progress.trouble = words


def fates_of(spans: int, answer: Taken | Refused) -> dict[Fate, int]:
    """Say what became of a frame's spans; they sum to `spans`, whatever a receiver claims to have rejected."""
    if isinstance(answer, Refused):
        return {(DROPPED, answer.reason): spans}
    rejected = min(answer.rejected, spans)
    fates: dict[Fate, int] = {(SENT, ""): spans - rejected}
    if rejected:
        fates[DROPPED, REJECTED] = rejected
    return fates

"""Every error Hoptrail raises, drawn as a tree.  PURE: no I/O, imports nothing of ours.

PipelineError
├── ConfigError          wrong before start: one clear line, exit 2
├── PermanentError       the same bytes will fail again: dead-letter, count, commit, go on
│   ├── MalformedLine    bytes that are not what their source writes
│   └── SealedOriginal   an encrypted original that this key does not open
└── RetryableError       the same data may pass later: hold, back off, do not commit
    ├── BusFull          the bus is at its cap: tell who can be told, count for who cannot
    └── StoreUnavailable the store did not make a batch durable
"""

from __future__ import annotations


class PipelineError(Exception):
    """Anything that Hoptrail itself raises on purpose."""


class ConfigError(PipelineError):
    """The operator's input is wrong; the message names the field and the fix."""


class PermanentError(PipelineError):
    """These bytes will fail again, however often they are tried."""


class MalformedLine(PermanentError):  # noqa: N818 -- says what is the case, as the design names it
    """Bytes that are not a record of the kind their source writes.

    Attributes:
        reason: A word from a closed set, for counters and dead letters: `not_json`,
            `not_a_log_line`, `truncated`, `too_large`, …
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class SealedOriginal(PermanentError):  # noqa: N818 -- says what is the case, as the others do
    """The encrypted original of a dead letter that the key at hand does not open."""


class RetryableError(PipelineError):
    """The same data may pass later."""


class BusFull(RetryableError):  # noqa: N818 -- says what is the case, as the design names it
    """The bus holds as many bytes as it may and keeps nothing more until some are committed."""


class StoreUnavailable(RetryableError):  # noqa: N818 -- says what is the case, as the design names it
    """The store did not take a batch, or did not answer."""

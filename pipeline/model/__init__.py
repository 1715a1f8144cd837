r"""The nouns: what lies on the bus, what the formats read, what the join makes.

PURE: frozen, slotted values and nothing else; no I/O, no clock, no client library.

Units: `*_us` are UTC epoch microseconds (or microseconds of duration where the name says so),
`*_ns` nanoseconds, `*_ms` milliseconds. `None` is "unknown"; HAProxy's `-1` and `-` become None.
Text is valid Unicode without surrogates: formats replace what was not UTF-8 (`\xff`) and flag it.
"""

from pipeline.model.edge import EdgeEvent, EdgeRecord, Timers
from pipeline.model.gateway import GatewayRecord, Try
from pipeline.model.lineage import Identity, Lineage, Phase, SpanRecord, StoreKey, Verdict
from pipeline.model.records import Delivery, Outcome, OutcomeKind, Source
from pipeline.model.side import DeadLetter, LedgerRow

__all__ = [
    "DeadLetter",
    "Delivery",
    "EdgeEvent",
    "EdgeRecord",
    "GatewayRecord",
    "Identity",
    "LedgerRow",
    "Lineage",
    "Outcome",
    "OutcomeKind",
    "Phase",
    "Source",
    "SpanRecord",
    "StoreKey",
    "Timers",
    "Try",
    "Verdict",
]

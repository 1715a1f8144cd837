"""I/O: keep raw records until what came of them is durable elsewhere.

One contract (`contracts.Bus`), two implementations, one suite (`tests/contracts/test_bus.py`): `journal` on
the local disk, `memory` for replays and tests. What both share is pure: `books` (who is pending, what became
of the others) and `unread`. Nothing here looks into a record.
"""

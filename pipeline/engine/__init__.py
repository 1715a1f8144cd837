"""I/O: the loops that move data; the only rooms' code with both a `while` and an `await`.

Two stages, each a task of one event loop: `gather` reads the bus, parses and joins; `write` asks the store
what it already holds, settles, writes, and commits.

Back pressure: one draft may wait between them. A store that does not answer stops the reading, the bus
fills, and the sources tell their peers.

Delivery: what is committed is the lowest offset whose record is not durable; a kill at any instruction
re-reads from there, and the store's keys make the second writing the same rows.
"""

from pipeline.engine.engine import Engine, EngineLimits
from pipeline.engine.progress import Progress
from pipeline.engine.thread import EngineThread

__all__ = ["Engine", "EngineLimits", "EngineThread", "Progress"]

"""I/O: up to when HAProxy's lines are stored, whichever process has them: what is missing before that was lost.

A line's number says nothing of the partition that it lies in, so one partition's commit says nothing of the line
before it. What can be asked is whether the whole group has committed what was written before a time.
"""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import client_settings, reach
from pipeline.bus.kafka.reading import read_topics
from pipeline.bus.kafka.refusals import explain
from pipeline.clock import Clock
from pipeline.config import BusConfig
from pipeline.errors import ConfigError
from pipeline.model import Source

_DELAY_S = 60
"""How long after it was logged a line is written to its topic, at most, as a rule."""
_NS = 10**9


class Front:
    """Asks for the whole group, where it is this process's turn.

    Args:
        bus: Cluster, topics, group.
        clock: Says what the time is.
        leads: Whether it is this process's turn.
        window_s: The join's window: for so long a line is not committed as a rule.
    """

    def __init__(self, bus: BusConfig, clock: Clock, leads: Callable[[], bool], window_s: float) -> None:
        self._bus = bus
        self._clock = clock
        self._leads = leads
        self._window_s = window_s
        self._settled_s = 0

    async def settled_s(self) -> int | None:
        """Give the time before which all that was logged is stored, UTC epoch seconds; 0 while that is unknown.

        None where another process is to ask. While the group is behind the answer stays what it was.

        Raises:
            ConfigError: No broker answers, or it does not let us look.
        """
        if not self._leads():
            return None
        written_s = int(self._clock.now_ns() / _NS - 2 * self._window_s)
        if await is_read_up_to(self._bus, written_s):
            self._settled_s = written_s - _DELAY_S
        return self._settled_s


async def is_read_up_to(bus: BusConfig, time_s: float) -> bool:
    """Say whether all HAProxy's lines that were written to their topic before a time are committed by the group.

    Args:
        bus: Cluster, topics, group.
        time_s: UTC epoch seconds.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    kafka = bus.kafka
    consumer = AIOKafkaConsumer(
        **client_settings(bus, "admin"), group_id=kafka.group, enable_auto_commit=False
    )
    try:
        await reach(consumer, bus)
        wanted = [TopicPartition(kafka.edge_topic, number) for number in range(kafka.partitions)]
        found = await read_topics(consumer, [(Source.HAPROXY, one) for one in wanted])
        later = await consumer.offsets_for_times(dict.fromkeys(wanted, int(time_s * 1000)))
    except KafkaError as error:
        raise ConfigError(
            f"bus.kafka.group: cannot look at {kafka.group}: {explain(error, bus.kafka, 'Describe')}"
        ) from error
    finally:
        await consumer.stop()
    return all(
        topic.next >= (first.offset if (first := later[one]) is not None else end)
        for one, (topic, end) in found.items()
    )

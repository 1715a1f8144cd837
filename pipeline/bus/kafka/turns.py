"""I/O: what the group says when partitions go and come, handed on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

_log = logging.getLogger(__name__)


class Member(Protocol):
    """Who takes the turns."""

    async def revoked(self) -> None:
        """Everything goes; called at each rebalance, before anything comes."""
        ...

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin with what is ours now."""
        ...

    def fail(self, error: BaseException) -> None:
        """Take note of what ends this process."""
        ...


class Turns(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Hands the group's turns on; aiokafka swallows what a listener raises, so it is kept."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Everything goes, at each rebalance."""
        del revoked
        try:
            await self._member.revoked()
        except Exception as error:
            self._member.fail(error)
            raise

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin with what we have now."""
        try:
            await self._member.assigned(assigned)
        except KafkaError as error:
            _log.error("could not begin with the partitions given: %s", error)
            self._member.fail(error)
        except Exception as error:
            self._member.fail(error)
            raise

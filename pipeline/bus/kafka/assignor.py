"""Who gets which partitions: a number is given with both its topics, to one process.  PURE.

Both topics are cut alike, so that one with more partitions than the other (somebody added some) splits no pair.
Partitions that only one topic has hold nothing of ours, and nobody gets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class PairAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka ships no types
    """Gives each member a run of numbers; runs differ by one in length at most."""

    name = "hoptrail-pairs"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Spread the numbers over the members; called on the one that leads the group."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        counts = [len(cluster.partitions_for_topic(topic) or ()) for topic in topics]
        runs = spread(min(counts, default=0), sorted(members))
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version, [(topic, list(runs[member])) for topic in topics], b""
            )
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Say which topics a member wants."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is remembered."""


def spread(partitions: int, members: list[str]) -> dict[str, range]:
    """Cut the numbers into runs, one a member, in the members' order (static ones keep theirs)."""
    count = len(members)
    return {
        member: range(partitions * at // count, partitions * (at + 1) // count)
        for at, member in enumerate(members)
    }

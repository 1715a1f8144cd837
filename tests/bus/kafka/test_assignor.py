"""Who gets which partitions."""

from __future__ import annotations

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.assignor import PairAssignor, spread


class Cluster(ClusterMetadata):  # type: ignore[misc] # aiokafka ships no types
    """Knows how many partitions a topic has."""

    def __init__(self, **topics: int) -> None:
        super().__init__()
        self._counts = topics

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        count = self._counts.get(topic)
        return None if count is None else set(range(count))


def assigned(cluster: Cluster, members: list[str]) -> dict[str, dict[str, list[int]]]:
    wanted = {member: PairAssignor.metadata(["edge", "gateway"]) for member in members}
    return {
        member: dict(assignment.assignment)
        for member, assignment in PairAssignor.assign(cluster, wanted).items()
    }


@given(st.integers(0, 40), st.integers(0, 40), st.sets(st.text(min_size=1), min_size=1, max_size=9))
def test_both_topics_of_a_number_go_to_one_member_whatever_their_counts(
    edge: int, gateway: int, members: set[str]
) -> None:
    found = assigned(Cluster(edge=edge, gateway=gateway), list(members))
    assert set(found) == members
    given_out = []
    for topics in found.values():
        assert topics["edge"] == topics["gateway"]
        given_out += topics["edge"]
    assert sorted(given_out) == list(range(min(edge, gateway)))
    sizes = [len(topics["edge"]) for topics in found.values()]
    assert max(sizes) - min(sizes) <= 1


def test_a_member_of_the_same_name_gets_the_same_partitions_again() -> None:
    before = spread(12, ["join-1-aa", "join-2-bb", "join-3-cc"])
    after = spread(12, ["join-1-aa", "join-2-zz", "join-3-cc"])
    assert list(before.values()) == list(after.values())


def test_a_topic_that_is_not_there_gives_nobody_anything() -> None:
    assert assigned(Cluster(edge=4), ["one"]) == {"one": {"edge": [], "gateway": []}}


def test_it_is_what_aiokafka_takes() -> None:
    assert issubclass(PairAssignor, AbstractPartitionAssignor)
    PairAssignor.on_assignment(None)

"""Groups become rows: at once where nothing needs to be asked, else when their batch is written."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contracts import Store
from pipeline.engine.draft import Draft
from pipeline.engine.faults import NOT_THE_RECORDS, Faults
from pipeline.engine.progress import Progress
from pipeline.engine.recall import asker
from pipeline.join.clocks import ClockOffsets
from pipeline.join.group import Group
from pipeline.join.settle import Settled, settle
from pipeline.model import Lineage


class Settling:
    """Settles groups one by one.

    Args:
        faults: Told of what nobody foresaw.
        progress: Told of the buckets that rows are in, and of what is given up.
    """

    def __init__(self, faults: Faults, progress: Progress) -> None:
        self._faults = faults
        self._progress = progress
        self._clocks = ClockOffsets()

    def settle(
        self, group: Group, known: Sequence[Lineage] = (), kept: Sequence[Lineage] = ()
    ) -> Settled | str:
        """Settle a group; gives the fault where that fails. What still waits leaves by no outcome."""
        try:
            settled = settle(group, known, kept)
        except NOT_THE_RECORDS:
            raise
        except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
            return self._faults.tell("settling a group", error)
        if group.closed == "pending":
            return settled._replace(outcomes=[])
        self._progress.evicted += group.closed == "evicted"
        return settled

    def finish(self, lineages: Sequence[Lineage]) -> None:
        """Put into rows that were just made what others made with them tell: how far clocks stand apart."""
        self._clocks.learn(lineages)
        self._clocks.mark(lineages)
        for bucket_s in {row.bucket_s for row in lineages}:
            self._progress.cover(bucket_s)


class EarlySettling:
    """Settles groups as they close and packs their rows, so that a batch does not wait as objects.

    Only those of which the store holds nothing. What shares an id with one of them and comes later is looked up,
    and finds its row in the draft.
    """

    def __init__(self, store: Store, settling: Settling) -> None:
        self._store = store
        self._settling = settling

    def take(self, groups: Sequence[Group], draft: Draft) -> None:
        """Put groups into a draft, as rows or as they are."""
        must_ask = asker(self._store)
        lineages: list[Lineage] = []
        for group in groups:
            try:
                waits = must_ask(group)
            except NOT_THE_RECORDS:
                raise
            except Exception:  # noqa: BLE001 -- asking about it will tell of it
                waits = True
            if waits:
                draft.groups.append(group)
                continue
            settled = self._settling.settle(group)
            if isinstance(settled, str):
                draft.broken.append((group, settled))
                continue
            lineages += settled.lineages
            draft.outcomes += settled.outcomes
        if lineages:
            self._settling.finish(lineages)
            draft.written.update([row.outcome for row in lineages])
            draft.take(self._store.pack(lineages))

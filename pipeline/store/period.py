"""All lineages of a period, oldest first: what a report goes through.

The store is asked in slices of about a thousand rows, whatever the period, so that neither side holds much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clickhouse_connect.driver import Client

from pipeline.model import Lineage
from pipeline.store.conditions import Wanted, condition_of
from pipeline.store.search import hide_absorbed
from pipeline.store.statements import TABLE
from pipeline.store.stored_rows import read_lineages

_AT_ONCE = 2_000
"""Raw rows from which a slice is cut smaller."""
_SPANS_US = (3_600_000_000, 60_000_000, 1_000_000, 10_000)
"""Slices of an hour are cut to minutes, these to seconds, these to hundredths; those are taken whole."""
_OLDEST_FIRST = "start_time, request_id, rec_id"


def lineages_of(client: Client, wanted: Wanted) -> Iterator[list[Lineage]]:
    """Give the live lineages that are as wanted, oldest first, in lists.

    Args:
        client: Of the store.
        wanted: With both `since_us` and `until_us`.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    for since_us, until_us in _slices(client, wanted, _SPANS_US):
        inside = condition_of(replace(wanted, since_us=since_us, until_us=until_us))
        keys = f"SELECT bucket, request_id FROM {TABLE} WHERE {inside.sql}"  # noqa: S608 -- values are parameters
        found = read_lineages(
            client,
            f"(bucket, request_id) IN ({keys}) AND {inside.sql}",
            inside.parameters,
            order=_OLDEST_FIRST,
        )
        yield hide_absorbed(client, found)


def _slices(client: Client, wanted: Wanted, spans_us: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Cut a period into slices that have rows, none with more than is read at once if that can be."""
    span_us, *finer = spans_us
    begun: tuple[int, int] | None = None
    total = 0
    for at_us, count in _counts(client, wanted, span_us):
        since_us, until_us = _cut(wanted, at_us, at_us + span_us)
        if begun and total + count > _AT_ONCE:
            yield begun
            begun, total = None, 0
        if count > _AT_ONCE and finer:
            yield from _slices(client, replace(wanted, since_us=since_us, until_us=until_us), tuple(finer))
            continue
        begun, total = (begun[0] if begun else since_us, until_us), total + count
    if begun:
        yield begun


def _counts(client: Client, wanted: Wanted, span_us: int) -> list[tuple[int, int]]:
    """Count raw rows by the beginning of their slice, in the order of time."""
    inside = condition_of(wanted)
    query = (
        f"SELECT intDiv(toUnixTimestamp64Micro(start_time), {span_us:d}) * {span_us:d} AS at, count() "  # noqa: S608
        f"FROM {TABLE} WHERE {inside.sql} GROUP BY at ORDER BY at"
    )
    return [(int(at), int(count)) for at, count in client.query(query, inside.parameters).result_rows]


def _cut(wanted: Wanted, since_us: int, until_us: int) -> tuple[int, int]:
    """Keep a slice inside the period."""
    if wanted.since_us is None or wanted.until_us is None:
        raise ValueError("a period has both ends")
    return max(since_us, wanted.since_us), min(until_us, wanted.until_us)


def count_of(client: Client, wanted: Wanted) -> int:
    """Count raw rows of a period: as many as its lineages, or somewhat more."""
    inside = condition_of(wanted)
    query = f"SELECT count() FROM {TABLE} WHERE {inside.sql}"  # noqa: S608 -- values are parameters
    return int(client.query(query, inside.parameters).result_rows[0][0])

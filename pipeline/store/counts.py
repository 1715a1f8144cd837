"""How much the store holds of a stretch of time."""

from __future__ import annotations

from typing import NamedTuple

from clickhouse_connect.driver import Client

from pipeline.store.statements import TABLE

OUTCOMES = ("complete", "edge_only", "gateway_only")


class Counts(NamedTuple):
    """Live lineages by outcome, and their attempts."""

    lineages: dict[str, int]
    attempts: int


def count_lineages(client: Client, first_bucket_s: int, last_bucket_s: int) -> Counts:
    """Count what stands between two buckets, both included, UTC epoch seconds."""
    rows = client.query(
        f"SELECT outcome, count(), sum(length(`attempts.attempt_id`)) FROM {TABLE} FINAL "  # noqa: S608 -- our name
        "WHERE bucket BETWEEN {first:UInt32} AND {last:UInt32} GROUP BY outcome",
        parameters={"first": first_bucket_s, "last": last_bucket_s},
    ).result_rows
    lineages = dict.fromkeys(OUTCOMES, 0) | {str(outcome): int(count) for outcome, count, _ in rows}
    return Counts(lineages, sum(int(attempts) for _, _, attempts in rows))

"""SQL that finds lines which HAProxy counted and that are not stored. PURE: text alone.

Every query looks at lines: `node, pid, frontend, log_counter, line, us, offset`, where `line` names one however
often it is stored and `us` is when it was logged, UTC epoch microseconds.
"""

from __future__ import annotations

COUNTERS = (
    "SELECT node, pid, frontend, log_counter, line, toUnixTimestamp64Micro(time) AS us, offset "
    "FROM edge_counters WHERE bucket BETWEEN toDateTime({first:Int64}, 'UTC') AND toDateTime({last:Int64}, 'UTC') "
    "AND us BETWEEN {begin:Int64} AND {end:Int64}"
)
BLOCK = 4096
"""Counters that are looked at together: where each of a block came once, nothing lacks."""
BLOCKS = f"""
SELECT node, pid, frontend, intDiv(log_counter, {BLOCK}) AS block,
    cityHash64(node, pid, frontend, block) AS name,
    groupBitmap(toUInt32(modulo(log_counter, {BLOCK}))) AS had, count(), min(log_counter), max(log_counter),
    min(us), max(us)
FROM ({{counters}}) WHERE log_counter >= 0
GROUP BY node, pid, frontend, block ORDER BY node, pid, frontend, block"""  # noqa: S608 -- a number of ours
OF_BLOCKS = (
    f"SELECT * FROM ({{counters}}) WHERE log_counter >= 0 "  # noqa: S608 -- the same
    f"AND cityHash64(node, pid, frontend, intDiv(log_counter, {BLOCK})) IN {{blocks:Array(UInt64)}}"
)
_LINES = """SELECT node, pid, frontend, log_counter, line, min(us) AS at, min(offset) AS place
FROM ({counters}) GROUP BY node, pid, frontend, log_counter, line"""

_GAPS = """
SELECT node, pid, frontend, previous AS after_counter, log_counter AS before_counter,
    toInt64(lost - lost_before) AS missing, previous_at, at, place
FROM (
    SELECT *,
        lagInFrame(log_counter) OVER neighbours AS previous, lagInFrame(at) OVER neighbours AS previous_at,
        lagInFrame(lost, 1, 0) OVER neighbours AS lost_before
    FROM (
        SELECT *, greatest(0, max(behind) OVER (
            PARTITION BY node, pid, frontend, life ORDER BY log_counter, at ROWS UNBOUNDED PRECEDING
        )) AS lost
        FROM (
            SELECT *, log_counter - min(log_counter) OVER whole_life
                - (toInt64(rank() OVER by_counter) - 1) AS behind
            FROM (
                SELECT *, sum(begins) OVER (
                    PARTITION BY node, pid, frontend ORDER BY at, log_counter ROWS UNBOUNDED PRECEDING
                ) AS life
                FROM (
                    SELECT *, again = 1 AND row_number() OVER at_once = 1 AND sum(again) OVER shortly_before = 0
                        AS begins
                    FROM (
                        SELECT *, toUInt8(count() OVER earlier > 0
                            AND log_counter <= last_value(log_counter) OVER earlier) AS again
                        FROM ({lines})
                        WINDOW earlier AS (PARTITION BY node, pid, frontend ORDER BY at
                            RANGE BETWEEN UNBOUNDED PRECEDING AND 1000000 PRECEDING)
                    )
                    WINDOW at_once AS (PARTITION BY node, pid, frontend, at, again ORDER BY log_counter),
                        shortly_before AS (PARTITION BY node, pid, frontend ORDER BY at
                            RANGE BETWEEN 1000000 PRECEDING AND 1 PRECEDING)
                )
            )
            WINDOW whole_life AS (PARTITION BY node, pid, frontend, life),
                by_counter AS (PARTITION BY node, pid, frontend, life ORDER BY log_counter)
        )
    )
    WINDOW neighbours AS (PARTITION BY node, pid, frontend, life ORDER BY log_counter, at
        ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
WHERE lost > lost_before AND at >= {since:Int64} AND previous_at < {until:Int64}
ORDER BY at, node, pid, frontend
LIMIT {most:UInt32}"""

PROCESSES = """
SELECT node, pid, frontend, count(), min(log_counter), max(log_counter)
FROM ({lines}) WHERE at >= {since:Int64} AND at < {until:Int64}
GROUP BY node, pid, frontend ORDER BY min(at), node, pid, frontend"""


def gaps_query(counters: str = COUNTERS) -> str:
    """Give the query for the gaps.

    Args:
        counters: A SELECT of `node, pid, frontend, log_counter, line, us, offset`: what is looked at.
    """
    return filled(_GAPS, counters)


def filled(query: str, counters: str) -> str:
    """Put the lines that are looked at into a query."""
    return query.replace("{lines}", _LINES).replace("{counters}", counters)

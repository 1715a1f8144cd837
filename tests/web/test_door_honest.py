"""What dashboards, notebooks and our own commands ask is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Door

HONEST = (
    # Start-up of clients, and what their editors ask.
    "SELECT 1",
    "SELECT version(), timezone()",
    "SELECT timeZone()",
    "SELECT displayName(), version(), revision(), timezone()",
    "SELECT currentDatabase(), currentUser()",
    "SELECT name, value, readonly FROM system.settings LIMIT 10000",
    "SELECT value FROM system.settings WHERE name = 'readonly'",
    "SELECT database, name FROM system.tables ORDER BY database, name",
    "SELECT name, type, comment FROM system.columns WHERE (database, table) IN (('hoptrail', 'lineage'))",
    "SELECT name FROM system.functions LIMIT 10",
    "SELECT name FROM system.databases",
    "show databases",
    "SHOW TABLES",
    "SHOW TABLES FROM hoptrail LIKE 'line%' LIMIT 1",
    "SHOW FULL COLUMNS FROM lineage",
    "SHOW CREATE TABLE lineage;",
    "SHOW CREATE VIEW hoptrail.lineage",
    'DESCRIBE TABLE "hoptrail"."lineage"',
    "DESC lineage",
    "DESCRIBE (SELECT * FROM lineage)",
    "EXISTS TABLE lineage",
    "EXISTS DATABASE hoptrail",
    # Panels.
    """SELECT toStartOfInterval(toDateTime(start_time), INTERVAL 60 second) AS time, count() / 60 AS rps
              FROM hoptrail.lineage WHERE start_time >= toDateTime(1700000000) AND start_time <=
       toDateTime(1900000000)
       GROUP BY time ORDER BY time""",
    """SELECT toStartOfInterval(toDateTime64(start_time, 3), INTERVAL 500 millisecond) AS time, service,
       quantiles(0.5, 0.95, 0.99)(duration_ms) FROM lineage
              WHERE start_time >= fromUnixTimestamp64Milli(1700000000000) GROUP BY time, service ORDER BY
       time LIMIT 5""",
    """SELECT toStartOfMinute(start_time) AS t, quantileTDigest(0.99)(duration_ms) FROM lineage GROUP BY t
       ORDER BY t""",
    """SELECT status, count() AS n, bar(n, 0, 1000, 20) FROM lineage GROUP BY status WITH TOTALS ORDER BY n
       DESC""",
    "SELECT countIf(status >= 500) / count() AS errors, uniqExact(consumer_name) FROM lineage",
    "SELECT count() FILTER (WHERE status >= 500) FROM lineage",
    """SELECT missing, count() FROM lineage WHERE outcome = 'edge_only' AND missing IS NOT NULL GROUP BY
       missing""",
    """SELECT service, route, count() AS n FROM lineage GROUP BY ALL ORDER BY n DESC LIMIT 3 BY service
       LIMIT 10""",
    "SELECT DISTINCT service FROM hoptrail.lineage SETTINGS max_execution_time=10",
    "SELECT minute, quantilesTDigestMerge(0.5, 0.99)(durations) FROM minutes GROUP BY minute ORDER BY minute",
    "SELECT finalizeAggregation(durations) FROM minutes LIMIT 1",
    "SELECT lttb(10)(toUnixTimestamp(start_time), duration_ms) FROM lineage",
    "SELECT histogram(5)(duration_ms), sparkbar(9)(toUnixTimestamp(start_time), 1) FROM lineage",
    """SELECT time, n FROM (SELECT toStartOfMinute(start_time) AS time, count() AS n FROM lineage GROUP BY
       time)
       ORDER BY time WITH FILL STEP INTERVAL 1 MINUTE LIMIT 5""",
    """SELECT request_id, arrayMap(k -> map('key', k, 'value', attrs[k]), mapKeys(attrs)) AS tags,
              multiply(toUnixTimestamp64Nano(toDateTime64(start_time, 9)), 0.000001) AS startTime FROM
       lineage LIMIT 1""",
    "SELECT service AS value, count() AS label FROM lineage WHERE service IN ('s0', 's1') GROUP BY service",
    """SELECT count() FROM lineage WHERE 1=1 AND path LIKE '/p/%' AND path NOT ILIKE '%X%' AND match(path,
       '^/p/[0-9]')""",
    # Readers.
    "SELECT * FROM lineage WHERE request_id = 'r5'",
    """SELECT * FROM lineage WHERE startsWith(request_id, 'r9') ORDER BY start_time DESC LIMIT 3 FORMAT
       JSONEachRow""",
    """SELECT * FROM lineage_versions FINAL WHERE (bucket, request_id) IN
       (SELECT bucket, request_id FROM lineage_versions WHERE attrs['k'] = '7') LIMIT 5""",
    "SELECT * FROM attempts WHERE node = 'n1' LIMIT 2",
    "SELECT 'n1' IN attempts.node, has(attempts.status, 502), attempts.node[1] FROM lineage LIMIT 1",
    "SELECT l.attempts.node FROM lineage AS l LIMIT 1",
    "SELECT n, s FROM lineage ARRAY JOIN attempts.node AS n, attempts.status AS s LIMIT 2",
    "SELECT n FROM lineage LEFT ARRAY JOIN arrayEnumerate(flags) AS n LIMIT 2",
    "SELECT arrayJoin(flags) AS flag, count() FROM lineage GROUP BY flag",
    """SELECT details.a.b, toJSONString(details), JSONExtractString(toJSONString(details), 'a') FROM
       lineage LIMIT 1""",
    "SELECT * EXCEPT (details) REPLACE (toString(status) AS status) FROM lineage LIMIT 1",
    "SELECT COLUMNS('^s') FROM lineage LIMIT 1",
    """SELECT IPv6NumToString(client_ip), isIPAddressInRange(toString(client_ip), '2001:db8::/32') FROM
       lineage LIMIT 1""",
    "SELECT status IN (SELECT status FROM lineage WHERE duration_ms > 100) FROM lineage LIMIT 1",
    "SELECT count() FROM lineage WHERE request_id IN (SELECT request_id FROM hoptrail.attempts)",
    """WITH t AS (SELECT * FROM lineage) SELECT a.request_id FROM t AS a JOIN t AS b USING (request_id)
       LIMIT 3""",
    """WITH (SELECT max(start_time) FROM lineage) AS newest SELECT count() FROM lineage WHERE start_time >
       newest - 60""",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
    """SELECT request_id, row_number() OVER (PARTITION BY service ORDER BY start_time DESC) AS n,
       lagInFrame(status) OVER w FROM lineage
       WINDOW w AS (ORDER BY start_time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) LIMIT 3""",
    """SELECT a.status FROM lineage a ASOF JOIN lineage b ON a.service = b.service AND a.start_time >=
       b.start_time LIMIT 1""",
    "SELECT service, status, count() FROM lineage GROUP BY GROUPING SETS ((service), (status))",
    "SELECT service, grouping(service), count() FROM lineage GROUP BY ROLLUP(service)",
    """SELECT CASE WHEN status < 400 THEN 'ok' ELSE 'no' END AS k, CASE status WHEN 200 THEN 1 END, count()
       FROM lineage GROUP BY 1, 2""",
    """SELECT argMax(status, start_time), topK(3)(path), groupUniqArrayArray(flags), sumMap(map(service,
       1)) FROM lineage""",
    """SELECT status::String, DATE '2026-01-02' + INTERVAL 1 DAY, EXTRACT(HOUR FROM start_time), 1 BETWEEN
       0 AND 2 FROM lineage LIMIT 1""",
    "SELECT formatReadableTimeDelta(dateDiff('second', min(start_time), max(start_time))) FROM lineage",
    """SELECT cutQueryString(path), extractURLParameter(path, 'x'), splitByChar('/', path)[2] FROM lineage
       LIMIT 1""",
    "SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2 UNION DISTINCT SELECT 2 INTERSECT SELECT 2) ORDER BY a",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT * FROM values('a UInt8, b String', (1, 'x'), (2, 'y'))",
    "SELECT sum(number) FROM numbers(10)",
    "SELECT 'it''s -- no /* comment */ ; SELECT', \"status\", `status` FROM lineage LIMIT 1 -- ; DROP",
    "/* grafana */ SELECT 1 # trailing\n;",
    "SELECT 'INTO OUTFILE', 'FORMAT Template', 'SETTINGS readonly = 0', 'system.processes', 'file(1)'",
    "SELECT status AS format, 1 AS settings FROM lineage ORDER BY format LIMIT 1 FORMAT CSV",
    # Explaining.
    "EXPLAIN SELECT * FROM lineage",
    "EXPLAIN indexes = 1, actions = 1 SELECT * FROM lineage WHERE request_id = 'r1'",
    "EXPLAIN PIPELINE SELECT count() FROM lineage FORMAT TSV",
    "EXPLAIN SYNTAX SELECT * FROM lineage",
    "EXPLAIN ESTIMATE SELECT count() FROM lineage",
)


@pytest.mark.parametrize("sql", HONEST)
def test_an_honest_query_is_answered(door: Door, sql: str) -> None:
    response = door.ask(sql)
    assert response.status_code == 200, response.text
    assert response.content


def test_the_answers_are_those_of_the_engine(door: Door) -> None:
    assert (
        door.text("SELECT count(), uniqExact(consumer_name) FROM lineage WHERE status = 200") == "250\t11\n"
    )


def test_a_client_learns_which_settings_the_door_takes(door: Door) -> None:
    rows = door.text("SELECT name, value, readonly FROM system.settings LIMIT 10000").splitlines()
    is_fixed = {name: int(readonly) for name, _, readonly in (row.rsplit("\t", 2) for row in rows)}
    assert is_fixed["max_execution_time"] == is_fixed["session_timezone"] == 0
    assert is_fixed["allow_ddl"] == is_fixed["readonly"] == 1

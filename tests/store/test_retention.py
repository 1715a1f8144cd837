"""How long rows are kept: for good unless told, the same when told again, and by day when their time is over."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from pipeline.cli import schema as commands
from pipeline.errors import ConfigError
from pipeline.model import Lineage
from pipeline.store import schema
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.retention import (
    KINDS,
    Kept,
    apply,
    parse_days,
    parse_volume,
    retention,
    retention_before_0009,
    statements,
)
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import insert_statement, structure

FOR_GOOD = dict.fromkeys(KINDS, Kept())


@pytest.fixture
def dsn(face_address: str, request: pytest.FixtureRequest) -> str:
    return f"clickhouse://{face_address}/{request.node.name[:60]}"


@pytest.fixture
def store(dsn: str) -> Iterator[Connection]:
    """Open a database of the test's own, with our schema."""
    opened = connect(parse_dsn(dsn, {}), create=True)
    schema.apply(opened, embedded=False)
    yield opened
    opened.close()


@pytest.fixture
def run(dsn: str, store: Connection) -> Callable[..., Result]:
    """Run `hoptrail schema WORDS` on it."""
    del store  # makes the database
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["schema", *words, "--store", dsn])


def test_everything_is_kept_for_good_unless_told(store: Connection) -> None:
    assert retention(store) == FOR_GOOD


def test_what_was_set_is_set_and_setting_it_again_does_nothing(store: Connection) -> None:
    wanted = {
        "lineage": Kept(90),
        "dead_letters": Kept(30),
        "events": Kept(14),
        "minutes": Kept(400),
        "ledger": Kept(800),
    }
    assert len(apply(store, wanted)) == 12
    assert retention(store) == wanted
    assert apply(store, wanted) == []
    apply(store, {"lineage": Kept(400)})
    assert retention(store) == wanted | {"lineage": Kept(400)}
    apply(store, FOR_GOOD)
    assert retention(store) == FOR_GOOD
    assert apply(store, FOR_GOOD) == []


def test_days_whose_time_is_over_are_dropped_and_others_stay(
    store: Connection, corpus: list[Lineage]
) -> None:
    now_s = int(str(store.client.command("SELECT toUnixTimestamp(now())")))
    old = [replace(row, bucket_s=now_s - 100 * 86_400) for row in corpus[:10]]
    new = [replace(row, bucket_s=now_s - 80 * 86_400) for row in corpus[10:30]]
    for rows in (old, new):
        store.insert(insert_statement, structure(), [encode_lineages(rows)])
    apply(store, {"lineage": Kept(90)})
    store.client.command("OPTIMIZE TABLE lineage_rows FINAL")
    assert store.client.command("SELECT count() FROM lineage") == 20


def test_ids_are_kept_as_long_as_their_lineages_and_stay_where_they_are(store: Connection) -> None:
    apply(store, {"lineage": Kept(90, "default", 30)})
    assert _ttl_of_ids(store) == "TTL bucket + toIntervalDay(90)"
    apply(store, {"lineage": Kept(90)})
    apply(store, {"lineage": Kept(None)})
    assert _ttl_of_ids(store) == ""


def _ttl_of_ids(store: Connection) -> str:
    ((engine,),) = store.client.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'lineage_ids'"
    ).result_rows
    return "".join(re.findall("TTL .*(?= SETTINGS)", engine))


def test_a_retention_of_before_0009_goes_on(store: Connection) -> None:
    store.client.command(
        "CREATE TABLE lineage_versions (bucket DateTime) ENGINE = MergeTree ORDER BY bucket "
        "TTL bucket + toIntervalDay(30)"
    )
    assert retention_before_0009(store) == Kept(30)


def test_minutes_and_ledger_go_by_whole_months(store: Connection) -> None:
    store.client.command(
        "INSERT INTO ledger_versions (minute, instance, taken_at) SELECT m, 'one', m FROM "
        "(SELECT arrayJoin([toDateTime('2020-01-01 00:00:00', 'UTC'), now('UTC')]) AS m)"
    )
    apply(store, {"ledger": Kept(90), "minutes": Kept(90)})
    for table in ("ledger_versions", "lineage_minute_versions"):
        store.client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert store.client.query("SELECT count() FROM ledger_versions").result_rows == [(1,)]


def test_older_rows_move_to_a_volume_of_the_storage_policy(store: Connection) -> None:
    """The only policy here has the one volume `default`; moving there is a move like any other."""
    wanted = {"lineage": Kept(90, "default", 30)}
    apply(store, wanted)
    assert retention(store)["lineage"] == wanted["lineage"]
    assert str(retention(store)["lineage"]) == "90 days, on volume default after 30 days"


def test_a_volume_that_no_policy_has_is_refused_in_words(store: Connection) -> None:
    with pytest.raises(ConfigError, match="No such volume"):
        apply(store, {"lineage": Kept(None, "cold", 30)})


def test_rows_cannot_move_after_they_are_gone() -> None:
    with pytest.raises(ConfigError, match="moved after 90 days, but dropped after 90"):
        list(statements(FOR_GOOD, {"lineage": Kept(90, "cold", 90)}, None))


def test_on_a_cluster_the_tables_that_hold_rows_are_changed(store: Connection) -> None:
    changed = list(statements(FOR_GOOD, {"lineage": Kept(90)}, "main"))
    assert changed[1::2] == [
        f"ALTER TABLE {table}_local ON CLUSTER 'main' MODIFY TTL bucket + toIntervalDay(90)"
        for table in ("lineage_rows", "lineage_ids")
    ]
    for statement in changed:
        store.client.command(f"EXPLAIN AST {statement}")


@pytest.mark.parametrize("text", ["", "90", "0d", "-1d", "90h", "d", "99999d", "ninety", "9 0d"])
def test_a_wrong_time_names_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--lineage"):
        parse_days("--lineage", text)


@pytest.mark.parametrize("text", ["", "cold", "cold:", "cold:30", ":30d", "co'ld:30d", "cold:30d:1"])
def test_a_wrong_volume_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--volume"):
        parse_volume(text)


def test_plan_prints_what_apply_does_and_changes_nothing(run: Callable[..., Result]) -> None:
    words = ("--lineage", "90d", "--events", "14d")
    planned = run("retention", "plan", *words)
    assert planned.stdout.splitlines() == [
        "ALTER TABLE lineage_rows MODIFY SETTING ttl_only_drop_parts = 1;",
        "ALTER TABLE lineage_rows MODIFY TTL bucket + toIntervalDay(90);",
        "ALTER TABLE lineage_ids MODIFY SETTING ttl_only_drop_parts = 1;",
        "ALTER TABLE lineage_ids MODIFY TTL bucket + toIntervalDay(90);",
        "ALTER TABLE edge_event_versions MODIFY SETTING ttl_only_drop_parts = 1;",
        "ALTER TABLE edge_event_versions MODIFY TTL toDateTime(arrival_time) + toIntervalDay(14);",
    ]
    assert run("retention", "plan", *words).stdout == planned.stdout
    assert run("retention", "apply", *words).exit_code == 0
    assert run("retention", "plan", *words).stdout == ""


def test_what_is_kept_how_long_is_shown_by_status_and_by_retention(run: Callable[..., Result]) -> None:
    assert "lineage for good" in run("status").stderr
    run("retention", "apply", "--lineage", "90d")
    assert "lineage 90 days" in run("status").stderr
    shown = {row["kind"]: row["days"] for row in json.loads(run("retention", "-o", "json").stdout)}
    assert shown == dict.fromkeys(KINDS) | {"lineage": 90}


def test_to_set_nothing_is_a_mistake(run: Callable[..., Result]) -> None:
    assert isinstance(run("retention", "apply").exception, ConfigError)

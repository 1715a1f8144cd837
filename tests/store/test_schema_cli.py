"""`hoptrail schema` on a server's database."""

import json
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import schema as commands
from pipeline.errors import ConfigError
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.schema import migrations

NAMES = [migration.name for migration in migrations()]
Run = Callable[..., Result]


@pytest.fixture
def run_alone() -> Run:
    """Run `hoptrail schema WORD` without a store."""
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["schema", *words])


@pytest.fixture
def run(face_address: str, request: pytest.FixtureRequest) -> Run:
    """Run `hoptrail schema WORD` on a database of the test's own."""
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    dsn = f"clickhouse://{face_address}/{request.node.name}"

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["schema", *words, "--store", dsn])

    connect(parse_dsn(dsn, {}), create=True).close()
    return invoke


def test_an_empty_database_is_not_up_to_date_and_says_so(run: Run) -> None:
    result = run("status", "-o", "json")
    assert result.exit_code == 1
    assert [(row["file"], row["applied_at"]) for row in json.loads(result.stdout)] == [
        (name, None) for name in NAMES
    ]


def test_apply_brings_it_up_to_date_once(run: Run) -> None:
    assert run("apply").stdout.split() == [word for name in NAMES for word in ("applied", name)]
    assert run("apply").stdout == "nothing to apply\n"
    result = run("status", "-o", "json")
    assert result.exit_code == 0
    assert all(row["applied_at"].endswith("Z") for row in json.loads(result.stdout))


def test_plan_prints_sql_that_can_be_run_by_hand_and_changes_nothing(run: Run) -> None:
    planned = run("plan").stdout
    assert planned == run("plan").stdout
    assert all(statement in planned for migration in migrations() for statement in migration.statements)
    run("apply")
    assert run("plan").stdout == ""


def test_all_sql_is_rendered_without_a_store_for_a_server_and_for_a_cluster(run_alone: Run) -> None:
    plain, sharded = run_alone("render").stdout, run_alone("render", "--cluster", "main").stdout
    assert "ON CLUSTER" not in plain
    assert (
        "ENGINE = Distributed('main', currentDatabase(), lineage_rows_local, cityHash64(request_id))"
        in sharded
    )
    assert [line for line in sharded.splitlines() if line.startswith("-- ")] == [
        f"-- {name}" for name in NAMES
    ]


def test_a_plan_for_a_cluster_is_the_rendered_files(run: Run, run_alone: Run) -> None:
    assert run("plan", "--cluster", "main").stdout == run_alone("render", "--cluster", "main").stdout


def test_access_is_printed_for_the_database_of_the_store(run_alone: Run) -> None:
    printed = run_alone("access", "--store", "clickhouse://db.example.com/audit").stdout
    assert "GRANT SELECT, INSERT ON `audit`.* TO hoptrail_writer;" in printed


def test_a_wrong_name_of_a_cluster_is_refused(run_alone: Run) -> None:
    assert isinstance(run_alone("render", "--cluster", "a'b").exception, ConfigError)

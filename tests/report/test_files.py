import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.document import lineage_document
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord
from pipeline.report.columns import COLUMNS, row_of
from pipeline.report.files import Form, ReportError, Writer, facts_of, report_file

NAMES = [column.name for column in COLUMNS]


def document(**fields: object) -> dict[str, object]:
    given_fields = {"termination": "----", "status": 200, "path": "/orders", "log_counter": 7} | fields
    edge = EdgeRecord(
        rec_id=5,
        offset=1,
        request_id="rid-1",
        start_us=1_795_460_243_518_000,
        gateway_request_id="kid-1",
        **given_fields,
    )
    attempt = GatewayRecord(
        attempt_id=9, offset=2, request_ids=("rid-1",), started_us=1_795_460_243_519_000,
        gateway_request_id="kid-1", service="orders", route="orders-get", consumer_name="=cmd|' /C calc'!A0",
        consumer_id="c1",
    )  # fmt: skip
    (lineage,) = resolve([edge], [attempt])
    return lineage_document(lineage)


def written(path: Path, form: Form, *documents: dict[str, object]) -> int:
    with report_file(path, form) as writer:
        for one in documents:
            writer.write(one)
    return writer.changed_cells


def cells(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def test_csv_defuses_formulas_and_leaves_states_and_numbers(tmp_path: Path) -> None:
    changed = written(
        tmp_path / "r.csv", Form.CSV, document(), document(path="@SUM(1)"), document(termination="-R--")
    )
    rows = cells(tmp_path / "r.csv")
    assert [row["termination"] for row in rows] == ["----", "----", "-R--"]
    assert [row["path"] for row in rows] == ["/orders", "'@SUM(1)", "/orders"]
    assert {row["consumer_name"] for row in rows} == {"'=cmd|' /C calc'!A0"}
    assert changed == 4
    assert rows[0]["status"] == "200"
    assert rows[0]["start_time"] == "2026-11-23T18:57:23.518000Z"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_whatever_was_logged_stays_in_its_cell_and_starts_no_formula(texts: list[str]) -> None:
    memory = io.BytesIO()
    writer = Writer(memory, Form.CSV)
    for text in texts:
        writer.write(document(path=text, user_agent=text))
    rows = list(csv.reader(io.StringIO(memory.getvalue().decode(), newline="")))
    assert len(rows) == 1 + len(texts)
    for row in rows[1:]:
        assert len(row) == len(NAMES)
        shown = row[NAMES.index("path")]
        assert (
            not shown.lstrip().startswith(("=", "+", "@")) or shown.replace(".", "").lstrip("+-").isdecimal()
        )


def test_json_lines_are_whole_lineages_and_nothing_is_escaped(tmp_path: Path) -> None:
    one = document(path="=1+1")
    assert written(tmp_path / "r.jsonl", Form.JSONL, one) == 0
    assert json.loads((tmp_path / "r.jsonl").read_text()) == one


def test_parquet_has_the_columns_typed(tmp_path: Path) -> None:
    written(tmp_path / "r.parquet", Form.PARQUET, document(), document(status=None, path="it's \\ a 'path'"))
    asked = (
        'import chdb, sys; print(chdb.query("SELECT path, status, toTypeName(start_time) AS t, final, attempts, '
        "duration_ms FROM file('\" + sys.argv[1] + \"', Parquet)\", 'JSONEachRow'))"
    )
    words = [sys.executable, "-c", asked, str(tmp_path / "r.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stdout.strip().splitlines())
    assert (first["path"], first["status"], first["final"], first["attempts"]) == ("/orders", 200, True, 1)
    assert "DateTime64" in first["t"]
    assert (second["path"], second["status"]) == ("it's \\ a 'path'", None)


@pytest.mark.parametrize("form", Form)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, form: Form) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, form, document(), document(path="/b"))
    assert facts_of(tmp_path / "one").sha256 == facts_of(tmp_path / "two").sha256


def test_a_file_that_broke_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> None:
        with report_file(tmp_path / "r.csv", Form.CSV) as writer:
            writer.write(document())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    for form in Form:
        written(tmp_path / form, form, document())
        assert (tmp_path / form).stat().st_mode & 0o777 == 0o600


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot write"):
        written(tmp_path / "nowhere" / "r.csv", Form.CSV)


def test_every_column_has_a_meaning_and_a_value() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(column.meaning for column in COLUMNS)
    assert len(row_of(document())) == len(COLUMNS)


def test_parquet_is_made_of_nothing_that_lies_where_we_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chdb.py").write_text("raise SystemExit('a stranger was run')")
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "r.parquet", Form.PARQUET, document())
    assert (tmp_path / "r.parquet").read_bytes()[:4] == b"PAR1"

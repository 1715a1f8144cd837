"""The protocol: what goes in by which way, and what comes out."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import httpx
import pytest
import zstandard

if TYPE_CHECKING:
    from conftest import Door

LONG = "SELECT repeat('a', 5000)"


def test_a_query_may_stand_in_the_url(door: Door) -> None:
    assert httpx.get(door.url + "?query=SELECT%201%2B1").text == "2\n"


def test_a_query_may_be_the_body_whatever_its_type(door: Door) -> None:
    assert door.ask("SELECT 2", headers={"Content-Type": "application/x-www-form-urlencoded"}).text == "2\n"


def test_url_and_body_make_one_query(door: Door) -> None:
    assert door.ask("+ 2", query="SELECT 1").text == "3\n"


def test_a_form_carries_query_and_parameters(door: Door) -> None:
    sent = {
        "query": (None, "SELECT {text:String}, {n:UInt8}"),
        "param_text": (None, r"grüße\n"),
        "param_n": (None, "7"),
    }
    response = door.client.post(door.url, files=sent)
    assert response.text == "grüße\\n\t7\n"


def test_external_tables_are_refused(door: Door) -> None:
    response = door.client.post(door.url + "?query=SELECT%201", files={"ext": ("ext.csv", b"1,2")})
    assert response.status_code == 400
    assert "external tables are not taken" in response.text


def test_parameters_are_bound_and_never_become_sql(door: Door) -> None:
    hostile = "x' OR file('/etc/passwd') != '"
    assert door.text("SELECT {s:String} = {t:String}", param_s=hostile, param_t=hostile) == "1\n"
    assert (
        door.text("SELECT {a:Array(String)}[2], {u:UInt64} + 1", param_a="['x','y']", param_u="41")
        == "y\t42\n"
    )
    assert door.text("SELECT count() FROM {t:Identifier}", param_t="lineage") == "1000\n"


def test_a_parameter_that_is_not_its_type_is_an_error(door: Door) -> None:
    response = door.ask("SELECT {n:UInt8}", param_n="many")
    assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (400, "457")


@pytest.mark.parametrize("path", ["ping", "replicas_status", ""])
def test_the_door_says_that_it_is_there(door: Door, path: str) -> None:
    assert door.client.get(door.url + path).text == "Ok.\n"
    assert door.client.head(door.url + path).status_code == 200


def test_there_is_nothing_behind_other_paths(door: Door) -> None:
    assert door.client.get(door.url + "play").status_code == 404
    assert door.client.put(door.url, content=b"SELECT 1").status_code == 405


@pytest.mark.parametrize(
    ("params", "headers", "sql", "used"),
    [
        ({}, {}, "SELECT 1 AS a", "TabSeparated"),
        ({"default_format": "JSON"}, {}, "SELECT 1 AS a", "JSON"),
        ({}, {"X-ClickHouse-Format": "CSV"}, "SELECT 1 AS a", "CSV"),
        ({"default_format": "JSON"}, {}, "SELECT 1 AS a FORMAT TSVWithNames", "TSVWithNames"),
    ],
)
def test_the_query_the_url_and_a_header_name_the_format(
    door: Door, params: dict[str, str], headers: dict[str, str], sql: str, used: str
) -> None:
    response = door.ask(sql, headers=headers, **params)
    assert response.headers["X-ClickHouse-Format"] == used
    assert ("json" in response.headers["Content-Type"]) is (used == "JSON")


@pytest.mark.parametrize(
    "name",
    [
        *("Native", "RowBinary", "JSON", "JSONCompact", "JSONEachRow", "CSV", "CSVWithNames", "TabSeparated"),
        *(
            "TabSeparatedWithNamesAndTypes",
            "Arrow",
            "ArrowStream",
            "Parquet",
            "Pretty",
            "PrettyCompact",
            "Vertical",
        ),
    ],
)
def test_formats_of_tools_and_people_are_answered(door: Door, name: str) -> None:
    response = door.ask("SELECT request_id, status FROM lineage LIMIT 3", default_format=name)
    assert response.status_code == 200
    assert b"r" in response.content


@pytest.mark.parametrize("database", ["", "default", "hoptrail"])
def test_every_usual_name_of_the_database_is_ours(door: Door, database: str) -> None:
    assert door.text("SELECT currentDatabase()", database=database) == "hoptrail\n"
    assert door.ask("SELECT 1", headers={"X-ClickHouse-Database": database}).status_code == 200


def test_another_database_does_not_exist(door: Door) -> None:
    response = door.ask("SELECT 1", database="system")
    assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (404, "81")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("zstd", "zstd"), ("lz4, zstd, gzip;q=0.5", "zstd"), ("identity", None), ("br", None)],
)
def test_long_answers_are_compressed_as_the_client_likes_it(
    door: Door, accepted: str, encoding: str | None
) -> None:
    request = door.client.build_request("POST", door.url, content=LONG, headers={"Accept-Encoding": accepted})
    response = door.client.send(request, stream=True)
    raw = b"".join(response.iter_raw())
    assert response.headers.get("Content-Encoding") == encoding
    plain = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress}.get(
        str(encoding), bytes
    )(raw)
    assert plain == b"a" * 5000 + b"\n"


def test_a_client_may_do_without_compression(door: Door) -> None:
    response = door.ask(LONG, headers={"Accept-Encoding": "gzip"}, enable_http_compression=0)
    assert "Content-Encoding" not in response.headers


def test_an_answer_says_what_it_took(door: Door) -> None:
    response = door.ask("SELECT request_id FROM lineage LIMIT 5", query_id="panel-7")
    assert response.headers["X-ClickHouse-Query-Id"] == "panel-7"
    assert response.headers["X-ClickHouse-Timezone"] == "UTC"
    summary = json.loads(response.headers["X-ClickHouse-Summary"])
    assert summary["result_rows"] == "5"
    assert int(summary["read_rows"]) >= 5
    assert int(summary["elapsed_ns"]) > 0


def test_a_query_id_cannot_carry_a_header(door: Door) -> None:
    response = door.client.post(door.url + "?query_id=a%0d%0aX-Evil:1", content=b"SELECT 1")
    assert response.status_code == 400
    assert "X-Evil" not in response.headers


def test_an_error_of_the_engine_comes_with_its_code_and_status(door: Door) -> None:
    for sql, code, status in (
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT nothing FROM lineage", 47, 404),
        ("SELEC 1", 62, 400),
        ("SELECT throwIf(1, 'stop')", 395, 500),
    ):
        response = door.ask(sql)
        assert (int(response.headers["X-ClickHouse-Exception-Code"]), response.status_code) == (
            code,
            status,
        ), sql
        assert response.text.startswith(f"Code: {code}. DB::Exception: ")


@pytest.mark.parametrize("body", [b"", b"  \n", b"-- nothing"])
def test_an_empty_query_is_an_error(door: Door, body: bytes) -> None:
    response = door.ask(body)
    assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (400, "62")


@pytest.mark.parametrize("body", [b"SELECT '\xff'", b"SELECT x'ff'", b"\xef\xbb\xbf\xff"])
def test_bytes_that_are_not_text_are_refused_in_words(door: Door, body: bytes) -> None:
    response = door.ask(body)
    assert response.status_code == 400
    assert "UTF-8 text" in response.text


def test_text_of_any_script_comes_back_as_it_was(door: Door) -> None:
    text = "Grüße, 世界 🚀 \u2028 \x7f"
    assert door.ask(f"SELECT '{text}' FORMAT TSVRaw").text == text + "\n"


def test_a_compressed_query_is_refused_in_words(door: Door) -> None:
    response = door.ask(gzip.compress(b"SELECT 1"), headers={"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert "send the query uncompressed" in response.text


def test_a_password_in_the_url_is_refused(door: Door) -> None:
    response = door.client.post(door.url + "?user=me&password=secret", content=b"SELECT 1")
    assert response.status_code == 400
    assert "belong into headers" in response.text


def test_settings_that_clients_send_by_themselves_do_no_harm(door: Door) -> None:
    assert (
        door.text("SELECT 1", wait_end_of_query=1, session_id="x", send_progress_in_http_headers=1) == "1\n"
    )


def test_settings_that_shape_the_answer_are_taken_from_url_and_query(door: Door) -> None:
    assert door.text("SELECT toHour(toDateTime(0))", session_timezone="Asia/Tokyo") == "9\n"
    assert door.text("SELECT toHour(toDateTime(0)) SETTINGS session_timezone = 'Asia/Tokyo'") == "9\n"
    assert door.text("SELECT number FROM numbers(9)", limit=2) == "0\n1\n"
    sql = "SELECT toUInt64(7) AS n FORMAT JSONEachRow"
    assert door.text(sql, output_format_json_quote_64bit_integers=1) == '{"n":"7"}\n'
    assert door.text(sql, output_format_json_quote_64bit_integers=0) == '{"n":7}\n'


@pytest.mark.parametrize(
    "setting",
    [
        "readonly",
        "allow_ddl",
        "format_template_row",
        "format_schema",
        "enable_analyzer",
        "no_such_setting",
        "role",
    ],
)
def test_any_other_setting_is_refused_by_name(door: Door, setting: str) -> None:
    for response in (door.ask("SELECT 1", **{setting: "0"}), door.ask(f"SELECT 1 SETTINGS {setting} = 0")):
        assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
        assert repr(setting) in response.text


def test_a_setting_that_is_not_a_value_is_refused(door: Door) -> None:
    assert door.ask("SELECT 1", max_threads="2, readonly = 0").status_code == 400
    assert door.ask("SELECT 1", session_timezone="UTC', readonly = '0").status_code == 400


def test_an_answer_without_rows_has_columns_in_native(door: Door) -> None:
    response = door.ask("SELECT status, request_id AS id FROM lineage WHERE 0 FORMAT Native")
    assert response.content == b"\x02\x00\x06status\x06UInt16\x02id\x06String"


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8124", ""])
def test_without_accounts_only_loopback_names_are_answered(door: Door, host: str) -> None:
    assert door.ask("SELECT 1", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8124"])
def test_loopback_names_are_answered_whatever_the_port(door: Door, host: str) -> None:
    assert door.ask("SELECT 1", headers={"Host": host}).status_code == 200


def test_without_accounts_pages_of_other_sites_are_not_answered(door: Door) -> None:
    response = door.ask(
        "SELECT 1", headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    )
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in door.ask("SELECT 1").headers


def test_every_query_is_logged_on_one_line_without_its_parameters_and_literals(door: Door) -> None:
    door.ask("SELECT {p:String},\n 'not-to-be-logged \\' either' AS marked_query", param_p="not-to-be-logged")
    door.ask("SELECT 'not-to-be-logged, unfinished")
    door.ask("SELECT $x$not-to-be-logged$x$, nowhere('not-to-be-logged')")
    door.ask("SELECT sleep(1), 'marked\x1b[31m'/*\nquery account=forged */")
    door.ask(f"SELECT {', '.join(map(str, range(1000, 1400)))} AS long_one")
    lines = [line for line in door.log.splitlines() if "pipeline.web.door query" in line]
    answered = next(line for line in lines if "marked_query" in line)
    assert "account=default status=200" in answered
    assert "rows=1" in answered
    assert "not-to-be-logged" not in door.log
    refused = next(line for line in lines if "sleep" in line)
    assert "status=403" in refused
    assert "function sleep is refused" in refused
    assert not any(line.startswith("query account=forged") for line in door.log.splitlines())
    assert "\x1b" not in door.log
    assert "long_one" not in door.log

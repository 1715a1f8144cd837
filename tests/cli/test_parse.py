"""`hoptrail parse`: what every record of a file is."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
import zstandard
from typer.testing import CliRunner, Result

from pipeline.cli import parse
from pipeline.errors import ConfigError
from pipeline.sources.log_files import UnreadableFile

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
CORPUS = CAPTURES / "kong" / "corpus"
LINE = b'127.0.0.1:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 - - ---- 1/1/0/0/2 0/0 "GET /a?token=S3cr3t HTTP/1.1"\n'


def run(*words: str, given: bytes = b"") -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    parse.register(app)
    return CliRunner().invoke(app, ["parse", *words], input=given)


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_line_gives_one_object_and_the_kinds_are_counted() -> None:
    result = run("haproxy", str(CORPUS / "haproxy.log"))
    assert result.exit_code == 0
    assert len(rows(result)) == 1500
    assert result.stderr.strip() == "1500 request"
    first = rows(result)[0]
    assert first["kind"] == "request"
    assert first["fields"]["frontend"]
    assert first["fields"]["timers"].keys() == {"TR", "Tw", "Tc", "Tr", "Td", "Ta", "Th", "Ti"}
    assert first["flags"] == []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_packed_files_are_read_as_well(pack: Any, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(pack((CORPUS / "haproxy.log").read_bytes()))
    assert len(rows(run("haproxy", str(file)))) == 1500


def test_a_captured_stream_is_framed() -> None:
    result = run("haproxy", str(CAPTURES / "haproxy" / "rfc5424-tcp-octet.bin"))
    assert Counter(row["kind"] for row in rows(result))["request"] == 203
    assert len(rows(result)) == 268


def test_an_array_gives_one_object_per_entry_and_errors_say_why(tmp_path: Path) -> None:
    body = b'[{"request":{"id":"a"},"started_at":1795460245226},{"request":{}},nonsense]\nno body\n'
    file = tmp_path / "kong.jsonl"
    file.write_bytes(body)
    result = run("kong", str(file))
    assert result.exit_code == 1
    shown = rows(result)
    assert [row["kind"] for row in shown] == ["attempt", "error", "error", "error"]
    assert [row["error"]["reason"] for row in shown[1:]] == ["no_date", "not_json", "not_splittable"]
    assert result.stderr.strip() == "3 error, 1 attempt"


def test_captured_bodies_are_all_understood(tmp_path: Path) -> None:
    file = tmp_path / "kong.jsonl"
    with file.open("wb") as out:
        for line in (CORPUS / "kong.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            out.write(
                (base64.b64decode(row["body_b64"]) if "body_b64" in row else row["body"].encode()) + b"\n"
            )
    result = run("kong", str(file))
    assert (result.exit_code, result.stderr.strip()) == (0, "1544 attempt")


def test_standard_input_is_read_and_secrets_are_not_shown() -> None:
    result = run("haproxy", "-", given=LINE)
    assert result.exit_code == 0
    assert rows(result)[0]["fields"]["query"].startswith("token=~")
    assert "S3cr3t" not in result.output


def test_a_key_makes_fingerprints_comparable_between_runs(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    one, again, other = (
        rows(run("haproxy", *options, given=LINE))[0]["fields"]["query"]
        for options in (["--key-file", str(key)], ["--key-file", str(key)], [])
    )
    assert one == again != other


def test_a_format_names_and_a_zone_are_options() -> None:
    result = run(
        "haproxy", "--log-format", "%ci %tr %ST %[var(txn.k)]", "--name", "var(txn.k)=kong_rid", "--time-zone", "Europe/Berlin",
        given=b"192.0.2.1 01/Jul/2026:12:00:00.000 204 abc\n",
    )  # fmt: skip
    fields = rows(result)[0]["fields"]
    assert (fields["status"], fields["gateway_request_id"]) == (204, "abc")
    assert fields["start_us"] == 1_782_900_000_000_000


def test_a_configuration_gives_the_formats(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text('frontend f\n mode http\n log stdout local0\n log-format "%f|%ci|%ST|%tr"\n')
    result = run(
        "haproxy", "--haproxy-config", str(config), given=b"f|192.0.2.1|204|01/Jul/2026:12:00:00.000\n"
    )
    assert rows(result)[0]["fields"]["frontend"] == "f"


def test_a_wrong_zone_is_warned_of() -> None:
    line = b"<134>1 2026-11-23T20:35:39.700000+02:00 h haproxy 7 - - " + LINE.replace(b":18:35", b":20:35")
    result = run("haproxy", given=line)
    assert "warning (1 lines): HAProxy's dates are of UTC+02:00" in result.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("haproxy", "/no/such/file"), "cannot read"),
        (("haproxy", "--log-format", "%zz"), "HAProxy has no %zz"),
        (("haproxy", "--time-zone", "Mars/Olympus"), "no time zone is called"),
        (("haproxy", "--haproxy-config", "/no/such/file"), "cannot read"),
        (("haproxy", "--log-format", "%ci", "--name", "x"), "write EXPRESSION=NAME"),
    ],
)
def test_wrong_usage_says_what_is_wrong(words: tuple[str, ...], why: str) -> None:
    result = run(*words, given=LINE)
    assert isinstance(result.exception, ConfigError)
    assert why in str(result.exception)


def test_a_file_that_breaks_off_gives_what_could_be_read(tmp_path: Path) -> None:
    file = tmp_path / "log.gz"
    file.write_bytes(gzip.compress((CORPUS / "haproxy.log").read_bytes())[:-200])
    result = run("haproxy", str(file))
    assert isinstance(result.exception, UnreadableFile)
    assert len(rows(result)) > 1000

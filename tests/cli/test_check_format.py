"""`hoptrail check format`: what the lines of a log-format can tell a lineage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import check_format
from pipeline.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    check_format.register(app)
    return CliRunner().invoke(app, ["format", *words])


def report(*words: str) -> dict[str, Any]:
    (document,) = json.loads(run(*words, "-o", "json").stdout)
    found: dict[str, Any] = document
    return found


def test_httplog_lacks_the_id_and_says_what_to_add() -> None:
    result = run("httplog")
    assert result.exit_code == 1
    assert "request_id             needed: its lines join with no line of Kong's" in result.stdout
    assert "add %ID, with unique-id-format" in result.stdout
    assert "can be read in two ways where a client makes it so: %CC, %CS, %hr, %hs" in result.stdout


def test_our_own_configuration_lacks_nothing() -> None:
    result = run("--haproxy-config", str(ROOT / "deploy" / "haproxy" / "haproxy.cfg"))
    assert result.exit_code == 0
    assert "missing" not in result.stdout
    assert "warning" not in result.stdout
    assert "frontend edge, error-log-format" in result.stdout


def test_a_report_says_what_is_recovered_and_by_which_item() -> None:
    document = report("%ci:%cp [%tr] %ft %b/%s %ST %tsc %{+Q}r %ID")
    assert document["recovered"]["request_id"] == ["%ID"]
    assert document["recovered"]["edge.server"] == ["%b", "%s"]
    assert [need["field"] for need in document["missing"]][:3] == [
        "edge.timers",
        "gateway_request_id",
        "edge.retries",
    ]
    assert document["ambiguous"] == []
    assert (document["kind"], document["shape"]) == ("requests", "text")


def test_names_fill_what_is_missing() -> None:
    text = "%ci [%tr] %ST %ID %[var(txn.k)]"
    assert "gateway_request_id" in {need["field"] for need in report(text)["missing"]}
    document = report(text, "--name", "var(txn.k)=kong_rid")
    assert "gateway_request_id" in document["recovered"]
    assert document["not_used"] == []


def test_json_that_breaks_for_some_requests_is_warned_of() -> None:
    warnings = report(
        '{"b":%B,"p":%sp,"r":"%r","ua":"%[capture.req.hdr(0)]","ok":"%[path,json(utf8s)]","st":%ST}'
    )["warnings"]
    assert [warning.partition(" may")[0] for warning in warnings] == [
        "%B",
        "%sp",
        "%r",
        "%[capture.req.hdr(0)]",
    ]


def test_what_haproxy_3_does_not_write_is_named() -> None:
    document = report("%{+json}o %(ip)ci %ST %(tr)tr %(id)ID")
    assert document["shape"] == "json (encoded by HAProxy)"
    assert any("%ST has no name" in warning for warning in document["warnings"])
    assert "status" not in document["recovered"]


def test_sessions_and_errors_want_less() -> None:
    assert report("tcplog")["kind"] == "sessions"
    assert not [need for need in report("tcplog")["missing"] if need["importance"] == "needed"]
    assert report("%ci [%tr] %ft %ST %tsc", "--error")["missing"] == []


def test_a_frontend_without_a_format_is_told_so(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("frontend f\n mode http\n")
    result = run("--haproxy-config", str(config))
    assert "Connect from" in result.stdout
    assert "logs nowhere" in result.stdout


@pytest.mark.parametrize("words", [(), ("%ci", "--haproxy-config", "x")])
def test_one_of_both_is_wanted(words: tuple[str, ...]) -> None:
    assert isinstance(run(*words).exception, ConfigError)

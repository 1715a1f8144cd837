"""What the operator sets reaches its place, and what he mistypes is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.addresses import is_loopback, split_address
from pipeline.config import load_config
from pipeline.errors import ConfigError


def test_options_beat_variables_beat_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hoptrail.yaml"
    file.write_text("join: {window_s: 1, max_per_key: 7}\nstore: {batch_rows: 10}\n", encoding="utf-8")
    environ = {"HOPTRAIL_JOIN__WINDOW_S": "2", "HOPTRAIL_STORE__BATCH_ROWS": "20"}
    config = load_config(file, {"store.batch_rows": 30, "join.max_per_key": None}, environ)
    assert (config.join.max_per_key, config.join.window_s, config.store.batch_rows) == (7, 2.0, 30)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "hoptrail.yaml"
    file.write_text("join: {windows_s: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"join\.windows_s: there is no such setting"):
        load_config(file, environ={})


@pytest.mark.parametrize("name", ["HOPTRAIL_JOIN__WINDOWS_S", "HOPTRAIL_JION__WINDOW_S", "HOPTRAIL_DATADIR"])
def test_an_unknown_variable_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_config(None, environ={name: "1"})


def test_variables_that_kubernetes_injects_are_not_ours() -> None:
    injected = {
        "HOPTRAIL_SERVICE_HOST": "10.0.0.1",
        "HOPTRAIL_SERVICE_PORT": "8600",
        "HOPTRAIL_PORT": "tcp://10.0.0.1:8600",
        "HOPTRAIL_PORT_8600_TCP_ADDR": "10.0.0.1",
    }
    assert load_config(None, environ=injected) == load_config(None, environ={})


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"sources.syslog.udp": "0.0.0.0:514"}, "set allow"),
        ({"sources.syslog.tcp": "[::]:514"}, "set allow"),
        ({"sources.kong.listen": "0.0.0.0:8600"}, "set secret_file"),
        ({"sources.kong.listen": "0.0.0.0:8600", "sources.kong.secret_file": "s"}, "set tls"),
        ({"door.listen": "0.0.0.0:8124"}, "loopback only"),
        ({"sources.syslog.time_zone": "Mars/Olympus"}, "no time zone is called"),
        ({"sources.syslog.allow": ["10.0.0.0/99"]}, "sources.syslog.allow"),
        ({"bus.dsn": "nats://b:9092"}, "neither 'journal:'"),
        ({"bus.dsn": "kafka://user:secret@b:9092"}, "bus.kafka.security"),
        ({"bus.kafka.status_listen": "0.0.0.0:8601"}, "set status_tls"),
        ({"bus.kafka.status_listen": "[2001:db8::1]:8601"}, "set status_tls"),
        ({"join.window_s": 0}, "join.window_s"),
    ],
)
def test_what_is_unsafe_or_impossible_is_refused_with_its_fix(options: dict[str, object], fix: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, options, environ={})
    assert fix in str(refused.value)


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not YAML"):
        load_config(file, environ={})
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml", environ={})


@pytest.mark.parametrize("text", ["8600", "host", "host:70000", "host:http", ""])
def test_an_address_needs_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        split_address(text)


def test_an_address_may_be_v6() -> None:
    assert split_address("[::1]:8600") == ("::1", 8600)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("lb", False),
    ],
)
def test_only_loopback_is_loopback(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local


def test_names_of_headers_are_brought_to_one_form() -> None:
    names = ["X-Tenant-Id", "request.x-tenant-id", "response.X-Cache", "x.dotted"]
    config = load_config(None, {"redaction.headers": names}, {})
    assert config.redaction.headers == ("request.x-tenant-id", "response.x-cache", "request.x.dotted")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["Authorization"], "never kept"),
        (["request.cookie"], "never kept"),
        (["response.Set-Cookie"], "never kept"),
        (["proxy-authorization"], "never kept"),
        (["x tenant"], "not the name of a header"),
        (["response."], "not the name of a header"),
        (["x" * 65], "not the name of a header"),
        ([f"x-{number}" for number in range(33)], "at most 32"),
    ],
)
def test_headers_that_are_none_or_hold_credentials_are_refused(names: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load_config(None, {"redaction.headers": names}, {})

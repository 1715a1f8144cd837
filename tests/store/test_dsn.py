"""What operators write, and what they are told."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.store.dsn import EmbeddedDsn, ServerDsn, parse_dsn

PASSWORD = "correct horse"


def server(dsn: str, **environ: str) -> ServerDsn:
    parsed = parse_dsn(dsn, environ)
    assert isinstance(parsed, ServerDsn)
    return parsed


def test_a_directory_is_the_embedded_engine() -> None:
    assert parse_dsn("chdb:///var/lib/hoptrail/store") == EmbeddedDsn(Path("/var/lib/hoptrail/store"))


def test_a_server_has_sensible_defaults() -> None:
    dsn = server("clickhouse://db.example.com")
    assert (dsn.host, dsn.port, dsn.database, dsn.user, dsn.password, dsn.secure) == (
        "db.example.com",
        8123,
        "hoptrail",
        "default",
        "",
        False,
    )
    assert server("clickhouses://db.example.com").port == 8443


def test_everything_can_be_said(tmp_path: Path) -> None:
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).write_text("")
    dsn = server(
        f"clickhouses://writer%40ops:{PASSWORD.replace(' ', '%20')}@[2001:db8::1]:9440/audit"
        f"?ca={tmp_path}/ca.pem&client_cert={tmp_path}/me.pem&client_key={tmp_path}/me.key&verify=no"
    )
    assert (dsn.host, dsn.port, dsn.database, dsn.user) == ("2001:db8::1", 9440, "audit", "writer@ops")
    assert (dsn.password, dsn.secure, dsn.verify, dsn.ca) == (PASSWORD, True, False, f"{tmp_path}/ca.pem")


def test_the_password_comes_from_a_file_or_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    environ = {"CLICKHOUSE_PASSWORD": "of the environment"}
    assert server(f"clickhouse://me@db?password_file={file}", **environ).password == PASSWORD
    assert server("clickhouse://me@db", **environ).password == "of the environment"
    assert server("clickhouse://me:mine@db", **environ).password == "mine"


def test_a_dsn_is_shown_without_its_password() -> None:
    dsn = server("clickhouse://me:hunter2@db:1/x")
    assert dsn.shown == "clickhouse://me@db:1/x"
    assert "hunter2" not in repr(dsn)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("", "is not a store"),
        ("/var/lib/store", "is not a store"),
        ("postgres://me:hunter2@db/x", "is not a store"),
        ("chdb://relative/dir", "whole path"),
        ("chdb:///dir?mode=ro", "no options"),
        ("clickhouse://", "no host"),
        ("clickhouse://me:hunter2@db:70000/x", "port"),
        ("clickhouse://me:hunter2@db:http/x", "port"),
        ("clickhouse://me:hunter2@db/?passwordfile=x", "passwordfile"),
        ("clickhouse://me:hunter2@db/?password_file=/x", "keep the file"),
        ("clickhouse://me:hunter2@db/?ca=/etc/ssl/cert.pem", "with an s"),
        ("clickhouses://me:hunter2@db/?verify=maybe", "yes or no"),
        ("clickhouses://me:hunter2@db/?client_cert=/x", "go together"),
        ("clickhouses://me:hunter2@db/?ca=/does/not/exist", "is not a file"),
        ("clickhouse://me@db/?password_file=/does/not/exist", "cannot be read"),
    ],
)
def test_a_wrong_dsn_names_the_fix_and_never_the_password(dsn: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_dsn(dsn, {})
    assert "hunter2" not in str(caught.value)

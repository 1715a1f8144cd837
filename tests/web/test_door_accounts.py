"""Who may ask, over TLS, and that each has limits of his own."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

import clickhouse_connect
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.config import load_config
from pipeline.errors import ConfigError
from pipeline.web.door_accounts import Accounts

if TYPE_CHECKING:
    from conftest import Door, OpenDoor

AUDITOR = ("auditor", "correct horse battery")
GRAFANA = ("grafana", "päßwörter are text:too")


def write_certificate(directory: Path) -> dict[str, str]:
    """Make a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = {"cert_file": directory / "door.crt", "key_file": directory / "door.key"}
    files["cert_file"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files["key_file"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {name: str(file) for name, file in files.items()}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(open_door: OpenDoor, tls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Door:
    directory = tmp_path_factory.mktemp("passwords")
    accounts = []
    for (name, password), limits in ((AUDITOR, {"max_rows": 10, "max_seconds": 1}), (GRAFANA, {})):
        file = directory / name
        file.write_text(password + "\n", encoding="utf-8")
        accounts.append({"name": name, "password_file": str(file), **limits})
    return open_door(accounts=accounts, tls=tls, max_rows=5000)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def headers(name: str, password: str) -> list[tuple[str, bytes]]:
    return [("X-ClickHouse-User", name.encode()), ("X-ClickHouse-Key", password.encode())]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        basic("auditor", "wrong password"),
        basic("auditor", ""),
        basic("nobody", AUDITOR[1]),
        basic("", ""),
        basic("default", ""),
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic %%%"},
        {"X-ClickHouse-User": "auditor"},
        {"X-ClickHouse-User": "auditor", "X-ClickHouse-Key": "wrong password"},
        {"X-ClickHouse-User": "nobody", **basic(*AUDITOR)},
    ],
)
def test_nobody_asks_without_the_right_password(guarded: Door, sent: dict[str, str]) -> None:
    response = guarded.ask("SELECT 1", headers=sent)
    assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (401, "516")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("account", [AUDITOR, GRAFANA])
def test_basic_auth_and_clickhouse_headers_both_let_in(guarded: Door, account: tuple[str, str]) -> None:
    assert guarded.ask("SELECT 1", headers=basic(*account)).text == "1\n"
    sent = httpx.Headers([(name.encode(), value) for name, value in headers(*account)])
    if account is AUDITOR:  # headers are latin-1; other passwords go through Basic auth
        assert guarded.ask("SELECT 1", headers=dict(sent)).text == "1\n"


def test_the_process_itself_has_an_account(guarded: Door) -> None:
    assert guarded.ask("SELECT 1", headers=basic("hoptrail", "a password of our own")).text == "1\n"


def test_each_account_has_its_own_limits(guarded: Door) -> None:
    many = "SELECT number FROM numbers(11)"
    assert guarded.ask(many, headers=basic(*AUDITOR)).headers["X-ClickHouse-Exception-Code"] == "396"
    assert guarded.ask(many, headers=basic(*GRAFANA)).status_code == 200
    over = guarded.ask("SELECT number FROM numbers(5001)", headers=basic(*GRAFANA))
    assert over.headers["X-ClickHouse-Exception-Code"] == "396"


def test_the_log_says_who_asked_and_never_a_password(guarded: Door) -> None:
    guarded.ask("SELECT 'asked by an auditor'", headers=basic(*AUDITOR))
    guarded.ask("SELECT 1", headers=basic("auditor", "wrong but secret"))
    assert "account=auditor status=200" in guarded.log
    assert "status=401" in guarded.log
    assert "wrong but secret" not in guarded.log
    assert AUDITOR[1] not in guarded.log


def test_with_accounts_the_door_may_have_any_name(guarded: Door) -> None:
    assert guarded.ask("SELECT 1", headers={"Host": "hoptrail.example", **basic(*AUDITOR)}).status_code == 200


def test_a_ping_needs_no_account(guarded: Door) -> None:
    assert guarded.client.get(guarded.url + "ping").text == "Ok.\n"


def test_clickhouse_connect_comes_in_with_password_and_certificate(
    guarded: Door, tls: dict[str, str]
) -> None:
    host, _, port = guarded.address.rpartition(":")
    client = clickhouse_connect.get_client(
        host=host,
        port=int(port),
        secure=True,
        ca_cert=tls["cert_file"],
        username=GRAFANA[0],
        password=GRAFANA[1],
    )
    assert client.query("SELECT count() FROM lineage").result_rows == [(1000,)]
    client.close()


def test_off_loopback_the_door_needs_accounts_and_a_certificate(tmp_path: Path, tls: dict[str, str]) -> None:
    account = {"name": "a", "password_file": str(tmp_path / "p")}
    with pytest.raises(ConfigError, match="set accounts"):
        load_config(None, {"door.listen": "0.0.0.0:8124", "door.tls": tls}, environ={})
    with pytest.raises(ConfigError, match="set tls"):
        load_config(None, {"door.listen": "0.0.0.0:8124", "door.accounts": [account]}, environ={})
    options = {"door.listen": "0.0.0.0:8124", "door.accounts": [account], "door.tls": tls}
    assert load_config(None, options, environ={}).door.accounts[0].name == "a"


@pytest.mark.parametrize(("content", "fault"), [("short", "needs 12 characters"), (None, "cannot be read")])
def test_a_password_that_is_none_is_refused_at_the_start(
    tmp_path: Path, content: str | None, fault: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    options = {"door.accounts": [{"name": "a", "password_file": str(file)}]}
    with pytest.raises(ConfigError, match=fault):
        Accounts(load_config(None, options, environ={}).door)


def test_two_accounts_cannot_have_one_name(tmp_path: Path) -> None:
    account = {"name": "a", "password_file": str(tmp_path / "p")}
    with pytest.raises(ConfigError, match="same name"):
        load_config(None, {"door.accounts": [account, account]}, environ={})

"""A server over TLS: who it is, who we are, and what is said where either is in doubt."""

import ipaddress
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.store import schema
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn

PASSWORD = "correct horse battery"
Connect = Callable[..., Connection]


class Authority:
    """Signs certificates."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file, _ = self._write(name, self._key, self._name, None)

    def sign(self, name: str, address: str | None = None) -> tuple[Path, Path]:
        """Give the files of a certificate and its key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, ec.generate_private_key(ec.SECP256R1()), subject, address)

    def _write(
        self, file: str, key: ec.EllipticCurvePrivateKey, subject: x509.Name, address: str | None
    ) -> tuple[Path, Path]:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            self._name,
            subject,
            key.public_key(),
            x509.random_serial_number(),
            now - timedelta(hours=1),
            now + timedelta(hours=1),
        ).add_extension(x509.BasicConstraints(ca=subject == self._name, path_length=None), critical=True)
        if address:
            names = [x509.IPAddress(ipaddress.ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        files = self._directory / f"{file}.pem", self._directory / f"{file}.key"
        files[0].write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "our-authority")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers-authority")


@pytest.fixture(scope="module")
def address(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the face with TLS, for clients of our authority that know the password."""
    certificate, key = ours.sign("server", "127.0.0.1")
    environment = {"FACE_CERT": str(certificate), "FACE_KEY": str(key), "FACE_CA": str(ours.file)}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("http_face.py"), tmp_path_factory.mktemp("face")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "FACE_PASSWORD": PASSWORD},
    ) as process:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture
def reach(address: str, ours: Authority, tmp_path: Path) -> Connect:
    """Connect with a client certificate of our authority, unless told otherwise."""
    certificate, key = ours.sign("client")
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")

    def connected(**options: object) -> Connection:
        given = {
            "ca": ours.file,
            "client_cert": certificate,
            "client_key": key,
            "password_file": secret,
        } | options
        query = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return connect(parse_dsn(f"clickhouses://writer@{address}/over_tls?{query}", {}), create=True)

    return connected


def test_both_sides_show_a_certificate_and_the_account_its_password(reach: Connect) -> None:
    connection = reach()
    schema.apply(connection, embedded=False)
    assert connection.client.command("SELECT count() FROM lineage") == 0
    connection.close()


@pytest.mark.parametrize("ca", [None, "strangers"])
def test_a_server_that_no_known_authority_vouches_for_is_not_talked_to(
    reach: Connect, strangers: Authority, ca: str | None
) -> None:
    with pytest.raises(StoreUnavailable, match=r"does not answer: .*certificate verify failed"):
        reach(ca=strangers.file if ca else None)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_without_verification_any_server_will_do(reach: Connect) -> None:
    reach(ca=None, verify="no").close()


def test_a_client_without_a_certificate_is_turned_away(reach: Connect) -> None:
    with pytest.raises(StoreUnavailable):
        reach(client_cert=None, client_key=None)


def test_a_client_of_strangers_is_turned_away(reach: Connect, strangers: Authority) -> None:
    certificate, key = strangers.sign("intruder")
    with pytest.raises(StoreUnavailable):
        reach(client_cert=certificate, client_key=key)


def test_a_wrong_password_is_a_mistake_of_the_configuration(reach: Connect, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another")
    with pytest.raises(ConfigError, match="refuses") as caught:
        reach(password_file=wrong)
    assert "another" not in str(caught.value)

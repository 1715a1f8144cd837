"""TLS, SASL and access rules, with a certificate authority of the tests' own."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.jvm

DOCS = Path(__file__).parents[2] / "docs" / "kafka.md"
PASSWORD = "a password of the tests"
_MODULE = "org.apache.kafka.common.security"
_SETTINGS = """
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.secure.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_plain="{password}";
listener.name.secure.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secure.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:plain;User:bearer;User:operator
"""


def _certificate(name: str, key: Any, issuer: str, issuer_key: Any) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(thing: Any) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return bytes(
        thing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, classpath: str) -> Any:
    """Run a broker that demands TLS, SASL and rights; gives it with the authority's certificate."""
    from kafka_jvm import start_cluster  # noqa: PLC0415 -- loaded by conftest.py

    directory = tmp_path_factory.mktemp("secure")
    authority_key, broker_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("authority", authority_key, "authority", authority_key)
    broker = _certificate("localhost", broker_key, "authority", authority_key)
    keystore, trusted = directory / "broker.pem", directory / "authority.pem"
    keystore.write_bytes(_pem(broker_key) + _pem(broker) + _pem(authority))
    trusted.write_bytes(_pem(authority))
    users = [
        f"{kind}=[name={name},password={PASSWORD}]"
        for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for name in ("operator", "ingest", "join", "nobody", "half")
    ]
    settings = _SETTINGS.format(keystore=keystore, module=_MODULE, password=PASSWORD)
    cluster = start_cluster(directory, classpath, security=settings, scram=users)
    yield cluster, trusted
    cluster.stop()


def _token(valid_s: int = 3600) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    return f"{part({'alg': 'none'})}.{part({'sub': 'bearer', 'iat': now, 'exp': now + valid_s})}."


@pytest.fixture
def configured(secure: Any, make_world: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Make a world on the secure listener; its security settings are given by user and mechanism."""
    cluster, trusted = secure
    (tmp_path / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    (tmp_path / "token").write_text(_token(), encoding="utf-8")

    def security(mechanism: str, user: str) -> dict[str, Any]:
        settings = {"tls": True, "ca_file": str(trusted), "mechanism": mechanism}
        if mechanism == "OAUTHBEARER":
            return settings | {"token_file": str(tmp_path / "token")}
        return settings | {"username": user, "password_file": str(tmp_path / "password")}

    def make(mechanism: str, user: str) -> Any:
        world = make_world(cluster.secure, security=security(mechanism, user))
        world.security = security
        return world

    return make


@pytest.mark.parametrize(
    ("mechanism", "user"),
    [("PLAIN", "plain"), ("SCRAM-SHA-256", "operator"), ("SCRAM-SHA-512", "operator"), ("OAUTHBEARER", "")],
)
def test_each_mechanism_over_tls_is_let_in(configured: Callable[..., Any], mechanism: str, user: str) -> None:
    """Making the world has made its topics already."""
    world = configured(mechanism, user)
    assert world.standing()["lag_messages"] == {"haproxy": [0] * 4, "kong": [0] * 4}


def test_what_is_wrong_is_said_in_one_line_without_the_secret(
    configured: Callable[..., Any], tmp_path: Path
) -> None:
    world = configured("SCRAM-SHA-512", "operator")
    (tmp_path / "wrong").write_text("another password", encoding="utf-8")
    for change, said in (
        ({"password_file": str(tmp_path / "wrong")}, "the password or token of User:operator is refused"),
        ({"ca_file": None}, "the broker's certificate is refused"),
        ({"password_file": str(tmp_path / "none")}, "cannot read"),
        ({"mechanism": "SCRAM-SHA-256", "username": "stranger"}, "User:stranger is refused"),
    ):
        config = world.config("wrong", **{f"bus__kafka__security__{name}": to for name, to in change.items()})
        refused = world.command("kafka", "topics", "plan", "--config", config, check=False)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        assert PASSWORD not in refused.stderr
        assert "another password" not in refused.stderr


def test_a_secret_is_not_sent_in_clear(configured: Callable[..., Any]) -> None:
    world = configured("PLAIN", "plain")
    config = world.config("clear", bus__kafka__security__tls=False, bus__kafka__security__ca_file=None)
    refused = world.command("kafka", "topics", "plan", "--config", config, check=False)
    assert refused.returncode == 2
    assert "set tls" in refused.stderr


def _documented_rules(role: str, kafka: dict[str, Any]) -> list[list[str]]:
    """Read the rules of a role out of the documentation, for the topics and group of a test."""
    rules = []
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(
            rf"kafka-acls --bootstrap-server \S+ --add --allow-principal User:{role} (.+)", line
        )
        if found:
            text = (
                found[1]
                .replace("hoptrail.edge", kafka["edge_topic"])
                .replace("hoptrail.gateway", kafka["gateway_topic"])
                .replace("--topic hoptrail.spans", f"--topic {kafka['spans_topic']}")
            )
            text = re.sub(r"--group hoptrail\b", f"--group {kafka['group']}", text)
            rules.append(["--allow-principal", f"User:{role}", *text.split()])
    assert rules
    return rules


def test_the_documented_rights_are_enough_and_without_them_nothing_goes(
    secure: Any, configured: Callable[..., Any], haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    cluster, _ = secure
    world = configured("SCRAM-SHA-512", "operator")
    kafka = world.settings["bus"]["kafka"]
    kafka["spans_topic"] = kafka["edge_topic"].replace("edge", "spans")
    world.settings["otlp"] = {
        "endpoint": "http://127.0.0.1:9"
    }  # nobody: that it is tried says that the topic is read
    world.command("kafka", "topics", "apply", "--config", world.config())
    for role in ("ingest", "join"):
        config = world.config("nobody", bus__kafka__security=world.security("SCRAM-SHA-512", "nobody"))
        refused = world.command(role, "--config", config, check=False)
        assert refused.returncode == 2, refused.stderr
        assert "no access rule lets User:nobody Describe the topic" in refused.stderr
        assert "waiting" not in refused.stderr
    cluster.allow(*_documented_rules("ingest", kafka), *_documented_rules("join", kafka))
    ingest = world.start("ingest", bus__kafka__security=world.security("SCRAM-SHA-512", "ingest"))
    join = world.start("join", bus__kafka__security=world.security("SCRAM-SHA-256", "join"))
    ingest.send(*haproxy_lines[:200])
    assert ingest.post(b"[" + b",".join(kong_bodies[:200]) + b"]") == 200
    rows = world.wait(lambda rows: rows["haproxy"]["stored"] == 200 and rows["kong"]["stored"] == 200)
    assert rows["haproxy"]["received"] == 200
    world.until(lambda: join.status()["spans"]["retries"] > 0, "spans are read from their topic")


def test_a_right_that_is_missing_under_way_is_named_and_the_process_ends_or_goes_on(
    secure: Any, configured: Callable[..., Any], kong_bodies: list[bytes]
) -> None:
    """Whoever may see a topic starts; a join that may not read it ends with one line, an ingest waits to be let."""
    cluster, _ = secure
    world = configured("SCRAM-SHA-512", "operator")
    kafka = world.settings["bus"]["kafka"]
    edge, gateway = kafka["edge_topic"], kafka["gateway_topic"]
    half = ["--allow-principal", "User:half", "--operation"]
    cluster.allow(
        [*half, "Describe", "--topic", edge, "--topic", gateway], [*half, "Read", "--group", kafka["group"]]
    )
    security = world.security("SCRAM-SHA-512", "half")
    join = world.start("join", ready=False, bus__kafka__security=security)
    ingest = world.start("ingest", bus__kafka__security=security, bus__kafka__delivery_timeout_s=1)
    assert join.popen.wait(60) == 1
    said = join.log.read_text(encoding="utf-8")
    assert re.search(
        rf"the engine failed: no access rule lets User:half Read the topic ({edge}|{gateway})", said
    )
    assert "Traceback" not in said
    assert ingest.post(kong_bodies[0]) == 503
    said = ingest.log.read_text(encoding="utf-8")
    assert f"no access rule lets User:half Write the topic {gateway}" in said
    cluster.allow([*half, "Write", "--topic", gateway])
    assert ingest.insist(kong_bodies[0]) >= 0

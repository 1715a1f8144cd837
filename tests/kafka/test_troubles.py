"""What an operator is told at night: one clear line, and an exit code or patience, whichever is right."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.bus.kafka.topics import apply
from pipeline.config import load_config

Corpus = Any


def lines_of(process: Any, *words: str) -> list[str]:
    """Give the lines of a process's log that hold all words."""
    return [
        line
        for line in process.log.read_text(encoding="utf-8").splitlines()
        if all(word in line for word in words)
    ]


@pytest.mark.jvm  # the common broker of the tests is not to be killed
def test_processes_that_start_before_the_broker_wait_for_it_and_say_so_and_its_absence_is_no_flood(
    tmp_path: Path,
    classpath: str,
    start_cluster: Callable[..., Any],
    make_world: Callable[..., Any],
    corpus: Corpus,
) -> None:
    cluster = start_cluster(tmp_path, classpath)
    world = make_world(cluster.servers, delivery_timeout_s=1, start_timeout_s=60)
    node = cluster.nodes[0]
    node.kill()
    ingest, join = world.start("ingest", ready=False), world.start("join", ready=False)
    for process in (ingest, join):
        world.until(lambda: lines_of(process, "waiting for brokers", "Connection refused"), "it says so")  # noqa: B023 -- asked at once
        assert process.popen.poll() is None
    node.start()
    for process in (ingest, join):
        process.wait_ready()
    (lines, body), (later_lines, later_body) = corpus.parts(2)
    ingest.send(*lines)
    ingest.insist(body)
    world.until(lambda: join.status()["sources"]["kong"]["stored"] > 0, "it has begun")
    node.kill()
    ingest.send(*later_lines)
    assert [ingest.post(later_body) for _ in range(3)] == [503] * 3
    for process in (ingest, join):
        assert len(process.log.read_text(encoding="utf-8").splitlines()) < 60, (
            "a few lines, not forty a second"
        )
        assert process.popen.poll() is None
    node.start()
    node.wait()
    ingest.insist(later_body)
    world.check_whole(doubles=True)


def test_a_process_that_waited_long_enough_for_brokers_names_them_and_exits_2(world: Any) -> None:
    config = world.config(
        "nowhere", bus__dsn="kafka://127.0.0.1:1,localhost:1", bus__kafka__start_timeout_s=1.5
    )
    for role in ("ingest", "join"):
        refused = world.command(role, "--config", config, check=False)
        assert refused.returncode == 2
        (waiting,) = [line for line in refused.stderr.splitlines() if "waiting for brokers" in line]
        assert "Connection refused" in waiting
        assert "no broker of 127.0.0.1:1, localhost:1 could be used" in refused.stderr.splitlines()[-1]
        assert "Traceback" not in refused.stderr


@pytest.mark.jvm  # Tansu gives offsets of topics that are gone
def test_a_topic_that_is_deleted_and_made_anew_under_running_processes_is_read_from_its_beginning(
    make_world: Callable[..., Any], broker: Any, corpus: Corpus
) -> None:
    """Nobody takes the new topic's first messages for those that had the same numbers."""
    world = make_world(broker.servers, delivery_timeout_s=1)
    kafka = world.settings["bus"]["kafka"]
    ingest, join = world.start("ingest", ready=False), world.start("join")
    ingest.wait_ready()
    (lines, body), (later_lines, later_body) = corpus.parts(2)
    ingest.send(*lines)
    ingest.insist(body)
    world.wait(lambda rows: rows["haproxy"]["stored"] == len(lines))
    asyncio.run(delete(broker.servers, [kafka["edge_topic"], kafka["gateway_topic"]]))
    world.until(lambda: ingest.post(later_body) == 503, "nothing is kept")
    asyncio.run(apply(load_config(world.config(), environ={}).bus))
    ingest.insist(later_body)
    ingest.send(*later_lines)

    def whole() -> bool:
        if (
            join.popen.poll() is not None
        ):  # what it had read cannot be: it says so, and a supervisor starts it again
            assert join.popen.returncode == 1
            assert lines_of(join, "the topic was deleted and made anew")
            world.processes.remove(join)
            world.start("join")
            return False
        return len(world.lineages()) == len(lines) + len(later_lines)

    world.until(whole, "all is stored")
    assert {one["outcome"] for one in world.lineages()} == {"complete"}


async def delete(servers: str, topics: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()


def make_certificate(directory: Path, *, days: float) -> tuple[Path, Path]:
    """Write a certificate of its own making for this machine, valid for so many days from now, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=days))
        .add_extension(names, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    files = directory / "certificate.pem", directory / "certificate.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@contextmanager
def listening_with(certificate: Path, key: Path) -> Iterator[int]:
    """Listen, shake hands and hang up; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", 0))

    def shake_hands() -> None:
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            try:
                context.wrap_socket(taken, server_side=True).close()
            except OSError:
                taken.close()

    thread = threading.Thread(target=shake_hands, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_a_certificate_that_ran_out_is_said_at_once_and_not_waited_for(world: Any, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, days=-1)
    with listening_with(certificate, key) as port:
        security = {"tls": True, "ca_file": str(certificate)}
        config = world.config("expired", bus__dsn=f"kafka://localhost:{port}", bus__kafka__security=security)
        for words in (("ingest",), ("kafka", "topics", "plan")):
            refused = world.command(*words, "--config", config, check=False)
            assert refused.returncode == 2
            assert "certificate has expired" in refused.stderr
            assert "waiting" not in refused.stderr
            assert len(refused.stderr.splitlines()) == 1, refused.stderr


def test_the_status_of_a_join_speaks_tls_where_it_is_told_to(world: Any, tmp_path: Path) -> None:
    """And its own command trusts the certificate that it was given."""
    certificate, key = make_certificate(tmp_path, days=1)
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    join = world.start("join", bus__kafka__status_tls=tls)
    address = join.addresses["ingest_url"]
    assert address.startswith("https://127.0.0.1:")
    trusting = httpx.Client(verify=ssl.create_default_context(cafile=tls["cert_file"]), trust_env=False)
    with trusting:
        assert trusting.get(f"{address}/readyz").text == "ok\n"
    with pytest.raises(httpx.ConnectError, match="certificate"):
        join.get("/readyz")
    config = next(iter(world.directory.glob("join-*.yaml")))
    shown = world.command("status", "--config", config, "-o", "json")
    assert '"role": "join"' in shown.stdout

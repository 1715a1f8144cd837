"""A running HAProxy with the configuration of `deploy/`, and a certificate of nobody for its TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.demo.declared import load_declared
from pipeline.demo.gateway import Gateway, gateway_listeners
from pipeline.demo.haproxy_process import find_haproxy, running_haproxy
from pipeline.demo.http1 import Answer, Headers, HttpConnection
from pipeline.demo.kong_entry import Served
from pipeline.demo.log_queue import LogQueue
from pipeline.demo.upstreams import open_upstreams
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord
from pipeline.resources import resource

SECRETS = {
    "DECK_MOBILE_APP_KEY": "mobile-key",
    "DECK_ACME_KEY": "acme-key",
    "DECK_BILLING_BATCH_SECRET": "signing-secret",
    "LINEAGE_LOG_SECRET": "log-secret",
}
HOST = ("Host", "api.example.com")
DEADLINE_S = 15.0


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a PEM file with a key and its self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.example.com")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "site.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Datagrams(asyncio.DatagramProtocol):
    """Keeps what HAProxy sends."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def datagram_received(self, data: bytes, _: object) -> None:
        self.received.append(data)


@dataclass(slots=True)
class Edge:
    """A running HAProxy with what came out of it behind and beside."""

    port: int
    tls_port: int
    log: Datagrams
    served: list[Served] = field(default_factory=list)
    """Requests as the gateway got them, in order."""
    gateway: Gateway | None = None

    async def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        connection = await HttpConnection.open("127.0.0.1", self.port)
        try:
            return await connection.exchange(method, target, [HOST, *headers], body)
        finally:
            await connection.close()

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Wait for a condition; the test fails when it does not come true."""
        await until(condition)

    async def lines(self, count: int, version: str = "hap-req/1") -> list[bytes]:
        """Wait for as many request (or error) lines; HAProxy also says when a server goes up or down."""
        wanted = f'"v":"{version}"'.encode()

        def found() -> list[bytes]:
            return [line for line in self.log.received if wanted in line]

        await until(lambda: len(found()) >= count)
        return found()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- HAProxy is another process
            await asyncio.sleep(0.005)


Parse = Callable[[bytes], EdgeRecord | EdgeEvent]


@pytest.fixture
def parse() -> Parse:
    """Read a line as Hoptrail does."""
    parser = HaproxyParser(redactor=Redactor(b"a key of the tests alone"))
    return lambda line: parser.parse(line, offset=0, arrival_ns=0, peer="127.0.0.1")


@pytest.fixture
def record(parse: Parse) -> Callable[[bytes], EdgeRecord]:
    """Read a line that must be a request's."""

    def read(line: bytes) -> EdgeRecord:
        found = parse(line)
        assert isinstance(found, EdgeRecord)
        return found

    return read


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
async def edge(tmp_path: Path, certificate: Path) -> AsyncIterator[Edge]:
    binary = find_haproxy()
    if binary is None:
        pytest.skip("there is no haproxy binary on the PATH or in /usr/sbin")
    declared = load_declared(resource("deploy/kong/kong.yml"), SECRETS, 1_795_459_335)
    loop = asyncio.get_running_loop()
    transport, log = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    running = Edge(0, free_port(), log)

    def keep(served: Served) -> None:
        running.served.append(served)

    async with AsyncExitStack() as stack:
        stack.callback(transport.close)
        places = await stack.enter_async_context(open_upstreams())
        nowhere = LogQueue(declared.http_log, "http://127.0.0.1:1/")
        gateway = Gateway(declared, places, nowhere, fate=keep, chance=random.Random(3))
        running.gateway = gateway
        ports, status_port = await stack.enter_async_context(gateway_listeners(gateway, 2))
        running.port = await stack.enter_async_context(
            running_haproxy(
                binary,
                log=f"127.0.0.1:{transport.get_extra_info('sockname')[1]}",
                node="edge-1",
                gateways=ports,
                status_port=status_port,
                output=tmp_path / "haproxy.log",
                switches={
                    "EDGE_TLS_BIND": f"127.0.0.1:{running.tls_port}",
                    "EDGE_TLS_CERT": str(certificate),
                    "EDGE_STATS_SOCKET": str(tmp_path / "stats.sock"),
                },
            )
        )
        yield running

"""The HTTP listener: a real port, TLS, bounds on a head, and an end that finishes what it began."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import signal
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send

from pipeline import http_server
from pipeline.config import TlsConfig
from pipeline.errors import ConfigError
from pipeline.http_server import HttpServer


async def who_asks(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the peer's address, once the body is there."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsConfig:
    """A certificate of 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hoptrail test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("tls")
    tls = TlsConfig(cert_file=directory / "cert.pem", key_file=directory / "key.pem")
    tls.cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    tls.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return tls


@pytest.mark.parametrize(("listen", "peer"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")])
async def test_it_answers_where_it_says(listen: str, peer: str) -> None:
    async with HttpServer(who_asks, listen) as server, httpx.AsyncClient() as client:
        assert not server.address.endswith(":0")
        answer = await client.get(f"http://{server.address}/")
    assert (answer.status_code, answer.text) == (200, peer)
    assert "server" not in answer.headers


async def test_the_peer_is_who_holds_the_socket() -> None:
    async with HttpServer(who_asks, "127.0.0.1:0") as server, httpx.AsyncClient() as client:
        claims = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
        assert (await client.get(f"http://{server.address}/", headers=claims)).text == "127.0.0.1"


async def test_a_taken_port_names_setting_address_and_fix() -> None:
    async with HttpServer(who_asks, "127.0.0.1:0") as server:
        with pytest.raises(ConfigError) as refused:
            await HttpServer(who_asks, server.address, setting="sources.kong.listen").__aenter__()
    assert f"sources.kong.listen: cannot listen on {server.address}: it is taken" in str(refused.value)


async def test_signals_stay_the_process_s_own() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with HttpServer(who_asks, "127.0.0.1:0"):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_tls_is_spoken_where_it_is_set(certificate: TlsConfig) -> None:
    context = ssl.create_default_context(cafile=str(certificate.cert_file))
    async with (
        HttpServer(who_asks, "127.0.0.1:0", certificate) as server,
        httpx.AsyncClient(verify=context) as client,
    ):
        assert (await client.get(f"https://{server.address}/")).text == "127.0.0.1"
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://{server.address}/")


@pytest.mark.parametrize(
    "files", [("cert_file", "cert_file"), ("key_file", "key_file"), ("cert_file", "missing")]
)
async def test_a_certificate_that_cannot_be_used_is_named(
    files: tuple[str, str], certificate: TlsConfig
) -> None:
    paths = [getattr(certificate, name, Path("/missing.pem")) for name in files]
    with pytest.raises(ConfigError, match="tls: cannot use") as refused:
        await HttpServer(
            who_asks, "127.0.0.1:0", TlsConfig(cert_file=paths[0], key_file=paths[1])
        ).__aenter__()
    assert str(paths[1]) in str(refused.value)


async def exchange(address: str, request: bytes) -> bytes:
    """Send raw bytes; give the first of the answer, or nothing where the connection is cut."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read(4096)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101,
        b"GET / HTTP/1.1\r\na: " + b"b" * 40_000 + b"\r\n",
        b"GET /" + b"u" * 40_000 + b" HTTP/1.1\r\n",
    ],
    ids=["lines", "bytes", "url"],
)
async def test_a_head_that_is_too_large_is_refused(head: bytes) -> None:
    async with HttpServer(who_asks, "127.0.0.1:0") as server:
        assert (await exchange(server.address, head + b"\r\n")).startswith(b"HTTP/1.1 431 ")
        assert (await exchange(server.address, b"GET / HTTP/1.1\r\na: b\r\n\r\n")).startswith(
            b"HTTP/1.1 200 "
        )


@pytest.mark.parametrize("begun", [b"", b"GET / HT"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_HEAD_S", 0.05)
    async with HttpServer(who_asks, "127.0.0.1:0") as server, asyncio.timeout(10):
        assert await exchange(server.address, begun) == b""


async def test_an_idle_connection_is_kept_longer_than_kong_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert http_server._KEEP_ALIVE_S > 60
    monkeypatch.setattr(http_server, "_HEAD_S", 0.05)
    async with HttpServer(who_asks, "127.0.0.1:0") as server:
        host, _, port = server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.readuntil(b"127.0.0.1")).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"0\r\n\r\n")
            with pytest.raises(TimeoutError):  # longer than a head may take: nothing cuts it
                await asyncio.wait_for(reader.read(1), 0.2)
        writer.close()


async def test_a_request_under_way_is_answered_before_the_end() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await who_asks(scope, receive, send)

    async with httpx.AsyncClient() as client:
        server = HttpServer(slow, "127.0.0.1:0")
        await server.__aenter__()
        asking = asyncio.ensure_future(client.get(f"http://{server.address}/"))
        await begun.wait()
        ending = asyncio.ensure_future(server.__aexit__(None, None, None))
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert (await asking).status_code == 200
        await ending
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])))

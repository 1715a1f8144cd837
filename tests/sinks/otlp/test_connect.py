"""Headers from a secrets file, TLS with our own authorities and certificate, and what is refused before start."""

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from pipeline.config import OtlpConfig
from pipeline.errors import ConfigError
from pipeline.sinks.otlp.answers import Later, Taken
from pipeline.sinks.otlp.connect import all_headers, make_transport

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, and certificates of a receiver and of a client that it signed."""
    directory = tmp_path_factory.mktemp("pem")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=ca",
    )
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("receiver", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", "names",
        )  # fmt: skip
    return directory


@pytest.fixture
def secure(pem: Path) -> Iterator[str]:
    """Listen with TLS for clients that the authority knows; gives the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pem / "ca.pem"))
    context.load_cert_chain(pem / "receiver.pem", pem / "receiver.key")
    context.verify_mode = ssl.CERT_REQUIRED
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # refused clients are what is tested
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def secure_grpc(pem: Path) -> Iterator[str]:
    """Listen for gRPC with TLS for clients that the authority knows; gives the endpoint."""
    pair = ((pem / "receiver.key").read_bytes(), (pem / "receiver.pem").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (pem / "ca.pem").read_bytes(), require_client_auth=True)
    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"https://127.0.0.1:{port}"
    server.stop(None).wait()


def tls(pem: Path, *, client: bool) -> dict[str, Any]:
    own = {"cert_file": pem / "client.pem", "key_file": pem / "client.key"} if client else {}
    return {"ca_file": pem / "ca.pem", **own}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("client", [True, False])
def test_a_receiver_that_wants_a_certificate_gets_ours(
    request: pytest.FixtureRequest, pem: Path, protocol: str, client: bool
) -> None:
    endpoint = request.getfixturevalue("secure" if protocol == "http" else "secure_grpc")
    config = OtlpConfig(endpoint=endpoint, protocol=protocol, tls=tls(pem, client=client), timeout_s=5)
    transport = make_transport(config)
    assert isinstance(transport.send(b""), Taken if client else Later)
    transport.close()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_receiver_that_nobody_vouches_for_gets_nothing(
    request: pytest.FixtureRequest, protocol: str
) -> None:
    endpoint = request.getfixturevalue("secure" if protocol == "http" else "secure_grpc")
    transport = make_transport(OtlpConfig(endpoint=endpoint, protocol=protocol, timeout_s=5))
    assert isinstance(transport.send(b""), Later)
    transport.close()


def test_headers_of_the_secrets_file_are_sent(tmp_path: Path, receiver: Any) -> None:
    file = tmp_path / "headers"
    file.write_text("# credentials\nauthorization: Bearer abc:def\n\n x-scope :  eu \n", encoding="utf-8")
    config = OtlpConfig(endpoint=receiver.endpoint, headers={"x-scope": "us"}, headers_file=file)
    transport = make_transport(config)
    assert transport.send(b"") == Taken()
    transport.close()
    assert receiver.seen[0]["authorization"] == "Bearer abc:def"
    assert receiver.seen[0]["x-scope"] == "eu"


@pytest.mark.parametrize("text", ["Bearer abc", "name value", "bad name: x", "x: caf\u00e9"])
def test_a_line_that_is_no_header_is_refused_without_its_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "headers"
    file.write_text(f"ok: yes\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2 is not 'name: value'") as refused:
        all_headers(OtlpConfig(endpoint="http://127.0.0.1:1", headers_file=file))
    assert text not in str(refused.value)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ConfigError, match=r"otlp\.headers_file .*nowhere cannot be read"):
        make_transport(OtlpConfig(endpoint="http://127.0.0.1:1", headers_file=nowhere))
    for protocol in ("http", "grpc"):
        with pytest.raises(ConfigError, match=r"otlp\.tls"):
            make_transport(
                OtlpConfig(endpoint="https://127.0.0.1:1", protocol=protocol, tls={"ca_file": nowhere})
            )


@pytest.mark.parametrize(
    ("endpoint", "paths"),
    [
        ("", ("/v1/traces", "/v1/metrics")),
        ("/", ("/v1/traces", "/v1/metrics")),
        ("/v1/traces", ("/v1/traces", "/v1/metrics")),
        ("/otlp/v1/traces", ("/otlp/v1/traces", "/otlp/v1/metrics")),
        ("/intake", ("/intake", "/intake")),
    ],
)
def test_paths_are_the_specifications_unless_told(
    receiver: Any, endpoint: str, paths: tuple[str, str]
) -> None:
    for signal in ("traces", "metrics"):
        transport = make_transport(OtlpConfig(endpoint=receiver.endpoint + endpoint), signal=signal)
        transport.send(b"")
        transport.close()
    assert receiver.paths == list(paths)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"endpoint": "127.0.0.1:4318"}, "is no URL"),
        ({"endpoint": "ftp://host"}, "is no URL"),
        ({"endpoint": "http://user:secret@host"}, "headers_file"),
        ({"endpoint": "http://otel.example.com", "headers_file": "x"}, "in clear"),
        ({"endpoint": "http://127.0.0.1:1", "context": "networks"}, "set networks"),
        ({"networks": ["10.0.0.0/33"]}, "networks"),
        ({"headers": {"a b": "c"}}, "not a header"),
        ({"headers": {"a": "c\r\nd: e"}}, "not a header"),
        ({"tls": {"cert_file": "x"}}, "go together"),
        ({"sampling": {"share": 1.5}}, "share"),
        ({"queue_bytes": 10}, "queue_bytes"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OtlpConfig.model_validate(settings)


def test_credentials_in_clear_are_the_operators_word() -> None:
    config = {"endpoint": "http://otel.example.com", "headers_file": "x", "insecure": True}
    assert OtlpConfig.model_validate(config).insecure

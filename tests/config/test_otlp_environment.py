"""OpenTelemetry's own variables mean to us what they mean to its exporters, and less than our configuration."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from pipeline.config import OtlpConfig, load_config
from pipeline.errors import ConfigError
from pipeline.sinks.otlp.connect import all_headers

E = "OTEL_EXPORTER_OTLP_"


def read(environ: dict[str, str], **options: object) -> OtlpConfig:
    return load_config(None, {f"otlp.{name}": value for name, value in options.items()}, environ).otlp


@pytest.mark.parametrize(
    "environ",
    [
        {f"{E}ENDPOINT": "http://127.0.0.1:4318"},
        {f"{E}ENDPOINT": "http://127.0.0.1:4318/"},
        {f"{E}ENDPOINT": "https://otlp.example/some/where"},
        {f"{E}ENDPOINT": "http://127.0.0.1:1", f"{E}TRACES_ENDPOINT": "https://otlp.example/own"},
        {
            f"{E}ENDPOINT": "https://otlp.example",
            f"{E}HEADERS": "Authorization=Bearer%20abc%3D, x-tenant=eu",
            f"{E}COMPRESSION": "gzip",
        },
        {
            f"{E}ENDPOINT": "https://otlp.example",
            f"{E}HEADERS": "x-tenant=eu",
            f"{E}TRACES_HEADERS": "x-tenant=us",
            f"{E}COMPRESSION": "gzip",
            f"{E}TRACES_COMPRESSION": "none",
        },
    ],
)
def test_the_official_exporter_and_we_understand_the_same(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    official, ours = OTLPSpanExporter(), read(environ)
    assert official._endpoint == ours.endpoint
    theirs = {name.lower(): value for name, value in official._client._headers.items()}
    assert theirs.items() >= all_headers(ours).items()
    assert len(all_headers(ours)) == environ.get(f"{E}HEADERS", "").count("=")
    if f"{E}COMPRESSION" in environ:
        assert official._compression.value == ours.compression
    official.shutdown()


def test_files_and_timeout_are_taken_over(tmp_path: Path) -> None:
    environ = {
        f"{E}ENDPOINT": "https://otlp.example",
        f"{E}CERTIFICATE": str(tmp_path / "ca.pem"),
        f"{E}CLIENT_CERTIFICATE": str(tmp_path / "cert.pem"),
        f"{E}CLIENT_KEY": str(tmp_path / "key.pem"),
        f"{E}TIMEOUT": "2500",
    }
    ours = read(environ)
    assert ours.tls.model_dump() == {
        "ca_file": tmp_path / "ca.pem",
        "cert_file": tmp_path / "cert.pem",
        "key_file": tmp_path / "key.pem",
    }
    assert ours.timeout_s == 2.5


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({f"{E}PROTOCOL": "grpc", f"{E}ENDPOINT": "http://127.0.0.1:4317"}, "http://127.0.0.1:4317"),
        ({f"{E}PROTOCOL": "grpc", f"{E}ENDPOINT": "otlp.example:4317"}, "https://otlp.example:4317"),
        (
            {f"{E}TRACES_PROTOCOL": "grpc", f"{E}ENDPOINT": "otlp.example:4317", f"{E}INSECURE": "true"},
            "http://otlp.example:4317",
        ),
    ],
)
def test_grpc_has_no_path_and_a_scheme(environ: dict[str, str], endpoint: str) -> None:
    ours = read(environ)
    assert (ours.protocol, ours.endpoint) == ("grpc", endpoint)
    assert grpc.insecure_channel(endpoint.split("//")[1]) is not None


def test_our_configuration_wins_setting_by_setting(tmp_path: Path) -> None:
    environ = {
        f"{E}ENDPOINT": "https://otlp.example",
        f"{E}COMPRESSION": "gzip",
        f"{E}TIMEOUT": "1000",
        f"{E}CERTIFICATE": str(tmp_path / "theirs.pem"),
        "HOPTRAIL_OTLP__TIMEOUT_S": "7",
    }
    ours = read(environ, endpoint="https://mine.example", compression="none")
    assert (ours.endpoint, ours.compression, ours.timeout_s) == ("https://mine.example", "none", 7.0)
    assert ours.tls.ca_file == tmp_path / "theirs.pem"


def test_a_key_is_never_paired_with_another_certificate(tmp_path: Path) -> None:
    file = tmp_path / "hoptrail.yaml"
    file.write_text("otlp: {tls: {cert_file: /mine.pem, key_file: /mine.key}}\n", encoding="utf-8")
    environ = {f"{E}CERTIFICATE": "/ca.pem", f"{E}CLIENT_CERTIFICATE": "/t.pem", f"{E}CLIENT_KEY": "/t.key"}
    tls = load_config(file, None, environ).otlp.tls
    assert (str(tls.ca_file), str(tls.cert_file), str(tls.key_file)) == ("/ca.pem", "/mine.pem", "/mine.key")


@pytest.mark.parametrize(
    "more", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {f"{E}ENDPOINT": " "}]
)
def test_what_is_switched_off_sends_nothing(more: dict[str, str]) -> None:
    assert not read({f"{E}ENDPOINT": "http://127.0.0.1:4318"} | more).sends_spans


def test_headers_of_the_environment_are_secrets() -> None:
    environ = {f"{E}ENDPOINT": "https://otlp.example", f"{E}HEADERS": "api-key=s3cr3t"}
    assert "s3cr3t" not in repr(read(environ))
    with pytest.raises(ConfigError, match="in clear") as refused:
        read(environ | {f"{E}ENDPOINT": "http://otlp.example"})
    assert "s3cr3t" not in str(refused.value)
    assert read(environ | {f"{E}ENDPOINT": "http://otlp.example", f"{E}INSECURE": "true"}).sends_spans


def test_values_that_mean_nothing_are_passed_over_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        f"{E}ENDPOINT": "https://otlp.example",
        f"{E}PROTOCOL": "smoke-signals",
        f"{E}COMPRESSION": "rar",
        f"{E}TIMEOUT": "soon",
        f"{E}HEADERS": "s3cr3t",
    }
    with caplog.at_level(logging.WARNING):
        ours = read(environ)
    assert (ours.protocol, ours.compression, ours.timeout_s) == ("http", "gzip", 10.0)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert all(name in said for name in environ if not name.endswith("ENDPOINT"))
    assert not any(word in said for word in ("smoke", "rar,", "soon", "s3cr3t"))

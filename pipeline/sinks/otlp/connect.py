"""From configuration to a transport, and to what spans are made by."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipeline.config import OtlpConfig
from pipeline.errors import ConfigError
from pipeline.sinks.otlp.exporter import Transport

_LINE = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*:[ \t]*([\x20-\x7e]*)")


Signal = Literal["traces", "metrics"]


def make_transport(config: OtlpConfig, signal: Signal = "traces") -> Transport:
    """Make the transport that is configured, for one kind of data.

    Raises:
        ConfigError: A file cannot be read, or holds no headers or certificates.
    """
    headers, compress = all_headers(config), config.compression == "gzip"
    # Both take a tenth of a second and more to import, and most who run us send nothing.
    if config.protocol == "http":
        from pipeline.sinks.otlp.http import HttpTransport  # noqa: PLC0415

        return HttpTransport(
            config.endpoint,
            headers,
            compress=compress,
            timeout_s=config.timeout_s,
            tls=tls_context(config),
            signal=signal,
        )
    from pipeline.sinks.otlp.grpc import GrpcTransport, credentials  # noqa: PLC0415

    made = credentials(*_pem(config)) if is_tls(config) else None
    return GrpcTransport(
        config.endpoint,
        headers,
        compress=compress,
        timeout_s=config.timeout_s,
        credentials=made,
        signal=signal,
    )


def all_headers(config: OtlpConfig) -> dict[str, str]:
    """Give the headers of each request, those of the secrets file included.

    Raises:
        ConfigError: The file cannot be read, or a line of it is none; the line is not repeated.
    """
    headers = dict(config.headers)
    headers |= {name: value.get_secret_value() for name, value in config.secret_headers.items()}
    if config.headers_file is None:
        return headers
    text = _read(config.headers_file, "headers_file").decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ConfigError(f"otlp.headers_file {config.headers_file}: line {number} is not 'name: value'")
        headers[found[1]] = found[2]
    return headers


def is_tls(config: OtlpConfig) -> bool:
    """Whether the endpoint is to be spoken to with TLS."""
    return urlsplit(config.endpoint).scheme == "https"


def tls_context(config: OtlpConfig) -> ssl.SSLContext | None:
    """Make the TLS context; None for an `http://` endpoint.

    Raises:
        ConfigError: A certificate cannot be used.
    """
    if not is_tls(config):
        return None
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"otlp.tls: a certificate cannot be used: {error}") from error
    return context


def _pem(config: OtlpConfig) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Read authorities, key and certificate."""
    tls = config.tls
    return (
        _read(tls.ca_file, "tls.ca_file") if tls.ca_file else None,
        _read(tls.key_file, "tls.key_file") if tls.key_file else None,
        _read(tls.cert_file, "tls.cert_file") if tls.cert_file else None,
    )


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"otlp.{setting} {file} cannot be read: {error.strerror}") from error

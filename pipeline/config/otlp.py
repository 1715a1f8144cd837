"""`otlp`: where spans and our own metrics are sent, which, and how."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.addresses import is_loopback
from pipeline.config.section import Section

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A header's name (RFC 9110 5.1)."""


class OtlpTlsConfig(Section):
    """Certificates towards the receiver; an `https://` endpoint without them trusts the system's."""

    ca_file: Path | None = None
    """PEM file of the authorities that are trusted instead of the system's."""
    cert_file: Path | None = None
    """PEM file of our own certificate, where the receiver asks for one."""
    key_file: Path | None = None
    """PEM file of its key."""

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self


class SamplingConfig(Section):
    """Which requests' spans are sent; rows are stored of all."""

    errors: bool = True
    """Always send what failed: 5xx on either hop, answers that were cut off."""
    retries: bool = True
    """Always send what edge or gateway tried more than once."""
    conflicts: bool = True
    """Always send lineages in conflict."""
    slow_ms: float | None = Field(default=None, gt=0)
    """Always send what took as long."""
    slow_routes_ms: dict[str, float] = Field(default_factory=dict)
    """The same for single routes, by Kong's name of them; beats `slow_ms`."""
    follow_caller: bool = False
    """Send what the `traceparent` says is sampled, and not what it says is not."""
    share: float = Field(default=1.0, ge=0, le=1)
    """Share of the rest that is sent, by trace id."""


def _check_header(name: str, value: str) -> None:
    if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
        raise ValueError(f"{name!r} is not a header that can be sent")


class OtlpConfig(Section):
    """Where spans and our own metrics are sent."""

    endpoint: str = ""
    """URL of an OTLP receiver (`http://127.0.0.1:4318`), or empty: nothing is sent. `/v1/traces` is appended
    for `http` where the URL has no path; metrics go to `/v1/metrics` beside it."""
    protocol: Literal["http", "grpc"] = "http"
    """`http` (protobuf) or `grpc`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of each request, none of them secret."""
    headers_file: Path | None = None
    """File with further headers, `name: value` a line: credentials."""
    secret_headers: dict[str, SecretStr] = Field(default_factory=dict)
    """The same, as `OTEL_EXPORTER_OTLP_HEADERS` gives them; `headers_file` is the better place."""
    tls: OtlpTlsConfig = OtlpTlsConfig()
    insecure: bool = False
    """Allow headers from `headers_file` and `secret_headers` to an `http://` endpoint off loopback."""
    compression: Literal["gzip", "none"] = "gzip"
    """How requests are compressed."""
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    """Longest time of one request."""
    queue_bytes: int = Field(default=256 * 2**20, ge=2**20)
    """Most bytes of spans that wait on disk, of a join process for brokers; what does not fit is dropped and
    counted."""
    traces: bool = True
    """Send spans."""
    metrics: bool = False
    """Send our own metrics too."""
    metrics_interval_s: float = Field(default=60.0, ge=1)
    """Seconds between two reports of metrics."""
    context: Literal["restart", "continue", "networks"] = "restart"
    """Whether the edge's span hangs under the span that the client named: never, always, or for `networks`.
    Where it does not, the client's becomes a link."""
    networks: tuple[str, ...] = ()
    """Networks whose clients' trace context is continued."""
    gateway_spans: Literal["auto", "always", "never"] = "auto"
    """Whether the gateway's spans are made; `auto`: not where Kong's own plugin sent them."""
    edge_service: str = Field(default="haproxy", min_length=1)
    """`service.name` of the edge's spans."""
    gateway_service: str = Field(default="kong", min_length=1)
    """`service.name` of the gateway's spans."""
    identity: bool = False
    """Put who asked (`user.id`, `user.name`) on spans; what is proven is always in the store."""
    pseudonym_key_file: Path | None = None
    """File with a key of 16 bytes or more: who asked is put on spans as its keyed hash (`enduser.pseudo.id`)."""
    sampling: SamplingConfig = SamplingConfig()

    @property
    def sends_spans(self) -> bool:
        """Whether spans go anywhere."""
        return bool(self.endpoint) and self.traces

    @field_validator("networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            _check_header(name, value)
        return headers

    @field_validator("secret_headers")
    @classmethod
    def _secret_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            _check_header(name, value.get_secret_value())
        return headers

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.endpoint:
            return self
        url = urlsplit(self.endpoint)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"endpoint {self.endpoint!r} is no URL such as http://127.0.0.1:4318")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError(
                "endpoint: credentials go into headers_file; a query or fragment has no place in it"
            )
        is_secret = self.headers_file is not None or bool(self.secret_headers)
        if url.scheme == "http" and is_secret and not self.insecure and not is_loopback(url.hostname):
            raise ValueError(
                "headers_file (or OTEL_EXPORTER_OTLP_HEADERS) would travel in clear: use https://, or set insecure"
            )
        if self.context == "networks" and not self.networks:
            raise ValueError("context is networks: set networks")
        return self

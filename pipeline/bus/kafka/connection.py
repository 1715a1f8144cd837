"""I/O: what every Kafka client of ours is told: addresses, TLS, SASL. Secrets come from files and go nowhere else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import BrokerResponseError, KafkaError

from pipeline.addresses import split_address
from pipeline.bus.kafka.refusals import explain, is_forbidden, may_pass
from pipeline.config import BusConfig, KafkaSecurity
from pipeline.errors import ConfigError

_MOST_SECRET_BYTES = 65_536
_ANSWER_MS = 10_000
"""How long a broker may take to answer while we start or ask how things stand."""


class _TokenFile(AbstractTokenProvider):  # type: ignore[misc] # aiokafka ships no types for it
    """Gives the token that the file holds now."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def token(self) -> str:
        """Read the token, for one connection."""
        return await asyncio.to_thread(read_secret, self._file, "bus.kafka.security.token_file")


def read_secret(file: Path, setting: str) -> str:
    """Read a secret of one line.

    Raises:
        ConfigError: It cannot be read, or is empty.
    """
    try:
        with file.open("rb") as opened:
            secret = opened.read(_MOST_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: cannot read {file}: {type(error).__name__}") from error
    if not secret:
        raise ConfigError(f"{setting}: {file} is empty")
    return secret


def client_settings(bus: BusConfig, role: str) -> dict[str, Any]:
    """Give what every client is made with.

    Args:
        bus: Its `dsn` names the brokers.
        role: Shown in the brokers' logs.

    Raises:
        ConfigError: `bus.dsn` is no cluster, or a file cannot be read.
    """
    if not bus.servers:
        raise ConfigError("bus.dsn: name a cluster (kafka://host:port,host:port); this command needs one")
    security = bus.kafka.security
    settings: dict[str, Any] = {"bootstrap_servers": list(bus.servers), "client_id": f"hoptrail-{role}"}
    protocol = ("SASL_SSL" if security.tls else "SASL_PLAINTEXT") if security.mechanism else "PLAINTEXT"
    settings["security_protocol"] = "SSL" if security.tls and not security.mechanism else protocol
    if security.tls:
        settings["ssl_context"] = _tls(security)
    if security.mechanism:
        settings["sasl_mechanism"] = security.mechanism
    if security.token_file is not None and security.mechanism == "OAUTHBEARER":
        read_secret(security.token_file, "bus.kafka.security.token_file")
        settings["sasl_oauth_token_provider"] = _TokenFile(security.token_file)
    elif security.password_file is not None and security.mechanism:
        settings["sasl_plain_username"] = security.username
        settings["sasl_plain_password"] = read_secret(
            security.password_file, "bus.kafka.security.password_file"
        )
    return settings


def _tls(security: KafkaSecurity) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(security.ca_file) if security.ca_file else None)
        if security.cert_file is not None and security.key_file is not None:
            context.load_cert_chain(security.cert_file, security.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"bus.kafka.security: a certificate cannot be read: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class BrokersAway(ConfigError):  # noqa: N818 -- says what is the case
    """No broker could be used now; waiting may mend it."""


@asynccontextmanager
async def open_admin(bus: BusConfig) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open a client for topics and groups.

    Raises:
        ConfigError: No broker answers, or it does not let us in; `BrokersAway` where that may pass.
    """
    admin = AIOKafkaAdminClient(**client_settings(bus, "admin"), request_timeout_ms=_ANSWER_MS)
    try:
        await reach(admin, bus)
        yield admin
    finally:
        await admin.close()


class Startable(Protocol):
    """A client of aiokafka's that has not started."""

    async def start(self) -> None:
        """Connect."""
        ...


async def reach(client: Startable, bus: BusConfig) -> None:
    """Start a client.

    Raises:
        ConfigError: No broker answers, or it does not let us in; `BrokersAway` where that may pass.
    """
    await _knock(bus)
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        raise no_use(error, bus) from error


def no_use(error: BaseException, bus: BusConfig) -> ConfigError:
    """Give what is raised where brokers answer with an error, or do not."""
    if is_forbidden(error):
        return ConfigError(f"bus.kafka: {explain(error, bus.kafka, 'Describe')}")
    if isinstance(error, BrokerResponseError) and error.retriable:
        return BrokersAway(f"bus.dsn: the brokers are not ready: {explain(error, bus.kafka)}")
    kind = BrokersAway if may_pass(error) else ConfigError
    return kind(f"bus.dsn: no broker of {', '.join(bus.servers)} could be used: {explain(error, bus.kafka)}")


async def _knock(bus: BusConfig) -> None:
    """Connect to one broker ourselves: aiokafka says why it could not to its log alone.

    Raises:
        ConfigError: None lets us in; says why, of the first whose reason does not pass, else of the last.
    """
    settings = client_settings(bus, "admin")
    del settings["bootstrap_servers"]
    errors: list[BaseException] = []
    for address in bus.servers:
        host, port = split_address(address)
        try:
            connection = await create_conn(host, port, **settings, request_timeout_ms=_ANSWER_MS)
        except (KafkaError, OSError) as error:
            errors.append(error)
        else:
            connection.close()
            return
    raise no_use(next((error for error in errors if not may_pass(error)), errors[-1]), bus)

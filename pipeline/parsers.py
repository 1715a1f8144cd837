"""From configuration to what reads records: redactor, parsers, and the bus that sources give to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from pipeline.bus.sealed import SealedBus
from pipeline.config import BusConfig, Config, SyslogConfig
from pipeline.contracts import Bus
from pipeline.data_dir import load_key, make_private
from pipeline.engine.draft import ParseStage
from pipeline.errors import ConfigError
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.haproxy_config import line_formats, read_haproxy_config
from pipeline.formats.kong import KongParser
from pipeline.formats.line_formats import LineFormat
from pipeline.formats.redact import Policy, Redactor
from pipeline.formats.sealed import Sealer, Unsealer
from pipeline.originals import Originals

_log = logging.getLogger(__name__)


class Parsers(NamedTuple):
    """What reads the records of one configuration."""

    redactor: Redactor
    haproxy: HaproxyParser
    kong: KongParser
    sealed: bool = False
    """Whether records are redacted before the bus. Only then are sealed ones read: elsewhere a line that
    begins with a client's text could pass for one."""
    originals: Originals | None = None
    """What encrypts the originals of dead letters, where a key is configured."""

    def stage(self) -> ParseStage:
        """Make the engine's stage."""
        if not self.sealed:
            return ParseStage(self.haproxy, self.kong, self.redactor, self.originals)
        return ParseStage(Unsealer(self.haproxy), Unsealer(self.kong), self.redactor, self.originals)

    def guard(self, bus: Bus) -> Bus:
        """Give the bus that sources give to: one that seals, where records are redacted before it."""
        if not self.sealed:
            return bus
        return SealedBus(bus, Sealer(self.haproxy, self.kong, self.redactor, self.originals))


def bus_key(config: BusConfig) -> bytes | None:
    """Give the key of the journal's encryption; None where none is configured.

    Raises:
        ConfigError: It cannot be read, or is too short.
    """
    return load_key(config.key_file, create=False, setting="bus.key_file") if config.key_file else None


def make_parsers(config: Config) -> Parsers:
    """Make them; their caches are their own, so that each thread has its set.

    Raises:
        ConfigError: A format or a key cannot be read.
    """
    redact = make_redactor(config)
    haproxy = make_haproxy_parser(config.sources.syslog, redact)
    kong = KongParser(redactor=redact, headers=config.redaction.headers)
    sealed = config.redaction.redact_at == "ingest"
    return Parsers(redact, haproxy, kong, sealed, make_originals(config))


def make_originals(config: Config) -> Originals | None:
    """Make what keeps the originals of dead letters; None where no key is configured.

    Raises:
        ConfigError: The key cannot be read, or is too short.
    """
    file = config.redaction.originals_key_file
    return Originals(load_key(file, create=False, setting="redaction.originals_key_file")) if file else None


def make_haproxy_parser(syslog: SyslogConfig, redact: Redactor) -> HaproxyParser:
    """Make what reads HAProxy's lines.

    Raises:
        ConfigError: A format cannot be read.
    """
    return HaproxyParser(
        redactor=redact,
        log_format=syslog.log_format,
        time_zone=syslog.time_zone,
        names=syslog.names,
        formats=_formats_of(syslog.haproxy_config) if syslog.haproxy_config else (),
        on_warning=lambda text: _log.warning("HAProxy's lines: %s", text),
    )


def make_redactor(config: Config) -> Redactor:
    """Make the redactor, with its key beside the embedded store or in the data directory."""
    redaction = config.redaction
    policy = Policy(redaction.secret_names, redaction.plain_names, frozenset(redaction.pseudonyms))
    if redaction.key_file is not None:
        return Redactor(load_key(redaction.key_file, create=False), policy)
    directory = config.store_dsn.removeprefix("chdb://")
    if directory != config.store_dsn:
        file = Path(directory.rstrip("/") + ".key")
        file.parent.mkdir(parents=True, exist_ok=True)
    else:
        file = make_private(config.data_dir) / "redaction.key"
    return Redactor(load_key(file, create=True), policy)


def _formats_of(file: Path) -> list[LineFormat]:
    """Read the formats of a `haproxy.cfg`, with this process's environment for its variables."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"sources.syslog.haproxy_config: cannot read {file}: {error.strerror}") from error
    return line_formats(read_haproxy_config(text, os.environ))

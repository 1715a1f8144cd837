"""`bus.kafka`: the cluster, its topics, and how we prove who we are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.addresses import is_loopback, split_address
from pipeline.config.section import Section
from pipeline.config.tls import TlsConfig

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaSecurity(Section):
    """How connections are encrypted, and what proves who we are."""

    tls: bool = False
    """Encrypt connections, and check the brokers' certificates and names."""
    ca_file: Path | None = None
    """Certificates that are trusted, PEM; None: those of the system."""
    cert_file: Path | None = None
    """Our own certificate for mutual TLS, PEM."""
    key_file: Path | None = None
    """Its key, PEM, without a passphrase."""
    mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    """SASL mechanism; empty: none."""
    username: str = ""
    """For PLAIN and SCRAM."""
    password_file: Path | None = None
    """File with the password for PLAIN and SCRAM."""
    token_file: Path | None = None
    """File with the token for OAUTHBEARER; read again for every connection, so that others may renew it."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) is not (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("certificates are named, but tls is off")
        if self.mechanism == "OAUTHBEARER":
            if self.token_file is None:
                raise ValueError("OAUTHBEARER needs token_file")
        elif self.mechanism and not (self.username and self.password_file):
            raise ValueError(f"{self.mechanism} needs username and password_file")
        if not self.tls and self.mechanism in {"PLAIN", "OAUTHBEARER"}:
            raise ValueError(f"{self.mechanism} without tls would send the secret in clear: set tls")
        return self


class KafkaConfig(Section):
    """Topics and consumer group; in force where `bus.dsn` is `kafka://…`."""

    edge_topic: str = "hoptrail.edge"
    """HAProxy's lines, packed and keyed by us."""
    gateway_topic: str = "hoptrail.gateway"
    """Kong's entries, packed and keyed by us."""
    spans_topic: str = "hoptrail.spans"
    """Spans on their way to the receiver, where `otlp.endpoint` names one."""
    partitions: int = Field(default=12, ge=1, le=2048)
    """Partitions of each of the two; keys are spread over this many, whatever a topic has."""
    replication: int = Field(default=3, ge=1, le=10)
    """Copies of each partition; for `kafka topics`."""
    min_insync: int = Field(default=2, ge=1, le=10)
    """Copies that must have a record before it counts as kept; for `kafka topics`."""
    retention_h: float = Field(default=72.0, gt=0)
    """Hours that topics keep records, stored or not: how long an outage of the store may last."""
    spans_retention_h: float = Field(default=24.0, gt=0)
    """Hours that the span topic keeps spans: how long an outage of the receiver may last. What is older than nine
    tenths of it is dropped, and counted."""
    group: str = Field(default="hoptrail", min_length=1, max_length=200)
    """Consumer group of the join processes; `<group>.repartition` is that of the ingest processes, `<group>.spans`
    that of whoever sends spans."""
    instance_id: str = Field(default="", max_length=200, pattern=r"[A-Za-z0-9._-]*")
    """Name of this process within its group, its own and the same after a restart: a restart within
    `session_timeout_s` then moves no partition. Empty: none."""
    session_timeout_s: float = Field(default=30.0, ge=1, le=1800)
    """Seconds of silence after which a process's partitions go to others."""
    rebalance_timeout_s: float = Field(default=60.0, ge=1, le=1800)
    """Seconds a process may take to finish its batches before partitions move."""
    queue_bytes: int = Field(default=4 * 2**20, ge=65_536)
    """Bytes of messages that wait for the join, per partition and topic; beyond it the partition is paused."""
    buffer_bytes: int = Field(default=64 * 2**20, ge=2**20)
    """Bytes of records an ingest process holds that no broker has acknowledged; beyond it: 503, and drops."""
    pack_records: int = Field(default=100, ge=1, le=1000)
    """Records in one message at most."""
    linger_s: float = Field(default=0.005, ge=0, le=1)
    """Seconds a record waits for others to be packed with; part of the answer time to Kong."""
    message_bytes: int = Field(default=8 * 2**20, ge=65_536, le=64 * 2**20)
    """Largest message; a longer record is cut to fit, and says so as any record that was cut."""
    delivery_timeout_s: float = Field(default=8.0, ge=0.5, le=300)
    """Seconds after which a post that no broker has acknowledged is answered with 503; Kong waits 10."""
    start_timeout_s: float = Field(default=30.0, ge=0, le=3600)
    """Seconds that a starting ingest or join process waits for brokers that cannot be reached or change leaders."""
    status_listen: str = "127.0.0.1:8601"
    """Address of `/healthz`, `/readyz`, `/metrics` and `/status` of a join process; no records, no names."""
    status_tls: TlsConfig | None = None
    """Required off loopback, as anybody between could read and change the answers."""
    idempotent: bool = False
    """Let brokers know a producer's own repetitions; without it they are counted as duplicates."""
    security: KafkaSecurity = KafkaSecurity()

    @property
    def spans_group(self) -> str:
        """Consumer group of whoever sends spans."""
        return f"{self.group}.spans"

    @field_validator("edge_topic", "gateway_topic", "spans_topic")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _TOPIC.fullmatch(name) or name in {".", ".."}:
            raise ValueError(
                f"{name!r} is no name for a topic: letters, digits, '.', '_' and '-', at most 249"
            )
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.edge_topic == self.gateway_topic:
            raise ValueError("edge_topic and gateway_topic are the same")
        if self.spans_topic in {self.edge_topic, self.gateway_topic}:
            raise ValueError("spans_topic is one of the topics of records")
        if self.min_insync > self.replication:
            raise ValueError("min_insync is above replication: nothing could ever be kept")
        if self.rebalance_timeout_s < self.session_timeout_s:
            raise ValueError("rebalance_timeout_s is below session_timeout_s")
        return self

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.status_tls is None and not is_loopback(split_address(self.status_listen)[0]):
            raise ValueError(f"status_listen is {self.status_listen}, which is not loopback: set status_tls")
        return self


class KafkaSourceConfig(Section):
    """Topics of the same cluster that others fill; an ingest process keys their records anew."""

    edge_topics: tuple[str, ...] = ()
    """Topics of HAProxy's lines, one a message, under any key (rsyslog, Vector, syslog-ng)."""
    gateway_topics: tuple[str, ...] = ()
    """Topics of Kong's entries, an object or an array a message, under any key (kafka-log)."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = self.edge_topics + self.gateway_topics
        for name in names:
            if not _TOPIC.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a topic")
        if len(set(names)) < len(names):
            raise ValueError("a topic is named twice: it holds lines of HAProxy's or entries of Kong's")
        return self

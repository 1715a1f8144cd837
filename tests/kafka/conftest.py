"""A real broker for all tests here: Apache Kafka on the JVM, or Tansu where there is no JVM."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.bus.kafka.topics import apply
from pipeline.config import load_config
from pipeline.store import schema
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn

HERE = Path(__file__).parent
CORPUS = HERE.parent / "captures" / "kong" / "corpus"
FACE = HERE.parent / "store" / "http_face.py"
PARTITIONS = 4
_DATE = re.compile(rb"\[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:.]+\]")


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


jvm = _load("kafka_jvm", HERE / "broker" / "jvm.py")
tansu = _load("kafka_tansu", HERE / "broker" / "tansu.py")
_load("kafka_shippers", HERE / "shippers.py")
world_module = _load("kafka_world", HERE / "world.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip by name what Tansu cannot do."""
    lacking = jvm.missing()
    if not lacking and not os.environ.get("HOPTRAIL_TEST_TANSU"):
        return
    for item in items:
        if item.get_closest_marker("jvm") is not None:
            item.add_marker(
                pytest.mark.skip(reason=f"needs Apache Kafka: {lacking or 'Tansu was asked for'}")
            )


@pytest.fixture(scope="session")
def classpath(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give what brokers on the JVM run on; skips where it cannot be had."""
    try:
        return str(jvm.fetch(tmp_path_factory.mktemp("maven")))
    except RuntimeError as error:
        pytest.skip(f"needs Apache Kafka: {error}")


@pytest.fixture(autouse=True)
def _apache_kafka(request: pytest.FixtureRequest) -> None:
    """Skip what needs the JVM's broker where Maven could not fetch it: the common broker is Tansu then."""
    if request.node.get_closest_marker("jvm") is not None:
        request.getfixturevalue("classpath")


def _fetched(request: pytest.FixtureRequest) -> str:
    """Give the class path; empty where Maven could not fetch it."""
    try:
        return str(request.getfixturevalue("classpath"))
    except pytest.skip.Exception:
        return ""


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run one broker for all tests; tests that harm theirs start their own."""
    directory = tmp_path_factory.mktemp("broker")
    fetched = "" if jvm.missing() or os.environ.get("HOPTRAIL_TEST_TANSU") else _fetched(request)
    cluster = jvm.start_cluster(directory, fetched) if fetched else tansu.start(directory)
    yield cluster
    cluster.stop()


@pytest.fixture
def start_cluster() -> Iterator[Callable[..., Any]]:
    """Start clusters that a test may harm."""
    started: list[Any] = []

    def start(*args: Any, **more: Any) -> Any:
        started.append(jvm.start_cluster(*args, **more))
        return started[-1]

    yield start
    for cluster in started:
        cluster.stop()


@pytest.fixture
def start_tansu() -> Iterator[Callable[[Path], Any]]:
    """Start Tansu, whatever the common broker is; skips where it is not installed."""
    started: list[Any] = []

    def start(directory: Path) -> Any:
        started.append(tansu.start(directory))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def face_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run ClickHouse's HTTP face over chDB in a process of its own: several join processes share a store."""
    with subprocess.Popen(
        [sys.executable, FACE, tmp_path_factory.mktemp("face")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture
def store(face_address: str) -> str:
    """Make a database with our schema; gives its DSN."""
    dsn = f"clickhouse://{face_address}/kafka_{uuid.uuid4().hex}"
    connection = connect(parse_dsn(dsn), create=True)
    schema.apply(connection, embedded=False)
    connection.close()
    return dsn


@pytest.fixture
def make_world(tmp_path: Path, store: str) -> Iterator[Callable[..., Any]]:
    """Make two topics on a cluster, and what is needed to run processes around them."""
    made: list[Any] = []

    def make(servers: str, *, copies: int = 1, **kafka: Any) -> Any:
        key = tmp_path / "redaction.key"
        key.write_bytes(b"one key for all processes of a test")
        name = uuid.uuid4().hex[:12]
        settings = {
            "bus": {
                "dsn": f"kafka://{servers}",
                "kafka": {
                    "edge_topic": f"edge.{name}", "gateway_topic": f"gateway.{name}", "group": f"join.{name}",
                    "partitions": PARTITIONS, "replication": copies, "min_insync": 1,
                    "session_timeout_s": 3, "rebalance_timeout_s": 6, "status_listen": "127.0.0.1:0",
                } | kafka,
            },
            "store": {"dsn": store, "batch_age_s": 0.2},
            "join": {"window_s": 3},
            "redaction": {"key_file": str(key)},
            "sources": {
                "syslog": {"udp": "127.0.0.1:0", "tcp": "127.0.0.1:0"},
                "kong": {"listen": "127.0.0.1:0"},
            },
            "drain_s": 10,
        }  # fmt: skip
        world = world_module.World(tmp_path, store, settings)
        made.append(world)
        asyncio.run(apply(load_config(world.config(), environ={}).bus))
        return world

    yield make
    for world in made:
        world.end()


@pytest.fixture
def world(broker: Any, make_world: Callable[..., Any]) -> Any:
    """Give a world on the common broker."""
    return make_world(broker.servers)


@pytest.fixture(scope="session")
def haproxy_lines() -> list[bytes]:
    """Give the corpus's HAProxy lines, 1500."""
    return (CORPUS / "haproxy.log").read_bytes().splitlines()


@pytest.fixture(scope="session")
def kong_bodies() -> list[bytes]:
    """Give the corpus's http-log bodies, 1544, as they were posted."""
    bodies = []
    for line in (CORPUS / "kong.jsonl").read_text(encoding="utf-8").splitlines():
        capture = json.loads(line)
        encoded = capture.get("body_b64")
        bodies.append(base64.b64decode(encoded) if encoded else capture["body"].encode())
    return bodies


class Corpus:
    """Gives the corpus in parts, lines and entries of the same requests about together, as if they began now."""

    lines, entries = 1500, 1544

    def __init__(self, lines: list[bytes], bodies: list[bytes]) -> None:
        self._lines, self._bodies = lines, bodies

    def parts(self, count: int) -> Iterator[tuple[list[bytes], bytes]]:
        """Give lines, and the body of a post; their times are those of the moment that they are given."""
        for at in range(count):
            now = datetime.now(UTC)
            date = now.strftime("[%d/%b/%Y:%H:%M:%S.").encode() + b"%03d]" % (now.microsecond // 1000)
            started = b'"started_at":%d' % int(now.timestamp() * 1000)
            lines = self._lines[at * self.lines // count : (at + 1) * self.lines // count]
            bodies = self._bodies[at * self.entries // count : (at + 1) * self.entries // count]
            fresh = [re.sub(rb'"started_at":\d+', started, body) for body in bodies]
            yield [_DATE.sub(date, line, count=1) for line in lines], b"[" + b",".join(fresh) + b"]"


@pytest.fixture
def corpus(haproxy_lines: list[bytes], kong_bodies: list[bytes]) -> Corpus:
    """Give the corpus in parts."""
    return Corpus(haproxy_lines, kong_bodies)

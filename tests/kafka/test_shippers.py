"""The programs that fill topics in real life, with the configurations that we document."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

_SPEC = importlib.util.spec_from_file_location("kafka_topics", Path(__file__).with_name("test_topics.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
topics_module = importlib.util.module_from_spec(_SPEC)
sys.modules["kafka_topics"] = topics_module
_SPEC.loader.exec_module(topics_module)

PATIENCE_S = 60.0
ODD = [
    b"<134>Nov 23 18:57:23 haproxy[7]: " + b"long " * 8000,
    b"<134>Nov 23 18:57:23 haproxy[7]: \xff\xfe\x01 no text\tat all",
]
DATAGRAMS = 100
"""Of the lines; what a socket's buffer holds whoever reads it."""
SHIPPERS = {"rsyslog": ("rsyslogd", "omkafka.so"), "syslog-ng": ("syslog-ng", "libkafka.so")}


@pytest.fixture(params=SHIPPERS)
def start_shipper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str, str], Any]]:
    """Start a shipper on a broker and a topic; skips where it is not on this machine."""
    import kafka_shippers as shippers  # noqa: PLC0415 -- loaded by conftest.py

    name = request.param
    program = shippers.find(SHIPPERS[name][0], name, SHIPPERS[name][1])
    if program is None:
        pytest.skip(f"{name} with its Kafka module is not here; make test unpacks it where there is apt-get")
    start = {"rsyslog": shippers.start_rsyslog, "syslog-ng": shippers.start_syslog_ng}[name]
    started = []

    def start_one(broker: str, topic: str) -> Any:
        directory = tmp_path / name
        directory.mkdir()
        started.append(start(program, directory, broker, topic))
        return started[-1]

    yield start_one
    for each in started:
        each.stop()


def ship(port: int, lines: list[bytes]) -> None:
    """Send lines as HAProxy does: some as datagrams, the rest over one connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines[:DATAGRAMS]:
            sender.sendto(line, ("127.0.0.1", port))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"".join(line + b"\n" for line in lines[DATAGRAMS:]))


async def lying_there(servers: str, topic: str, count: int) -> Counter[bytes]:
    """Give the messages of a topic, once there are so many."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found: Counter[bytes] = Counter()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while found.total() < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.update(record.value for record in records)
    finally:
        await consumer.stop()
    return found


def test_what_a_real_shipper_puts_on_a_topic_is_joined_with_what_kong_puts_on_another(
    start_shipper: Callable[[str, str], Any],
    broker: Any,
    world: Any,
    haproxy_lines: list[bytes],
    kong_bodies: list[bytes],
) -> None:
    """Each line comes as it was sent, a long one too, and one that is no text."""
    name = uuid.uuid4().hex
    lines, entries = f"raw.lines.{name}", f"raw.entries.{name}"
    topics_module.make(broker.servers, {lines: 3, entries: 2})
    topics_module.fill(broker.servers, {entries: kong_bodies})
    shipper = start_shipper(broker.servers, lines)
    ship(shipper.port, haproxy_lines + ODD)
    assert asyncio.run(lying_there(broker.servers, lines, 1500 + len(ODD))) == Counter(haproxy_lines + ODD)
    world.start("join", ready=False)
    world.start("ingest", sources__kafka__edge_topics=[lines], sources__kafka__gateway_topics=[entries])
    rows = world.wait(lambda rows: rows["haproxy"]["stored"] >= 1500 and rows["kong"]["stored"] >= 1544)
    assert rows["haproxy"]["stored"] == rows["haproxy"]["received"] - len(ODD) == 1500
    lineages = world.lineages()
    assert len(lineages) == 1500
    assert {one["outcome"] for one in lineages} == {"complete"}

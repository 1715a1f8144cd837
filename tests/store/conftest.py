"""An embedded store for a module's tests, and the lineages of the captured corpus."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage
from pipeline.store import schema
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import EmbeddedDsn

CAPTURES = Path(__file__).parents[1] / "captures" / "kong"
LOG_FORMAT = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %ID"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Open an embedded store with our schema."""
    opened = connect(EmbeddedDsn(tmp_path_factory.mktemp("store")), create=True)
    schema.apply(opened, embedded=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def face_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the ClickHouse-HTTP face in a process of its own."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("http_face.py"), tmp_path_factory.mktemp("face")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture(scope="session")
def corpus() -> list[Lineage]:
    """Give the corpus's 1500 lineages, all complete, and the halves of 200 of them."""
    whole = _resolved(CAPTURES / "corpus" / "haproxy.log", CAPTURES / "corpus" / "kong.jsonl")
    return [*whole, *(half for number, row in enumerate(whole[:200]) for half in _halves(row, number))]


@pytest.fixture(scope="session")
def captured() -> list[Lineage]:
    """Give what follows from every captured case that has both logs: retries, aborts, odd bytes, huge fields."""
    found = []
    for kong in sorted(CAPTURES.glob("*.jsonl")):
        haproxy = kong.with_name(kong.name.removesuffix(".jsonl") + ".haproxy.log")
        if haproxy.exists():
            found += _resolved(haproxy, kong)
    return found


def _halves(row: Lineage, number: int) -> Iterator[Lineage]:
    """Give each half of a lineage alone, under an id of its own."""
    name = f"half-{number}"
    yield from resolve([replace(row.edge, request_id=name, rec_id=number + 1)], [])
    ids = {"request_ids": (f"{name}-gateway",)}
    yield from resolve([], [replace(one, attempt_id=one.attempt_id ^ 1, **ids) for one in row.attempts])


def _resolved(haproxy: Path, kong: Path) -> list[Lineage]:
    redactor = Redactor(b"a key for tests, no secret")
    lines, entries = HaproxyParser(redactor=redactor, log_format=LOG_FORMAT), KongParser(redactor=redactor)
    edges: dict[str, list[EdgeRecord]] = {}
    attempts: dict[str, list[GatewayRecord]] = {}
    for offset, line in enumerate(haproxy.read_bytes().splitlines()):
        record = lines.parse(line, offset=offset, arrival_ns=offset, peer="192.0.2.1")
        if isinstance(record, EdgeRecord):
            edges.setdefault(record.request_id, []).append(record)
    for offset, capture in enumerate(map(json.loads, kong.read_text(encoding="utf-8").splitlines())):
        body = base64.b64decode(capture["body_b64"]) if "body_b64" in capture else capture["body"].encode()
        for entry in split_body(body):
            record = entries.parse(entry, offset=offset, arrival_ns=offset, peer="192.0.2.2")
            if isinstance(record, GatewayRecord):
                key = next((one for one in record.request_ids if one in edges), "")
                attempts.setdefault(key, []).append(record)
    orphans = attempts.pop("", [])
    return [
        *(row for key, mine in edges.items() for row in resolve(mine, attempts.get(key, []))),
        *(row for one in orphans for row in resolve([], [one])),
    ]

"""Lineages to read: the corpus as it was captured, and a few stories told record by record."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from pipeline.cli import explain, schema, search, status, trace
from pipeline.contracts import Batch
from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.settle import settle
from pipeline.model import EdgeRecord, GatewayRecord, Lineage
from pipeline.sinks.clickhouse import open_sink

_SPEC = importlib.util.spec_from_file_location("stories", Path(__file__).with_name("stories.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_STORIES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_STORIES)

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
REDACTOR = Redactor(b"a key of the tests alone")


def _gateway_records(file: Path) -> Iterator[GatewayRecord]:
    parser = KongParser(redactor=REDACTOR)
    for line in file.read_text(encoding="utf-8").splitlines():
        post = json.loads(line)
        body = base64.b64decode(post["body_b64"]) if "body_b64" in post else post.get("body", "").encode()
        for entry in split_body(body):
            record = parser.parse(entry, offset=0, arrival_ns=0, peer="10.0.2.1")
            if isinstance(record, GatewayRecord):
                yield record


def _edge_records(lines: Iterable[bytes]) -> Iterator[EdgeRecord]:
    parser = HaproxyParser(redactor=REDACTOR)
    for line in lines:
        try:
            record = parser.parse(line, offset=0, arrival_ns=0, peer="10.0.1.1")
        except MalformedLine:
            continue
        if isinstance(record, EdgeRecord):
            yield record


def _joined(edges: Iterable[EdgeRecord], attempts: Iterable[GatewayRecord]) -> list[Lineage]:
    """Join records as the engine does; all attempts are there before the first edge record comes."""
    joiner = Joiner(JoinLimits(window_ns=1, max_pending=1_000_000, max_per_key=64))
    for record in (*attempts, *edges):
        joiner.add(record, 0)
    return [lineage for group in (*joiner.due(0), *joiner.flush()) for lineage in settle(group, ()).lineages]


@pytest.fixture(scope="session")
def corpus() -> list[Lineage]:
    """Give the lineages of the 1500 captured requests."""
    folder = CAPTURES / "kong" / "corpus"
    lines = (folder / "haproxy.log").read_bytes().splitlines()
    return _joined(_edge_records(lines), _gateway_records(folder / "kong.jsonl"))


@pytest.fixture(scope="session")
def captured() -> dict[str, list[Lineage]]:
    """Give the lineages of every captured case by name: what Kong wrote, and HAProxy, and both."""
    cases = {}
    for file in sorted((CAPTURES / "kong").glob("*.jsonl")):
        log = file.with_suffix(".haproxy.log")
        lines = log.read_bytes().splitlines() if log.exists() else []
        try:
            cases[file.stem] = _joined(_edge_records(lines), _gateway_records(file))
        except MalformedLine:
            continue
    for file in sorted((CAPTURES / "haproxy").glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        raw = [base64.b64decode(line["raw_b64"]) for line in lines if "raw_b64" in line]
        cases[f"haproxy-{file.stem}"] = _joined(_edge_records(raw), ())
    return cases


@pytest.fixture(scope="session")
def stories() -> dict[str, Lineage]:
    """Give lineages that show one thing each."""
    told: dict[str, Lineage] = _STORIES.tell()
    return told


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def run() -> Run:
    """Give a function that runs a command in this process, as `main` would."""
    app = typer.Typer(pretty_exceptions_enable=False)
    for commands in (trace, search, status, explain, schema):
        commands.register(app)

    def run_command(*words: str, env: dict[str, str] | None = None) -> Ran:
        result = CliRunner().invoke(app, words, env=env)
        if isinstance(result.exception, ConfigError):
            return Ran(2, result.stdout, f"{result.stderr}hoptrail: {result.exception}\n")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run_command


@pytest.fixture(scope="session")
def stored(corpus: list[Lineage], captured: dict[str, list[Lineage]]) -> list[Lineage]:
    """Give what the store holds: the corpus, and cases that have other hosts, reasons, flags and owners."""
    found = {
        (row.bucket_s, row.request_id, row.rec_id): row
        for row in (*corpus, *(one for case in captured.values() for one in case))
    }
    return list(found.values())


@pytest.fixture(scope="session")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory, stored: list[Lineage], stories: dict[str, Lineage]
) -> Path:
    """Give a data directory whose embedded store was filled by the sink, and is closed."""
    directory = tmp_path_factory.mktemp("data")

    async def fill() -> None:
        async with open_sink(f"chdb://{directory}/store") as sink:
            await sink.write(Batch([*stored, stories["retried"], *_STORIES.told_for_the_store()], (), ()))

    asyncio.run(fill())
    return directory


@pytest.fixture(scope="session")
def documents(run: Run, data_dir: Path) -> list[dict[str, Any]]:
    """Give everything that the store holds, as the command gives it."""
    ran = run("search", "--limit", "100000", "-o", "jsonl", "--data-dir", str(data_dir))
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]

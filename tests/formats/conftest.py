"""Loads the captures once; parsers with one key, so that fingerprints are the same in every run."""

from __future__ import annotations

import ast
import base64
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord, GatewayRecord

CAPTURES = Path(__file__).parents[1] / "captures"
KEY = b"a key for tests, 32 bytes of it."


class Line(NamedTuple):
    """A datagram that HAProxy 2.6.12 sent."""

    case: str
    body: bytes


class Entry(NamedTuple):
    """An entry that Kong 3.9.1 sent."""

    file: str
    body: bytes


@pytest.fixture(scope="session")
def captures() -> Path:
    return CAPTURES


@pytest.fixture(scope="session")
def haproxy_lines() -> Callable[[str], list[Line]]:
    """Give the datagrams of one capture (`raw-udp`), or of a Kong case (`kong/key_ok`)."""

    def load(name: str) -> list[Line]:
        if name.startswith("kong/"):
            log = CAPTURES / f"{name}.haproxy.log"
            return [Line(name, line) for line in log.read_bytes().splitlines()]
        rows = map(json.loads, (CAPTURES / "haproxy" / f"{name}.jsonl").read_text("utf-8").splitlines())
        return [Line(row["case"], base64.b64decode(row["raw_b64"])) for row in rows]

    return load


@pytest.fixture(scope="session")
def kong_bodies() -> Callable[[Path], list[bytes]]:
    """Give the http-log bodies that a capture file wraps."""

    def load(file: Path) -> list[bytes]:
        rows = map(json.loads, file.read_text("utf-8").splitlines())
        return [
            base64.b64decode(row["body_b64"]) if "body_b64" in row else row["body"].encode() for row in rows
        ]

    return load


@pytest.fixture(scope="session")
def kong_entries(kong_bodies: Callable[[Path], list[bytes]]) -> list[Entry]:
    """Give every entry of every capture."""
    files = sorted(file for file in (CAPTURES / "kong").rglob("*.jsonl") if file.name != "truth.jsonl")
    return [
        Entry(str(file.relative_to(CAPTURES)), entry)
        for file in files
        for body in kong_bodies(file)
        for entry in split_body(body)
    ]


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(KEY)


@pytest.fixture
def haproxy(redactor: Redactor) -> HaproxyParser:
    return HaproxyParser(redactor=redactor)


@pytest.fixture
def kong(redactor: Redactor) -> KongParser:
    return KongParser(redactor=redactor)


@pytest.fixture
def parse_haproxy(haproxy: HaproxyParser) -> Callable[[bytes], Any]:
    def parse(body: bytes, *, arrival_ns: int = 0) -> EdgeRecord | EdgeEvent:
        return haproxy.parse(body, offset=7, arrival_ns=arrival_ns, peer="192.0.2.1")

    return parse


@pytest.fixture
def parse_kong(kong: KongParser) -> Callable[[bytes], Any]:
    def parse(body: bytes) -> GatewayRecord | EdgeEvent:
        return kong.parse(body, offset=7, arrival_ns=0, peer="192.0.2.2")

    return parse


@pytest.fixture(scope="session")
def names_by_position() -> Callable[[ModuleType, str], list[str]]:
    """Give what the comments behind the positional arguments of a module's only call of a struct say."""

    def read(module: ModuleType, struct: str) -> list[str]:
        source = inspect.getsource(module)
        calls = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == struct
        ]
        assert len(calls) == 1
        assert not calls[0].keywords
        lines = source.splitlines()
        said = [re.search(r"# (\w+)$", lines[(argument.end_lineno or 0) - 1]) for argument in calls[0].args]
        return [found[1] if found else "" for found in said]

    return read

"""A ClickHouse-HTTP face over chDB that can be told to fail."""

import importlib.util
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.model import Lineage
from pipeline.store import schema
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn

FACE = Path(__file__).parents[1] / "store" / "http_face.py"
_spec = importlib.util.spec_from_file_location(
    "writer_of_rows", Path(__file__).with_name("writer_of_rows.py")
)
_writer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_writer)
_proxy_spec = importlib.util.spec_from_file_location(
    "cutting_proxy", Path(__file__).with_name("cutting_proxy.py")
)
_proxy = importlib.util.module_from_spec(_proxy_spec)
_proxy_spec.loader.exec_module(_proxy)


@dataclass
class Face:
    address: str

    def fail(self, **counts: int) -> None:
        """Lose answers, refuse requests, or answer late, as `http_face.py` says."""
        httpx.post(f"http://{self.address}/_fault", params=counts, trust_env=False).raise_for_status()

    def fresh(self) -> str:
        """Make a database with our schema; gives its DSN."""
        dsn = f"clickhouse://{self.address}/test_{uuid.uuid4().hex}"
        connection = connect(parse_dsn(dsn, {}), create=True)
        schema.apply(connection, embedded=False)
        connection.close()
        return dsn


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    with subprocess.Popen(
        [sys.executable, FACE, tmp_path_factory.mktemp("face")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Face(f"127.0.0.1:{int(process.stdout.readline())}")
        process.stdin.close()


@pytest.fixture
def lineage() -> Callable[..., Lineage]:
    """Make a complete lineage: `make(number, **edge fields)`."""
    return _writer.lineage


@pytest.fixture
def proxied() -> Callable[..., Any]:
    """Run a proxy that cuts, before a host:port."""
    return _proxy.cutting_proxy

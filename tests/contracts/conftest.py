"""A ClickHouse-HTTP face over chDB, and a database of its own for each test."""

import importlib.util
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import schema
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn

FACE = Path(__file__).parents[1] / "store" / "http_face.py"
_spec = importlib.util.spec_from_file_location(
    "embedded_store", Path(__file__).with_name("embedded_store.py")
)
_embedded_store = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_embedded_store)


@pytest.fixture(scope="session")
def face_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the face in a process of its own: chDB allows one directory a process."""
    directory = tmp_path_factory.mktemp("face")
    with subprocess.Popen(
        [sys.executable, FACE, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture(scope="session")
def embedded() -> Iterator[Any]:
    """Run embedded stores, one after another, in a process of their own."""
    with _embedded_store.embedded_stores() as store:
        yield store


@pytest.fixture
def http_dsn(face_address: str) -> Callable[[], str]:
    """Make a database on the face."""
    return lambda: fresh_database(f"clickhouse://{face_address}")


@pytest.fixture
def server_dsn() -> Callable[[], str]:
    """Make a database on a real server, where there is one."""
    return lambda: fresh_database(os.environ["HOPTRAIL_TEST_CLICKHOUSE_DSN"])


def fresh_database(server: str) -> str:
    """Make a database with our schema; gives its DSN."""
    dsn = f"{server.rstrip('/')}/test_{uuid.uuid4().hex}"
    connection = connect(parse_dsn(dsn), create=True)
    schema.apply(connection, embedded=False)
    connection.close()
    return dsn

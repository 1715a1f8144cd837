"""Which store a reading command asks: beside a running server, after one, and where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipeline.cli.connect import running_server
from pipeline.store.connection import connect
from pipeline.store.dsn import EmbeddedDsn


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]
ALL = ("--limit", "100000", "-o", "jsonl")


@contextmanager
def process(script: str, *words: str) -> Iterator[None]:
    """Run one of the programs beside this file until the block is left."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline() == "ready\n"
        yield
        running.stdin.close()
        assert running.wait(60) == 0


@pytest.fixture(scope="module")
def served(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a copy of the data directory that a real process serves."""
    copy = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(data_dir, copy, symlinks=True)
    with process("serving.py", str(copy)):
        yield copy


def address(served: Path, name: str) -> str:
    return str(json.loads((served / "server.json").read_text(encoding="utf-8"))[name])


def test_beside_a_server_the_answer_is_the_same_as_from_the_store_itself(
    run: Run, data_dir: Path, served: Path
) -> None:
    directly = run("search", *ALL, "--data-dir", str(data_dir))
    assert directly.code == 0
    for words in (
        ("--data-dir", str(served)),
        ("--store", f"chdb://{served}/store"),
        ("--url", address(served, "read_url")),
        ("--url", address(served, "read_url") + "/hoptrail"),
    ):
        assert run("search", *ALL, *words) == directly


def test_every_kind_of_search_passes_the_guard_of_the_door(run: Run, served: Path) -> None:
    words = (
        *("--since", "2020-01-01", "--until", "2030-01-01", "--status", ">=100", "--method", "GET"),
        *("--path", "/*", "--path", "/", "--host", "*", "--service", "main", "--route", "key"),
        *(
            "--consumer",
            "alice",
            "--client-ip",
            "127.0.0.0/8",
            "--client-ip",
            "::/0",
            "--outcome",
            "complete",
        ),
        *("--min-duration-ms", "0"),
    )
    ran = run("search", *words, "--data-dir", str(served), "-o", "json")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)) > 10
    for missing in ("bad_request", "edge_log_lost"):
        assert run("search", "--missing", missing, "--data-dir", str(served)).code == 0
    assert run("search", "--flag", "id_list", "--data-dir", str(served)).code == 0
    ran = run("status", "--url", address(served, "read_url"), "-o", "json")
    assert json.loads(ran.out)["store"]["rows"]["lineage_rows"] > 1000


@pytest.mark.parametrize("words", [("schema", "status"), ("schema", "retention")])
def test_what_tables_there_are_and_how_long_rows_are_kept_is_told_beside_a_server(
    run: Run, data_dir: Path, served: Path, words: tuple[str, ...]
) -> None:
    directly = run(*words, "-o", "json", "--data-dir", str(data_dir))
    assert run(*words, "-o", "json", "--data-dir", str(served)) == directly
    assert directly.code == 0
    assert json.loads(directly.out)


@pytest.mark.parametrize(
    "text", ["afb64c9d-5ac6-42be-8697-9b1aa9ea1383", "afb64c9d5ac6", "3" * 32, "a\tb\nc{x:UInt8}"]
)
def test_a_trace_through_the_door_is_the_same(run: Run, data_dir: Path, served: Path, text: str) -> None:
    through, directly = (
        run("trace", "-o", "json", "--data-dir", str(directory), "--", text)
        for directory in (served, data_dir)
    )
    assert (through.code, through.out) == (directly.code, directly.out)


def test_no_proxy_of_the_environment_stands_between_us_and_loopback(
    run: Run, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert run("search", "--limit", "1", "--data-dir", str(served)).code == 0
    assert run("status", "--data-dir", str(served)).code == 0


def test_the_configuration_names_the_store_too(run: Run, served: Path, tmp_path: Path) -> None:
    config = tmp_path / "hoptrail.yaml"
    config.write_text(f"data_dir: {served}\n", encoding="utf-8")
    assert run("search", "--limit", "1", "--config", str(config)).code == 0
    assert run("search", "--limit", "1", env={"HOPTRAIL_DATA_DIR": str(served)}).code == 0
    assert run("search", "--limit", "1", env={"HOPTRAIL_STORE__DSN": f"chdb://{served}/store"}).code == 0


def _self_signed(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for a name that is not ours, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(hours=1))
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    files = directory / "door.pem", directory / "door.key"
    files[0].write_bytes(certificate.sign(key, SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].chmod(0o600)
    return files


def test_a_door_with_tls_and_accounts_is_asked_with_what_its_process_left_for_us(
    run: Run, data_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy, symlinks=True)
    certificate, key = _self_signed(tmp_path)
    config = tmp_path / "hoptrail.yaml"
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    config.write_text(json.dumps({"data_dir": str(copy), "door": {"tls": tls}}), encoding="utf-8")
    with process("tls_door.py", str(copy), str(certificate), str(key)):
        ran = run("search", "--limit", "1", "--config", str(config))
        assert ran.code == 0, ran.err
        blind = run("search", "--limit", "1", "--data-dir", str(copy))
        assert blind.code == 2
        assert "password" not in blind.err


def test_a_store_of_an_older_version_is_named_with_what_brings_it_up_to_date(
    run: Run, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    older = connect(EmbeddedDsn(store), create=True)
    older.client.command(
        "CREATE TABLE schema_versions (number UInt32, name String, checksum String, "
        "applied_at DateTime64(3)) ENGINE = ReplacingMergeTree(applied_at) ORDER BY number"
    )
    older.close()
    ran = run("search", "--store", f"chdb://{store}")
    assert ran.code == 2
    assert "the store lacks 0001_lineage_versions.sql" in ran.err
    assert "run hoptrail schema apply" in ran.err
    assert run("schema", "apply", "--store", f"chdb://{store}").code == 0
    assert "it is empty" in run("search", "--store", f"chdb://{store}").err


def test_a_locked_store_that_nobody_announces_is_named_with_what_to_do(
    run: Run, served: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "store").symlink_to(served / "store")
    ran = run("search", "--data-dir", str(hidden))
    assert ran.code == 2
    assert "in use by another process" in ran.err
    assert "name its read door with --url" in ran.err


@pytest.mark.parametrize(
    "announced",
    [
        {"pid": 2**22 + 12_345, "read_url": "http://127.0.0.1:9"},
        {"pid": os.getpid(), "read_url": "http://127.0.0.1:9"},
        {"pid": os.getpid()},
        {"pid": "x", "read_url": "http://127.0.0.1:9"},
        {"pid": -1},
        [],
        "nonsense",
    ],
)
def test_a_server_json_that_is_stale_or_damaged_does_not_stand_in_the_way(
    run: Run,
    data_dir: Path,
    announced: Any,
) -> None:
    file = data_dir / "server.json"
    file.write_text(json.dumps(announced) if announced != "nonsense" else "{", encoding="utf-8")
    try:
        assert run("search", "--limit", "1", "--data-dir", str(data_dir)).code == 0
    finally:
        file.unlink()


def test_only_a_living_process_counts_as_a_server(tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    assert running_server(tmp_path) is None
    file.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
    assert running_server(tmp_path) == {"pid": os.getpid()}
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    file.write_text(json.dumps({"pid": gone.pid}), encoding="utf-8")
    assert running_server(tmp_path) is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--data-dir", "/nonexistent/hoptrail"), "there is no store in /nonexistent/hoptrail/store"),
        (("--store", "chdb:///nonexistent/store"), "there is no store in /nonexistent/store"),
        (("--store", "chdb://relative/store"), "write the whole path"),
        (("--store", "mysql://x"), "is not a store"),
        (("--url", "ftp://x"), "--url: give http://host:port"),
        (("--url", "http://127.0.0.1:99999"), "--url"),
        (("--url", "http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer"),
        (("--url", "http://u:secret@127.0.0.1:9"), "http://127.0.0.1:9 does not answer"),
        (("--url", "http://127.0.0.1:9", "--store", "chdb:///x"), "give one of them"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line_and_no_secret(
    run: Run, words: tuple[str, ...], complaint: str
) -> None:
    ran = run("search", *words)
    assert ran.code == 2
    assert complaint in ran.err
    assert "secret" not in ran.err
    assert ran.err.count("\n") == 1
    assert not Path("/nonexistent").exists()

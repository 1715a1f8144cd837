"""Secrets are planted wherever a client could put one; no file that the process writes may hold one.

The unkeyed journal alone is excepted: it holds raw bytes until they are committed. With a key, or with redaction
before the bus, it is not.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cramjam
import httpx
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "planted_secrets", Path(__file__).parents[1] / "planted_secrets.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
planted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(planted)

Command = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., Any]
HEADERS = [
    "x-api-key",
    "referer",
    "traceparent",
    "response.x-api-key",
    "host",
    "x-request-id",
    "user-agent",
]
FORMAT = "%[capture.req.hdr(2)] %ci %tr %ST %[capture.req.hdr(0)]|%CC|%hr|%r"
VIEWS = ("lineage", "attempts", "tries", "edge_events", "dead_letters")
_HEAD_BYTES = 25
"""Of a compressed block: checksum, method, sizes with and without compression."""
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90


def unpacked(file: bytes) -> bytes:
    """Give what a column file of the store holds; blocks of numbers with their own codecs stay as they are."""
    whole, at = bytearray(), 0
    while at + _HEAD_BYTES <= len(file):
        method = file[at + 16]
        packed, size = (int.from_bytes(file[at + from_ : at + from_ + 4], "little") for from_ in (17, 21))
        body = file[at + _HEAD_BYTES : at + 16 + packed]
        if method == _LZ4:
            body = bytes(cramjam.lz4.decompress_block(body, output_len=size))
        elif method == _ZSTD:
            body = bytes(cramjam.zstd.decompress(body))
        whole += body
        at += 16 + packed
    return bytes(whole)


def held(file: Path) -> bytes:
    """Give all that a file holds, the store's column files unpacked as well."""
    content = file.read_bytes()
    return content + unpacked(content) if file.suffix == ".bin" and "store" in file.parts else content


def leaks(directory: Path, *, journal_too: bool) -> dict[str, list[str]]:
    """Give the files that hold a secret, with what they hold."""
    found = {}
    for file in directory.rglob("*"):
        if not file.is_file() or (not journal_too and _is_journal(file)):
            continue
        if secrets := planted.found_in(held(file).decode("latin-1")):
            found[str(file.relative_to(directory))] = secrets
    return found


def _is_journal(file: Path) -> bool:
    """Whether a file holds records of the journal; its books beside them are looked through always."""
    return (
        file.parent.name == "journal" and file.suffix not in {".sqlite", ".json"} and "state" not in file.name
    )


def test_a_compressed_file_of_the_store_can_be_looked_through() -> None:
    """The search below would find what it looks for."""
    words = planted.PLANTED["token"].encode() * 3

    def block(method: int, packed: bytes) -> bytes:
        sizes = (len(packed) + 9).to_bytes(4, "little") + len(words).to_bytes(4, "little")
        return bytes(16) + bytes([method]) + sizes + packed

    lz4 = bytes(cramjam.lz4.compress_block(words, store_size=False))
    file = block(_LZ4, lz4) + block(_ZSTD, bytes(cramjam.zstd.compress(words))) + block(_NONE, words)
    assert unpacked(file) == words * 3


def _around(text: str) -> str:
    """Give what stands around the first secret in a text."""
    at = min((text.find(secret) for secret in planted.found_in(text)), default=0)
    return text[max(at - 200, 0) : at + 50]


def _own(body: bytes, number: int) -> bytes:
    """Give a body ids of its own, so that each is a lineage and none a duplicate."""
    uuid, kong = b"33df4ccb-fc3a-4fcb-be9d-64c13e45f29c", b"022f864593fa982d12195e309d928e17"
    return body.replace(uuid, b"%08x" % number + uuid[8:]).replace(kong, b"%08x" % number + kong[8:])


def _lines(first: int) -> list[bytes]:
    custom = (
        planted.HEADER
        + (
            f"sid={planted.PLANTED['cookie']} 192.0.2.9 23/Nov/2026:18:35:39.609 200 {planted.AGENT}|"
            f"{planted.PLANTED['cookie']}|{{{planted.PLANTED['api_key']}}}|GET {planted.PATH}?{planted.QUERY} HTTP/1.1"
        ).encode()
    )
    return [_own(body, number) for number, body in enumerate((*planted.haproxy_bodies(), custom), first)]


def _posts(first: int) -> list[bytes]:
    return [_own(body, number) for number, body in enumerate(planted.kong_bodies(), first)]


def _send(process: Any) -> int:
    """Send everything, by every way in; gives how many records of HAProxy's."""
    lines = _lines(1000)
    process.send(*lines)
    host, _, port = process.addresses["syslog_tcp"].rpartition(":")
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(b"".join(line + b"\n" for line in _lines(2000)))
        counted = [line for line in _lines(3000) if line.startswith(b"<134>")]
        stream.sendall(b"".join(b"%d %b" % (len(line), line) for line in counted))
        stream.sendall(b"9999999 <134>" + lines[0])  # a frame that is none
    for body in _posts(1000):
        assert process.post(body) == 200
    whole = b",".join(body for body in _posts(2000) if body[:1] == b"{")  # some of them broken
    assert process.post(b"[" + whole + b"]") == 200
    return 2 * len(lines) + len(counted)


def _knock(process: Any) -> str:
    """Ask for what there is not, with secrets in the question; gives all answers."""
    token, query = planted.PLANTED["token"], planted.QUERY
    ingest, door = process.addresses["ingest_url"], process.addresses["read_url"]
    headers = {
        "authorization": f"Bearer {token}",
        "cookie": planted.PLANTED["cookie"],
        "x-hoptrail-secret": token,
    }
    answers = []
    with httpx.Client(trust_env=False, headers=headers) as client:
        answers += [
            client.post(f"{ingest}/ingest/kong/{token}?{query}", content=b"x"),
            client.put(f"{ingest}/ingest/kong?{query}", content=token),
            client.post(f"{ingest}/ingest/kong", content=token, headers={"content-encoding": token}),
            client.get(f"{ingest}/status?token={token}"),
            client.get(f"{ingest}/metrics?token={token}"),
            client.get(f"{ingest}/{quote(planted.JWT)}"),
            client.post(f"{door}/?password={token}", content="SELECT 1"),
            client.get(f"{door}/{token}?{query}"),
        ]
    return "\n".join(f"{answer.status_code} {answer.headers} {answer.text}" for answer in answers)


def _views(process: Any) -> Iterator[str]:
    """Give all that the read door has, view by view."""
    for view in VIEWS:
        query = f"SELECT * FROM {view} FORMAT JSONEachRow"
        answer = httpx.post(process.addresses["read_url"], content=query, trust_env=False, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.text, view
        yield answer.text


def _exports(command: Command, process: Any) -> Iterator[str]:
    """Give what reading commands give away."""
    where = ("--data-dir", str(process.data_dir))
    found = command("search", "--limit", "1000", "-o", "json", *where).stdout
    rows = json.loads(found)
    assert len(rows) > 20
    yield found
    for form in ("csv", "table"):
        yield command("search", "--limit", "1000", "-o", form, *where).stdout
    shown = next(row["request_id"] for row in rows if row["outcome"] == "complete")
    for form in ("json", "table"):
        yield command("trace", shown, "-o", form, *where).stdout
    yield command("status", "-o", "json", *where).stdout
    yield command("dead-letters", "list", *where).stdout
    letters = json.loads(command("dead-letters", "list", "--limit", "1000", "-o", "json", *where).stdout)
    assert len(letters) > 30
    yield json.dumps(letters)
    yield command("dead-letters", "show", letters[0]["fingerprint"], *where).stdout


@pytest.mark.parametrize("mode", ["plain", "keyed", "ingest"])
def test_no_secret_is_in_any_file_or_answer_of_the_process(
    mode: str, serve: Serve, command: Command, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "bus.key").write_bytes(b"the key of the journal, long enough")
    (keys / "originals.key").write_bytes(b"the key of originals, long enough")
    redaction: dict[str, object] = {
        "headers": HEADERS,
        "redact_at": "ingest" if mode == "ingest" else "parse",
    }
    settings: dict[str, Any] = {"redaction": redaction, "log_level": "debug"}
    if mode != "plain":
        redaction["originals_key_file"] = str(keys / "originals.key")
    if mode == "keyed":
        settings["bus"] = {"key_file": str(keys / "bus.key")}
    listen = {"udp": "127.0.0.1:0", "tcp": "127.0.0.1:0", "log_format": FORMAT}
    settings["otlp"] = {
        "endpoint": "http://127.0.0.1:9",
        "identity": True,
    }  # nobody listens: spans wait on disk
    settings["sources"] = {"syslog": listen, "kong": {"listen": "127.0.0.1:0"}}
    process = serve(window_s=1, **settings)
    sent = _send(process)
    assert planted.found_in(_knock(process)) == []
    process.wait_for(
        lambda status: (
            status["sources"]["haproxy"]["received"] >= sent
            and all(row["pending"] == 0 for row in status["sources"].values())
        )
    )
    for text in (*_views(process), *(_exports(command, process) if mode == "plain" else ())):
        assert planted.found_in(text) == [], _around(text)
    # Some more, which the journal surely still holds when it is looked through.
    process.send(*_lines(4000))
    for body in _posts(4000):
        assert process.post(body) == 200
    process.kill()
    is_closed = mode != "plain"
    journal = b"".join(held(file) for file in (process.data_dir / "journal").rglob("*") if file.is_file())
    assert len(journal) > 10_000
    assert bool(planted.found_in(journal.decode("latin-1"))) is not is_closed
    kept = b"".join(held(file) for file in (process.data_dir / "store").rglob("*.bin"))
    assert b"plain=kept" in kept, "the search does not reach what the store holds"
    assert leaks(process.data_dir, journal_too=is_closed) == {}
    assert planted.found_in((tmp_path / "serve.log").read_text(errors="replace")) == []
    assert leaks(tmp_path, journal_too=is_closed) == {}

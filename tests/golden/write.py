"""Writes the golden files anew: run it by hand after a change that is meant, and read what changed in the diff.

    python tests/golden/write.py

A golden file says, for each captured line or entry, the kind, fields and flags that reading it gives; fields
that are unknown are left out. `tests/formats/test_golden.py` compares.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord

HERE = Path(__file__).parent
CAPTURES = HERE.parent / "captures"
_REDACTOR = Redactor(b"the key of the golden files, 32.")
_SHOWN = 240
_NOT_OF_THE_RECORD = {"offset", "arrival_ns", "kind", "flags"}


def golden_files() -> dict[str, list[dict[str, Any]]]:
    """Give the rows of every golden file, by its name."""
    return {
        "haproxy.jsonl": list(_haproxy_rows("rfc5424-udp")),
        "haproxy-beside-kong.jsonl": list(_lines_beside_kong()),
        "kong.jsonl": list(_kong_rows()),
    }


def _haproxy_rows(name: str) -> Iterator[dict[str, Any]]:
    parser = HaproxyParser(redactor=_REDACTOR)
    for line in (CAPTURES / "haproxy" / f"{name}.jsonl").read_text("utf-8").splitlines():
        captured = json.loads(line)
        yield _row(parser, captured["case"], base64.b64decode(captured["raw_b64"]))


def _lines_beside_kong() -> Iterator[dict[str, Any]]:
    parser = HaproxyParser(redactor=_REDACTOR)
    for file in sorted((CAPTURES / "kong").glob("**/*.haproxy.log")):
        for line in file.read_bytes().splitlines():
            yield _row(parser, str(file.relative_to(CAPTURES / "kong")), line)


def _kong_rows() -> Iterator[dict[str, Any]]:
    parser = KongParser(redactor=_REDACTOR)
    for file in sorted((CAPTURES / "kong").glob("**/*.jsonl")):
        rows = file.read_text("utf-8").splitlines()
        if file.parent.name == "corpus":  # 1,544 entries much alike: one of 40 stands for them
            rows = [] if file.name == "truth.jsonl" else rows[::40]
        for line in rows:
            captured = json.loads(line)
            body = (
                base64.b64decode(captured["body_b64"])
                if "body_b64" in captured
                else captured["body"].encode()
            )
            for entry in split_body(body):
                yield _row(parser, str(file.relative_to(CAPTURES / "kong")), entry)


def _row(parser: HaproxyParser | KongParser, case: str, body: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case, "input": body[:_SHOWN].decode("latin-1")}
    try:
        record = parser.parse(body, offset=0, arrival_ns=1_795_460_000_000_000_000, peer="192.0.2.1")
    except MalformedLine as error:
        return row | {"error": error.reason}
    fields = {
        name: _plain(value)
        for name, value in msgspec.structs.asdict(record).items()
        if name not in _NOT_OF_THE_RECORD and value is not None and value != ()
    }
    if isinstance(record, EdgeEvent):
        return row | {"kind": record.kind, "fields": fields}
    kind = "request" if isinstance(record, EdgeRecord) else "attempt"
    return row | {"kind": kind, "fields": fields, "flags": list(record.flags)}


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {name: inner for name, inner in msgspec.structs.asdict(value).items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def main() -> None:
    for name, rows in golden_files().items():
        text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
        (HERE / name).write_text(text, encoding="ascii")
        print(f"{name}: {len(rows)} rows")  # noqa: T201 -- run by hand


if __name__ == "__main__":
    main()

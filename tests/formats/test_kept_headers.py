"""What the operator keeps of headers: what was asked for, bounded, and no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kept_headers import LONGEST_VALUE, KeptHeaders
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Policy, Redactor
from pipeline.formats.sealed import Sealer, Unsealer
from pipeline.model import GatewayRecord, Source

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.s3cr3tSignatureS3cr3t"
KEY = b"a key for tests, 32 bytes of it."


def entry(request: dict[str, Any] | None = None, response: dict[str, Any] | None = None) -> bytes:
    return json.dumps(
        {"request": {"id": "a" * 32, "headers": request}, "response": {"status": 200, "headers": response}, "started_at": 1795460246034}
    ).encode()  # fmt: skip


def kept(*names: str, policy: Policy | None = None, **parts: dict[str, Any]) -> dict[str, str]:
    redactor = Redactor(KEY, policy or Policy())
    record = KongParser(redactor=redactor, headers=names).parse(
        entry(**parts), offset=1, arrival_ns=0, peer=""
    )
    assert isinstance(record, GatewayRecord)
    return dict(record.headers)


def test_nothing_is_kept_unless_it_is_asked_for(redactor: Redactor) -> None:
    record = KongParser(redactor=redactor).parse(
        entry({"x-tenant-id": "acme"}), offset=1, arrival_ns=0, peer=""
    )
    assert isinstance(record, GatewayRecord)
    assert record.headers == ()


def test_headers_of_request_and_answer_are_told_apart_and_what_is_absent_is_absent() -> None:
    assert kept(
        "request.x-tenant-id", "response.x-cache", "response.x-tenant-id", "request.x-none",
        request={"x-tenant-id": "acme", "x-cache": "client's"}, response={"x-cache": "HIT"},
    ) == {"request.x-tenant-id": "acme", "response.x-cache": "HIT"}  # fmt: skip


def test_a_repeated_header_is_joined_and_an_empty_one_is_kept() -> None:
    assert kept("request.via", "request.x-e", request={"via": ["1.1 a", "2 b"], "x-e": ""}) == {
        "request.via": "1.1 a, 2 b",
        "request.x-e": "",
    }


def test_a_name_that_looks_secret_leaves_a_fingerprint_that_tells_equal_ones_equal() -> None:
    first, again, other = (
        kept("request.x-api-key", request={"x-api-key": key})["request.x-api-key"] for key in ("k1-S3cr3t", "k1-S3cr3t", "k2")
    )  # fmt: skip
    assert first == again != other
    assert first.startswith("~")
    assert len(first) == 11


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {JWT}", f"https://x/cb?token=s3cr3tValue&a={JWT}", "https://u:s3cr3tpass@h/", "a=1; session=s3cr3tValue",
        "https://x/?next=%2Fcb%3Ftoken%3Ds3cr3tValue", "Basic dXNlcjpzM2NyM3RwYXNz", "authorization: Basic dXNlcjpzM2NyM3RwYXNz",
        f'{{"password":"s3cr3tValue","jwt":"{JWT}"}}', "x" * 505 + f" Bearer {JWT}", "/a;jsessionid=s3cr3tValue/b",
        "user:s3cr3tpass@api.example.com", "for=u:s3cr3t@h, x",
    ],
)  # fmt: skip
def test_a_secret_in_a_value_is_not_kept(value: str) -> None:
    shown = kept(
        "request.referer", "response.location", request={"referer": value}, response={"location": [value]}
    )
    for text in shown.values():
        assert not any(part in text for part in ("s3cr3t", "S3cr3t", "dXNlcj", *JWT.split("."))), text


def test_values_are_bounded_and_printable() -> None:
    shown = kept(
        "request.x-long",
        "request.x-many",
        request={"x-long": "é\x1b\u202e" * 40_000, "x-many": ["v" * 100] * 5000},
    )
    assert [len(text) for text in shown.values()] == [LONGEST_VALUE, LONGEST_VALUE]
    assert all(text.isprintable() for text in shown.values())


def test_addresses_and_users_follow_the_pseudonyms() -> None:
    policy = Policy(pseudonyms=frozenset({"client_ip", "user"}))
    headers = {
        "x-forwarded-for": "192.0.2.9, [2001:db8::9]:4711, 198.51.100.7:80",
        "x-consumer-username": "alice",
        "x-note": "at 12:30:45 of 1.2",
    }
    names = [f"request.{name}" for name in headers]
    shown = kept(*names, policy=policy, request=headers)
    assert not any(part in shown["request.x-forwarded-for"] for part in ("192.0.2", "2001:db8", "198.51"))
    assert shown["request.x-consumer-username"] == Redactor(KEY, policy).user("alice")
    assert shown["request.x-note"] == headers["x-note"]
    assert kept(*names, request=headers) == dict(zip(names, headers.values(), strict=True))


def test_an_entry_of_odd_bytes_and_types_gives_what_can_be_read(redactor: Redactor) -> None:
    parser = KongParser(redactor=redactor, headers=["request.x-a", "request.x-b", "response.x-c"])
    body = entry({"x-a": "caf!", "x-b": 7, "x-d": {"e": 1}}, {"x-c": ["v", 1]}).replace(b"caf!", b"caf\xff")
    record = parser.parse(body, offset=1, arrival_ns=0, peer="")
    assert isinstance(record, GatewayRecord)
    assert dict(record.headers) == {"request.x-a": "caf\\xff", "response.x-c": "v"}


def test_real_entries_give_their_headers(kong_entries: list[Any], redactor: Redactor) -> None:
    """Of all that Kong 3.9.1 was seen to write, the header is kept wherever the entry has it as text."""
    parser = KongParser(redactor=redactor, headers=["response.content-type"])
    seen = 0
    for one in kong_entries:
        try:
            tree = json.loads(one.body)
            record = parser.parse(one.body, offset=1, arrival_ns=0, peer="")
        except (ValueError, MalformedLine):
            continue
        value = ((tree.get("response") or {}).get("headers") or {}).get("content-type")
        if isinstance(record, GatewayRecord) and isinstance(value, str):
            assert dict(record.headers) == {"response.content-type": value}
            seen += 1
    assert seen > 1000


@given(st.binary(max_size=300))
def test_any_bytes_have_headers_or_none(body: bytes) -> None:
    kept = KeptHeaders(["request.x-a"], Redactor(KEY))
    for entry_body in (body, b'{"request":{"headers":{"x-a":' + body + b"}}}"):
        assert [name for name, _ in kept.read(entry_body)] in ([], ["request.x-a"])


def test_kept_headers_lie_on_a_shared_bus_too(redactor: Redactor, haproxy: HaproxyParser) -> None:
    parser = KongParser(redactor=redactor, headers=["request.x-tenant-id"])
    sealed = Sealer(haproxy, parser, redactor).seal(
        Source.KONG, entry({"x-tenant-id": "acme"}), arrival_ns=1, peer=""
    )
    record = Unsealer(KongParser(redactor=redactor)).parse(sealed, offset=1, arrival_ns=1, peer="")
    assert isinstance(record, GatewayRecord)
    assert record.headers == (("request.x-tenant-id", "acme"),)

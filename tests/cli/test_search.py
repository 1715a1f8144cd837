"""`hoptrail search`: each filter agrees with the same filter in plain Python over the same documents."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.document import lineage_document
from pipeline.model import Lineage

Document = dict[str, Any]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]
Test = Callable[[Document], bool]


def found(run: Run, data_dir: Path, *words: str) -> list[Document]:
    ran = run("search", "--limit", "100000", "-o", "jsonl", "--data-dir", str(data_dir), *words)
    assert ran.code == (0 if ran.out else 1), ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_without_a_filter_everything_is_given_once_and_newest_first(
    documents: list[Document], stored: list[Lineage], stories: dict[str, Lineage]
) -> None:
    expected = [lineage_document(one) for one in (*stored, stories["retried"])]
    known = [one for one in documents if not (one["request_id"] or "").startswith("0192f0c1-")]
    assert sorted(map(_sorted_key, known)) == sorted(map(_sorted_key, expected))
    starts = [one["start_time"] for one in documents]
    assert starts == sorted(starts, reverse=True)


def _sorted_key(document: Document) -> str:
    """Give what a document says; 1 and 1.0 are one number."""
    return json.dumps(json.loads(json.dumps(document), parse_int=float), sort_keys=True)


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL
    )


def path_test(path: str) -> Test:
    if set(path) & set("*?"):
        return lambda one: _glob(path).fullmatch(one["path"] or "") is not None
    return lambda one: (one["path"] or "").startswith(path)


def host_test(host: str) -> Test:
    return lambda one: _glob(host.lower()).fullmatch((one["host"] or "").lower()) is not None


def address_test(network: str) -> Test:
    wanted = ipaddress.ip_network(network)

    def is_within(one: Document) -> bool:
        try:
            address = ipaddress.ip_address(one["client_ip"] or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return address in wanted or (mapped is not None and mapped in wanted)

    return is_within


def any_attempt(name: str, value: str) -> Test:
    return lambda one: any(attempt[name] == value for attempt in one["attempts"])


def consumer_test(value: str) -> Test:
    names = ("consumer_id", "consumer_name", "custom_id", "credential_id", "subject")
    return lambda one: any(one["identity"][name] == value for name in names)


FILTERS: list[tuple[list[str], Test]] = [
    (["--status", "503"], lambda one: one["status"] == 503),
    (["--status", "5xx"], lambda one: one["status"] is not None and 500 <= one["status"] <= 599),
    (["--status", ">=400"], lambda one: (one["status"] or 0) >= 400),
    (["--status", "<300"], lambda one: one["status"] is not None and one["status"] < 300),
    (["--status", "401,5xx"], lambda one: one["status"] == 401 or (one["status"] or 0) // 100 == 5),
    (["--method", "post"], lambda one: one["method"] == "POST"),
    (["--method", "PUT", "--method", "PATCH"], lambda one: one["method"] in {"PUT", "PATCH"}),
    (["--path", "/open/1"], path_test("/open/1")),
    (["--path", "/*/1?"], path_test("/*/1?")),
    (["--path", "*_*"], path_test("*_*")),
    (["--path", "/a_b/100%"], path_test("/a_b/100%")),
    (["--path", ""], lambda _: True),
    (["--host", "API.example.com"], host_test("api.example.com")),
    (["--host", "*.example.com"], host_test("*.example.com")),
    (["--service", "main"], any_attempt("service", "main")),
    (["--route", "key"], any_attempt("route", "key")),
    (["--consumer", "alice"], consumer_test("alice")),
    (["--consumer", "cust-alice"], consumer_test("cust-alice")),
    (["--client-ip", "127.0.0.1"], address_test("127.0.0.1/32")),
    (["--client-ip", "203.0.113.0/24"], address_test("203.0.113.0/24")),
    (["--client-ip", "::/0"], address_test("::/0")),
    (["--outcome", "gateway_only"], lambda one: one["outcome"] == "gateway_only"),
    (["--missing", "bad_request"], lambda one: one["missing"] == "bad_request"),
    (
        ["--missing", "denied_at_edge,no_server"],
        lambda one: one["missing"] in {"denied_at_edge", "no_server"},
    ),
    (["--flag", "spoofed_request_id"], lambda one: "spoofed_request_id" in one["flags"]),
    (["--min-duration-ms", "12.5"], lambda one: one["duration_ms"] >= 12.5),
    (["--since", "2026-11-23T18:57:24Z"], lambda one: one["start_time"] >= "2026-11-23T18:57:24"),
    (
        ["--until", "2026-11-23T19:57:24.5+01:00"],
        lambda one: one["start_time"] < "2026-11-23T18:57:24.500000Z",
    ),
]


@pytest.mark.parametrize(("words", "is_wanted"), FILTERS, ids=[" ".join(words) for words, _ in FILTERS])
def test_a_filter_agrees_with_plain_python(
    run: Run, data_dir: Path, documents: list[Document], words: list[str], is_wanted: Test
) -> None:
    expected = [one for one in documents if is_wanted(one)]
    assert found(run, data_dir, *words) == expected
    assert len(expected) < len(documents) or words[1] in {"", "::/0", "127.0.0.1"}


def test_an_orphan_that_stands_beside_its_edge_record_elsewhere_is_hidden(
    run: Run, data_dir: Path, documents: list[Document]
) -> None:
    """Between two writes both rows are there; no filter may bring the orphan back."""
    late_id = "0192f0c1-late-7000-8000-000000000004"
    assert [one["outcome"] for one in documents if one["request_id"] == late_id] == ["complete"]
    orphans = found(run, data_dir, "--outcome", "gateway_only", "--service", "payments")
    assert late_id not in [one["request_id"] for one in orphans]
    ran = run("trace", "5" * 32, "--data-dir", str(data_dir), "-o", "json")
    assert json.loads(ran.out)["outcome"] == "complete"


def test_the_filters_are_tested_on_something(documents: list[Document]) -> None:
    """A filter that never finds anything would agree with anything."""
    empty = [words for words, is_wanted in FILTERS if not any(map(is_wanted, documents))]
    assert empty == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(FILTERS), min_size=2, max_size=4, unique_by=lambda one: one[0][0]))
def test_filters_together_narrow_the_search(
    run: Run, data_dir: Path, documents: list[Document], chosen: list[tuple[list[str], Test]]
) -> None:
    words = [word for words, _ in chosen for word in words]
    expected = [one for one in documents if all(is_wanted(one) for _, is_wanted in chosen)]
    assert found(run, data_dir, *words) == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(alphabet="/openky01*?%_\\'{}:\t\n", max_size=8))
def test_no_path_can_be_anything_but_a_path(
    run: Run, data_dir: Path, documents: list[Document], path: str
) -> None:
    expected = [one for one in documents if path_test(path)(one)]
    assert found(run, data_dir, f"--path={path}") == expected


@pytest.mark.parametrize("option", ["--host", "--service", "--route", "--consumer", "--method", "--path"])
@pytest.mark.parametrize("value", ["' OR 1=1 --", "{p0:String}", "\\", "a\tb\nc", "%", "it's", "ÿ€𝄞"])
def test_no_value_reaches_the_statement(run: Run, data_dir: Path, option: str, value: str) -> None:
    assert found(run, data_dir, f"{option}={value}") == []


def test_times_ago_are_counted_from_now(run: Run, data_dir: Path, documents: list[Document]) -> None:
    newest = datetime.fromisoformat(documents[0]["start_time"])
    weeks = (datetime.now(UTC) - newest).days // 7 + 2
    assert len(found(run, data_dir, "--since", f"{abs(weeks)}w")) in {0, len(documents)}
    assert found(run, data_dir, "--until", "5000w") == []
    assert len(found(run, data_dir, "--since", "5000w")) == len(documents)


def test_more_than_can_be_counted_to_is_refused(run: Run, data_dir: Path) -> None:
    assert run("search", "--limit", "9" * 20, "--data-dir", str(data_dir)).code == 2

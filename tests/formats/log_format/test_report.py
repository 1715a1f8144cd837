"""What a format is said to give, its lines give; and what is said to be missing would be given by what to add."""

from __future__ import annotations

import pytest

from pipeline.formats.log_format import BUILT_IN, compile_format
from pipeline.formats.log_format.report import NEEDS, report_on

RECOMMENDED = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %rc %ID %pid %lc %{+Q}r"


REQUESTS = [text for text in (*BUILT_IN, RECOMMENDED, "%ci %ST") if not compile_format(text).is_session]


@pytest.mark.parametrize("text", REQUESTS)
def test_every_need_of_a_request_is_either_recovered_or_missing(text: str) -> None:
    report = report_on(compile_format(text))
    said = [item.field for item in report.recovered] + [need.field for need in report.missing]
    assert sorted(said) == sorted(need.field for need in NEEDS)


@pytest.mark.parametrize("text", REQUESTS)
def test_a_need_is_missing_exactly_where_no_set_of_its_items_is_there(text: str) -> None:
    keys = set(compile_format(text).keys)
    lacking = {need.field for need in report_on(compile_format(text)).missing}
    assert lacking == {
        need.field for need in NEEDS if not any(keys.issuperset(names) for names in need.given_by)
    }


def test_the_worst_lack_comes_first() -> None:
    order = [need.importance for need in report_on(compile_format("%ci")).missing]
    assert order == sorted(order, key=["needed", "wanted", "useful"].index)


def test_of_sessions_and_errors_nothing_is_asked_that_they_cannot_give() -> None:
    assert report_on(compile_format("tcplog")).kind == "sessions"
    fields = {need.field for need in report_on(compile_format("%ci"), is_error=True).missing}
    assert report_on(compile_format("%ci"), is_error=True).kind == "errors"
    assert "path" not in fields
    assert "request_id" not in fields


def test_what_a_lineage_has_no_place_for_is_named_once() -> None:
    report = report_on(compile_format("%ci %tr %[var(txn.k)] %[var(txn.k)] %ST"))
    assert report.ignored == ("%[var(txn.k)]",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":%Ta,"s":%ST}', "may be written with a +"),
        ('{"a":"%Ta","s":%ST,"p":%sp}', "may be -"),
        ('{"a":"%r","s":%ST}', "may hold a backslash"),
        ('{"a":"%[req.hdr(user-agent)]","s":%ST}', "end it with ,json(utf8s)"),
    ],
)
def test_json_that_some_request_breaks_is_told(text: str, told: str) -> None:
    assert any(told in warning for warning in report_on(compile_format(text)).warnings)

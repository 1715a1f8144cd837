"""What is said to be ambiguous is: two sets of values print the same line. What is not, never is."""

from __future__ import annotations

import pytest

from pipeline.formats.log_format import compile_format


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("%ci:%cp [%tr] %ST", ()),
        ("%ST%B", ("%ST", "%B")),
        ("%ST %B", ()),
        ("%tsc%ts", ()),
        ("%[var(txn.a)] %[var(txn.b)]", ("%[var(txn.a)]", "%[var(txn.b)]")),
        ("%[var(txn.a)] %ST", ()),
        ('"%[var(txn.a)]" "%[var(txn.b)]"', ("%[var(txn.a)]", "%[var(txn.b)]")),
        ('"%[var(txn.a),json(utf8s)]" "%[var(txn.b),json(utf8s)]"', ()),
        ("%{+Q,+E}[var(txn.a)] %{+Q,+E}[var(txn.b)]", ()),
        ("%hr %hs %ST", ("%hr", "%hs")),
        ("%hr %hs", ()),  # of one block at the end, the space behind it says which it is
        ("%hr|%hs", ()),
        ("%{+Q}r %ID", ()),
        ("%r %ID", ()),
        ("%r %r", ("%r",)),
        ("%CC %ST", ()),
        ("%ID%ID", ("%ID",)),
    ],
)
def test_formats_are_ambiguous_where_two_values_print_alike(text: str, items: tuple[str, ...]) -> None:
    assert compile_format(text).ambiguous() == items


def test_json_is_not_ambiguous_but_within_one_string() -> None:
    assert compile_format('{"a":"%[var(txn.a)]","b":"%[var(txn.b)]"}').ambiguous() == ()
    assert compile_format('{"a":"%ci %cp"}').ambiguous() == ()
    assert compile_format('{"a":"%ID%ID"}').ambiguous() == ("%ID",)


def test_a_format_without_end_is_judged_in_bounded_time() -> None:
    text = " ".join(f"%[var(txn.v{number})]" for number in range(400))
    assert compile_format(text).ambiguous()

"""Lines of hand-written JSON and of `%{+json}o`: where a value stands in the object, and what breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.formats import flags as flag
from pipeline.formats.log_format import compile_format

NESTED = '{"who":{"ip":"%ci","port":%cp},"times":[%TR,%Tw],"at":"%tr|%ft","st":%ST,"req":"%[capture.req.hdr(0),json(utf8s)]"}'


def line(**changes: Any) -> dict[str, Any]:
    whole = {
        "who": {"ip": "192.0.2.9", "port": 5},
        "times": [0, -1],
        "at": "23/Nov/2026:18:57:23.518|edge",
        "st": 200,
        "req": "a",
    }
    return {**whole, **changes}


def test_a_value_is_found_wherever_its_template_has_it() -> None:
    values = compile_format(NESTED).read(json.dumps(line()))
    assert values is not None
    assert (values["ci"], values["cp"], values["TR"], values["Tw"], values["ST"]) == (
        "192.0.2.9",
        "5",
        "0",
        "-1",
        "200",
    )
    assert (values["tr"], values["ft"]) == ("23/Nov/2026:18:57:23.518", "edge")


def test_the_order_of_keys_and_further_keys_do_not_matter() -> None:
    compiled = compile_format(NESTED)
    turned = dict(reversed(line(more={"a": [1]}).items()))
    assert compiled.read(json.dumps(turned)) == compiled.read(json.dumps(line()))


@pytest.mark.parametrize("lost", ["who", "times", "at", "st", "req"])
def test_a_key_that_is_not_there_costs_its_own_values_alone(lost: str) -> None:
    whole = compile_format(NESTED).read(json.dumps(line()))
    tree = line()
    del tree[lost]
    values = compile_format(NESTED).read(json.dumps(tree))
    assert whole is not None
    assert values is not None
    assert values.items() < whole.items()


trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["ip", "port", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("who", "times", "at", "st", "req"), trees)))
def test_objects_of_any_shape_are_read_as_text_or_not_at_all(tree: dict[str, Any]) -> None:
    values = compile_format(NESTED).read(json.dumps(tree))
    assert values is None or all(isinstance(text, str) for text in values.values())


def test_a_dash_where_a_number_belongs_breaks_the_json_and_not_the_reading() -> None:
    flags: set[str] = set()
    broken = json.dumps(line()).replace('"port": 5', '"port": -')
    values = compile_format(NESTED).read(broken.replace(", ", ",").replace(": ", ":"), flags)
    assert values is not None
    assert (values["ci"], values["cp"], values["ST"]) == ("192.0.2.9", "-", "200")
    assert flag.NOT_JSON in flags


def test_a_line_that_was_cut_gives_what_was_whole() -> None:
    flags: set[str] = set()
    whole = json.dumps(line())
    values = compile_format(NESTED).read(whole[: whole.index('"req"')], flags)
    assert values is not None
    assert values["ci"] == "192.0.2.9"
    assert flag.TRUNCATED in flags


@pytest.mark.parametrize("text", ["", "null", "[]", "no", "192.0.2.9:5 [x]"])
def test_what_is_no_object_is_of_another_format(text: str) -> None:
    assert compile_format(NESTED).read(text) is None


def test_an_encoded_format_needs_names() -> None:
    assert compile_format("%{+json}o %(ip)ci %ST").read('{"ip": "192.0.2.9"}') == {"ci": "192.0.2.9"}
    with pytest.raises(ConfigError):
        compile_format("%{+json}o %ci %ST")

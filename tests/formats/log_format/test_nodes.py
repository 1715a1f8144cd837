from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.log_format.nodes import Item, Literal, Separator, read_nodes


def item(alias: str = "", expression: str = "", name: str = "", cast: str = "", *flags: str) -> Item:
    return Item(alias, expression, name, cast, frozenset(flags))


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("%ci:%cp", [item("ci"), Literal(":"), item("cp")]),
        ("  a   b", [Literal("a"), Separator(), Literal("b")]),
        ("100%% %ST", [Literal("100%"), Separator(), item("ST")]),
        ("%{+Q,-X,+nonsense}r", [item("r", "", "", "", "Q")]),
        ("%{+Q}o %ci %{-Q}b", [Separator(), item("ci", "", "", "", "Q"), Separator(), item("b")][1:]),
        ("%(n-1_a:str)ci", [item("ci", "", "n-1_a", "str")]),
        ("%[var(txn.a),regsub('[]]',x)]]", [item("", "var(txn.a),regsub('[]]',x)"), Literal("]")]),
        ('%{+E}[str("a]b)")]', [item("", 'str("a]b)")', "", "", "E")]),
        ("%ci_x", [item("ci"), Literal("_x")]),
    ],
)
def test_formats_are_taken_apart_as_haproxy_does(text: str, nodes: list[object]) -> None:
    assert list(read_nodes(text).nodes) == nodes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("%{+json}o %(a)ci", "json"),
        ("%{+cbor,+bin}o %(a)ci", "cbor"),
        ("%ci", ""),
        ("%{+json}(a)ci", ""),
        ("%{+json}o %{-json}o", ""),
    ],
)
def test_a_line_is_encoded_where_all_of_it_is(text: str, encoding: str) -> None:
    if text == "%{+json}(a)ci":
        with pytest.raises(ConfigError):
            read_nodes(text)
        return
    assert read_nodes(text).encoding == encoding


@pytest.mark.parametrize("text", ["%", "% x", "%[src", "%(a", "%{+Q", "%1", "%(a)", "%(a:int)ci"])
def test_what_haproxy_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="log_format"):
        read_nodes(text)

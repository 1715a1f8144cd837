"""What a query would do, as the engine's own parser and analyser tell it.

PURE: reads their text, asks nothing. `EXPLAIN AST` shows every node before anything is looked up; all of
them, and every name in them, must be known harmless. `EXPLAIN QUERY TREE` shows what names were resolved
to, aliases, parameters and matchers (`*`, `COLUMNS`) included; it is asked only after the first has passed,
since resolving computes constants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.web.door_functions import IN_FUNCTIONS, TABLE_FUNCTIONS, may_call
from pipeline.web.door_refusal import DoorRefusal, denied

_NODE = re.compile(r"( *)([A-Za-z:]+)(?: (.*?))??(?: \(children (\d+)\))?")
_PLAIN_NAME = re.compile(r"[\w$]+(?:\.[\w$]+)?")
_ALIAS = re.compile(r" \(alias .*\)$")

_NODE_KINDS = """
    SelectWithUnionQuery SelectQuery SelectIntersectExceptQuery Subquery ExpressionList WithElement
    TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin
    SampleRatio Identifier Function Literal OrderByElement InterpolateElement WindowDefinition
    WindowListElement Asterisk QualifiedAsterisk ColumnsRegexpMatcher ColumnsListMatcher
    QualifiedColumnsRegexpMatcher QualifiedColumnsListMatcher ColumnsTransformerList
    ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement
"""
_NODES = frozenset(_NODE_KINDS.split())
"""What a SELECT may be made of; not `ColumnsApplyTransformer`, whose function the tree does not name."""

_SYSTEM_NAMES = """
    one numbers settings tables columns databases functions table_functions aggregate_function_combinators
    data_type_families formats keywords time_zones
"""
SYSTEM_TABLES = frozenset(_SYSTEM_NAMES.split())
"""Tables of `system` that clients ask for names and types; none shows a query, a user, a file or a key."""

_RECURSION = "_temporary_and_external_tables._tmp_"
"""How the analyser names what a recursive WITH has so far."""
_FOREIGN = frozenset({"system", "information_schema", "default", "_temporary_and_external_tables"})
"""Databases that every engine has besides ours."""

_RESOLVED_TABLE = re.compile(r"\btable_name: ([^\s,]+)")
_RESOLVED_TABLE_FUNCTION = re.compile(r"\btable_function_name: ([^\s,]+)")
_RESOLVED_FUNCTION = re.compile(r"(?<!table_)function_name: ([^\s,]+)")
_MADE_STATE = re.compile(
    r"function_name: ([^\s,]+), function_type: ordinary, result_type: .*AggregateFunction\("
)
_LITERAL_AT = {
    **dict.fromkeys(("cast", "_cast", "accuratecast", "accuratecastornull", "accuratecastordefault"), 2),
    **dict.fromkeys(("values", "arrayreduce", "arrayreduceinranges", "initializeaggregation"), 1),
}
"""Arguments that name a type or a function; what they say must be seen before it is computed."""
_KEEPS_STATE = frozenset({"if", "tuple", "tupleElement", "array", "arrayElement", "identity", "materialize"})


class _Node(NamedTuple):
    depth: int
    kind: str
    rest: str
    """What stands behind the kind, without alias and count of children."""
    children: int


def check_tree(ast: str, database: str) -> None:
    """Walk the text of `EXPLAIN AST` of one SELECT without clauses at its end.

    Args:
        ast: One node a line, indented by its depth.
        database: Ours; a name without a database is looked up there and nowhere else.

    Raises:
        DoorRefusal: A node, function or table that the door does not allow; it is named.
    """
    nodes = list(_nodes(ast))
    if not nodes or nodes[0].kind != "SelectWithUnionQuery":
        kind = nodes[0].kind.removesuffix("Query") if nodes else "nothing"
        raise denied(f"{kind} is refused: only SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN are answered")
    path: list[_Node] = []
    seen: list[int] = []  # children seen so far, beside `path`
    for node in nodes:
        while len(path) > node.depth:
            _whole(path.pop(), seen.pop())
        if len(path) != node.depth:
            raise denied("a name that forges the query's tree is refused")
        if seen:
            seen[-1] += 1
        _check_node(node, path, seen, database)
        path.append(node)
        seen.append(0)
    while path:
        _whole(path.pop(), seen.pop())


def _nodes(ast: str) -> Iterator[_Node]:
    for line in ast.split("\n"):
        if not line:
            continue
        match = _NODE.fullmatch(line)
        if match is None:
            raise denied("a name that forges the query's tree is refused")
        indent, kind, rest, children = match.groups()
        yield _Node(len(indent), kind, _ALIAS.sub("", f" {rest or ''}").strip(), int(children or 0))


def _whole(node: _Node, seen: int) -> None:
    if node.children != seen:
        raise denied("a name that forges the query's tree is refused")


def _check_node(node: _Node, path: list[_Node], seen: list[int], database: str) -> None:
    if node.kind == "Set":
        raise denied("SETTINGS inside a query is refused; they may stand at its end, or in the URL")
    if node.kind not in _NODES:
        raise denied(f"{node.kind.removesuffix('Query').removesuffix('Transformer')} is refused")
    if node.depth == 1 and node.kind != "ExpressionList":
        raise denied("INTO, or a second FORMAT, is refused")
    if len(path) > 1 and path[-1].kind == "ExpressionList" and path[-2].kind == "Function":
        _check_argument(node, path[-2].rest, seen[-1])
    if node.kind == "TableIdentifier":
        check_table(node.rest, database)
    elif node.kind == "Identifier":
        _check_identifier(node.rest, path, seen, database)
    elif node.kind == "Function":
        _check_function(node.rest, is_table=path[-1].kind == "TableExpression")
    elif node.kind == "Literal" and "AggregateFunction" in node.rest:
        raise denied("a state of an aggregate function that comes from the client is refused")


def _check_argument(node: _Node, function: str, position: int) -> None:
    """Judge an argument by its place, counted from 1."""
    if _LITERAL_AT.get(function.lower()) != position:
        return
    if node.kind != "Literal":
        raise denied(f"argument {position} of {function} is refused: it must be a literal")
    if position == 1 and function != "values" and not may_call(node.rest[1:-1].partition("(")[0]):
        raise denied(
            f"function {node.rest[:80]} is refused: it is not one that this door knows to be harmless"
        )


def check_table(name: str, database: str) -> None:
    """Judge a table by its name as the tree writes it.

    Raises:
        DoorRefusal: It is neither ours nor one of `SYSTEM_TABLES`.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise denied(f"table {name[:80]!r} is refused")
    owner, dot, table = name.rpartition(".")
    if not dot or owner == database or (owner == "system" and table in SYSTEM_TABLES):
        return
    raise denied(f"table {name[:80]} is refused: only those of {database}")


def _check_identifier(name: str, path: list[_Node], seen: list[int], database: str) -> None:
    """Judge a name that the parser takes for a column; behind IN it may be a table."""
    if name.partition(".")[0].lower() in _FOREIGN:
        is_set = len(path) > 1 and path[-2].kind == "Function" and path[-2].rest in IN_FUNCTIONS
        if not (is_set and seen[-1] > 1):
            raise denied(f"{name[:80]} is refused")
        check_table(name, database)


def _check_function(name: str, *, is_table: bool) -> None:
    if is_table:
        if name not in TABLE_FUNCTIONS:
            raise denied(f"table function {name[:80]} is refused")
    elif not may_call(name):
        raise denied(f"function {name[:80]} is refused: it is not one that this door knows to be harmless")


def check_resolved(tree: str, database: str) -> None:
    """Read the text of `EXPLAIN QUERY TREE`: what the analyser made of a query that `check_tree` passed.

    Raises:
        DoorRefusal: It reads something else than it seemed to.
    """
    for name in _RESOLVED_TABLE.findall(tree):
        plain = name.replace("`", "")
        if not plain.startswith(_RECURSION):  # the first walk refuses whoever writes that himself
            check_table(plain, database)
    for name in _RESOLVED_TABLE_FUNCTION.findall(tree):
        _check_function(name, is_table=True)
    for name in _RESOLVED_FUNCTION.findall(tree):
        if not name.startswith(
            "__"
        ):  # the analyser's own, which nobody can write: the first walk refuses them
            _check_function(name, is_table=False)
    for name in _MADE_STATE.findall(tree):
        if name not in _KEEPS_STATE:
            raise _refused_state(name)


def _refused_state(name: str) -> DoorRefusal:
    return denied(f"function {name} is refused where it makes a state of an aggregate function")

r"""The words of a query that the engine has already put into its canonical form.

PURE: no I/O. `formatQuerySingleLine` gives one statement on one line: no comments, keywords in capitals,
strings in '…' and odd identifiers in `…` with backslash escapes. Only such text is read here; it is cut into
tokens to find the clauses at its end and the names that hide something. What the query does is for the
engine's own parser to say (`door_tree`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.web.door_refusal import denied, malformed

_TOKEN = re.compile(
    r"""
      (?P<space>\ +)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<quoted>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<symbol>[^'`"])
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[\w$.-]*")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


class Token(NamedTuple):
    """One word of a query."""

    kind: str
    """`string`, `quoted`, `word`, `number` or `symbol`."""
    text: str
    start: int
    """Index of its first character."""
    depth: int
    """How many brackets are open around it."""


class Clauses(NamedTuple):
    """A query and what stood at its end."""

    core: str
    """The query without them."""
    format: str | None
    """Of `FORMAT name`."""
    settings: dict[str, str]
    """Of `SETTINGS name = value, …`, values unquoted."""


def tokens(text: str) -> list[Token]:
    """Cut canonical text into tokens, without the spaces.

    Raises:
        DoorRefusal: A quote without its end, or a control character: not canonical text.
    """
    found, at, depth = [], 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or not text[at].isprintable():
            raise malformed(f"cannot be read at character {at}")
        kind, word = str(match.lastgroup), match[0]
        depth -= word in _CLOSE
        if kind != "space":
            found.append(Token(kind, word, at, depth))
        depth += word in _OPEN
        at = match.end()
    return found


def refuse_odd_names(text: str, parameters: Mapping[str, str]) -> None:
    """Refuse parameters that stand for names, `{table:Identifier}`, and are none that is written plainly.

    Raises:
        DoorRefusal: One could forge lines of the engine's tree.
    """
    words = tokens(text)
    for name, colon, kind in zip(words, words[1:], words[2:], strict=False):
        if (colon.text, kind.text) == (":", "Identifier") and not _PLAIN.fullmatch(
            parameters.get(name.text, "")
        ):
            raise denied(f"parameter {name.text} is refused: it must be a plain name")


def refuse_hidden(words: Sequence[Token]) -> None:
    """Refuse what the engine's tree would not show.

    Raises:
        DoorRefusal: `INTO OUTFILE` or `FROM INFILE`, or an identifier with a backslash in it: a line break
            in a name would forge lines of the tree.
    """
    for token in words:
        if token.kind == "word" and token.text.upper() in {"OUTFILE", "INFILE"}:
            raise denied(f"{token.text.upper()} is refused")
        if token.kind == "quoted" and ("\\" in token.text or not token.text.isprintable()):
            raise denied(f"the name {token.text} is refused: it holds an escaped character")


def split_clauses(text: str) -> Clauses:
    """Take `FORMAT` and `SETTINGS` off the end of a query, in either order.

    What only looks like such a clause stays where it is, and the engine's parser judges it.

    Raises:
        DoorRefusal: The text hides something, or cannot be read.
    """
    words = tokens(text)
    refuse_hidden(words)
    form, settings, end = None, dict[str, str](), len(text)
    while True:
        if form is None and _is_format(words):
            form, cut = words[-1].text, len(words) - 2
        else:
            cut, found = _trailing_settings(words)
            if not found:
                return Clauses(text[:end].rstrip(), form, settings)
            settings = found | settings
        end, words = words[cut].start, words[:cut]


def _is_format(words: Sequence[Token]) -> bool:
    match words[-2:]:
        case [Token("word", "FORMAT", _, 0), Token("word")]:
            return True
    return False


def _trailing_settings(words: Sequence[Token]) -> tuple[int, dict[str, str]]:
    """Find where `SETTINGS` begins, and what it sets; an empty dictionary where there is none."""
    start = next(
        (at for at in range(len(words) - 1, -1, -1) if words[at][:2] == ("word", "SETTINGS")), len(words)
    )
    found: dict[str, str] = {}
    rest = list(words[start + 1 :])
    while rest:
        match rest:
            case [Token("word", name), Token("symbol", "="), Token(kind, value), *rest] if kind != "symbol":
                found[name] = unquoted(value)
            case _:
                return len(words), {}
        if rest and rest.pop(0).text != ",":
            return len(words), {}
    return start, found


def unquoted(text: str) -> str:
    """Give what a literal or a quoted name stands for."""
    if text[:1] not in {"'", "`", '"'}:
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1])

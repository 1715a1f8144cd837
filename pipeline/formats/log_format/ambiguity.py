"""Proves whether a line of a format can be read in one way alone.

The pieces are a small automaton. Two readings of one line are two runs of it, so the format is ambiguous
exactly where two runs over the same characters part and both end: a search through pairs of states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.formats.log_format.pieces import Piece, takes_space
from pipeline.formats.log_format.shapes import ANY, alphabet

_MOST_PAIRS = 400_000
_WIDEST = 64


class _State(NamedTuple):
    owner: int
    """Index of the piece that its incoming character belongs to."""
    moves: list[tuple[int, int]]
    """Characters, and the state they lead to."""


class _Automaton:
    def __init__(self) -> None:
        self.states: list[_State] = [_State(-1, [])]
        self.ends = {0}
        """States from which the next piece may begin."""

    def add(self, owner: int) -> int:
        self.states.append(_State(owner, []))
        return len(self.states) - 1

    def link(self, sources: set[int], characters: int, target: int) -> None:
        for source in sources:
            self.states[source].moves.append((characters, target))

    def literal(self, owner: int, text: str) -> None:
        for character in text:
            state = self.add(owner)
            self.link(self.ends, alphabet(character), state)
            self.ends = {state}

    def value(self, owner: int, piece: Piece) -> None:
        """Add what an item may be: of fixed width, with escapes, or any number of its characters."""
        shape = piece.shape
        if shape.least == shape.most and 0 < shape.most <= _WIDEST:
            for _ in range(shape.most):
                state = self.add(owner)
                self.link(self.ends, shape.alphabet, state)
                self.ends = {state}
            return
        loop = self.add(owner)
        inner = shape.alphabet & ~alphabet("\\") if shape.escape else shape.alphabet
        if (
            shape.is_list
        ):  # how many there are is not known: taken for one text that may hold quotes and spaces
            inner |= alphabet(shape.brackets + " ")
        self.link(self.ends | {loop}, inner, loop)
        if shape.escape:
            escaped = self.add(owner)
            self.link(self.ends | {loop}, alphabet("\\"), escaped)
            self.link({escaped}, ANY, loop)
        self.ends = {loop} if shape.least else self.ends | {loop}

    def piece(self, owner: int, piece: Piece, *, with_space: bool) -> None:
        before = set(self.ends)
        if not piece.key:
            self.literal(owner, piece.literal)
            return
        brackets = "" if piece.shape.is_list else piece.shape.brackets
        for mark in ('"' * piece.quoted, brackets[:1]):
            self.literal(owner, mark)
        self.value(owner, piece)
        for mark in (brackets[1:], '"' * piece.quoted):
            self.literal(owner, mark)
        if piece.vanishes:
            if with_space:
                self.literal(owner, " ")
            self.ends |= before


def ambiguous_items(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Name the items whose values some line of the format could be read in two ways; empty: none.

    The search has an end: a format too large for it is said to be ambiguous in all items that are not bounded.
    """
    automaton = _Automaton()
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        with_space = takes_space(pieces, index)
        automaton.piece(index, piece, with_space=with_space)
        index += 2 if with_space else 1
    pairs = _reachable(automaton)
    if pairs is None:
        return tuple(dict.fromkeys(piece.written for piece in pieces if piece.shape.is_free))
    owners = {owner for pair in _ending(automaton, pairs) for owner in pair}
    return tuple(dict.fromkeys(pieces[owner].written for owner in sorted(owners) if pieces[owner].written))


def _reachable(automaton: _Automaton) -> dict[tuple[int, int], set[tuple[int, int]]] | None:
    """Give the pairs of states that two runs over the same characters can be in, with the pairs they come from."""
    start = (0, 0)
    found: dict[tuple[int, int], set[tuple[int, int]]] = {start: set()}
    waiting = [start]
    while waiting:
        pair = waiting.pop()
        left_moves, right_moves = automaton.states[pair[0]].moves, automaton.states[pair[1]].moves
        for left_characters, left in left_moves:
            for right_characters, right in right_moves:
                if not left_characters & right_characters:
                    continue
                target = (left, right) if left <= right else (right, left)
                if target not in found:
                    found[target] = set()
                    waiting.append(target)
                    if len(found) > _MOST_PAIRS:
                        return None
                found[target].add(pair)
    return found


def _ending(
    automaton: _Automaton, pairs: dict[tuple[int, int], set[tuple[int, int]]]
) -> set[tuple[int, int]]:
    """Give the pieces of the pairs, of different states, from which both runs can still end."""
    waiting = [(left, right) for left, right in pairs if left in automaton.ends and right in automaton.ends]
    seen = set(waiting)
    while waiting:
        for pair in pairs[waiting.pop()]:
            if pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    parted = {pair for pair in seen if pair[0] != pair[1]}
    states = automaton.states
    return {(states[left].owner, states[right].owner) for left, right in parted}

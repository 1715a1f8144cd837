"""Entries that the strict decoder refuses: odd bytes, odd types, endless fields; each read as far as it can be."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kong_entry import Entry
from pipeline.formats.lenient_json import load_lenient
from pipeline.formats.text import LONGEST_FIELD

_MOST_VALUES = 64


def decode_leniently(body: bytes, flags: list[str]) -> Entry:
    """Read an entry: odd bytes first, then fields of odd types left out one by one.

    Raises:
        MalformedLine: It is not a JSON object.
    """
    tree = load_lenient(body)
    if not _is_utf8(body):
        flags.append(flag.NOT_UTF8)
    try:
        return msgspec.convert(tree, Entry, strict=False)
    except msgspec.ValidationError:
        flags.append(flag.ODD_TYPES)
    try:
        return msgspec.convert(_fitting(tree, Entry), Entry, strict=False)
    except msgspec.ValidationError as error:  # cannot be: what does not fit was left out
        raise MalformedLine("not_an_entry", "its fields fit no entry") from error


def bound(struct: msgspec.Struct) -> bool:
    """Cut every text of a struct, and of those in it, to `LONGEST_FIELD`; says whether one was longer."""
    was_cut = False
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, str) and len(value) > LONGEST_FIELD:
            setattr(struct, name, value[:LONGEST_FIELD])
            was_cut = True
        elif isinstance(value, msgspec.Struct):
            was_cut = bound(value) or was_cut
        elif isinstance(value, list):
            del value[:-_MOST_VALUES]
            for index, item in enumerate(value):
                if isinstance(item, str):
                    value[index] = item[:LONGEST_FIELD]
                elif isinstance(item, msgspec.Struct):
                    was_cut = bound(item) or was_cut
    return was_cut


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fitting(tree: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Keep the fields of a struct that fit their types, going into structs that do not fit as a whole."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in tree:
            continue
        value = tree[name]
        if field.type is msgspec.Raw:
            if isinstance(value, dict):
                kept[name] = msgspec.Raw(msgspec.json.encode(_shallow(value)))
            continue
        try:
            msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError:
            inner = _struct_in(field.type)
            if inner is not None and isinstance(value, dict):
                kept[name] = _fitting(value, inner)
        else:
            kept[name] = value
    return kept


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if isinstance(inner, int | str | bool)}


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """Give `X` of `X | None` where X is a struct."""
    parts = [part for part in getattr(kind, "__args__", ()) if isinstance(part, type)]
    return next((part for part in parts if issubclass(part, msgspec.Struct)), None)

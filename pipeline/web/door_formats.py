"""Formats that the door answers in, and the two Native blocks that the embedded engine does not write itself.

PURE: no I/O. Formats that read files (`Template`), need schemas or speak another protocol are not here.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.web.door_refusal import DoorRefusal

_TEXT, _TSV, _CSV = (f"text/{kind}; charset=UTF-8" for kind in ("plain", "tab-separated-values", "csv"))
_JSON = "application/json; charset=UTF-8"
_LINES = "application/x-ndjson; charset=UTF-8"
_BINARY = "application/octet-stream"
_NAMES = ("", "WithNames", "WithNamesAndTypes")

CONTENT_TYPES = {
    **{f"{stem}{names}": _TSV for stem in ("TabSeparated", "TSV") for names in _NAMES},
    **{f"{stem}Raw{names}": _TSV for stem in ("TabSeparated", "TSV") for names in _NAMES},
    **{f"CSV{names}": _CSV for names in _NAMES},
    **{f"RowBinary{names}": _BINARY for names in _NAMES},
    **{f"JSONCompactEachRow{names}": _LINES for names in _NAMES},
    **dict.fromkeys(("JSON", "JSONStrings", "JSONCompact", "JSONCompactStrings"), _JSON),
    **dict.fromkeys(("JSONColumns", "JSONColumnsWithMetadata", "JSONCompactColumns"), _JSON),
    **dict.fromkeys(("JSONEachRow", "JSONStringsEachRow", "JSONLines", "NDJSON"), _LINES),
    **dict.fromkeys(("Native", "Parquet", "Null"), _BINARY),
    "Arrow": "application/vnd.apache.arrow.file",
    "ArrowStream": "application/vnd.apache.arrow.stream",
    "XML": "application/xml; charset=UTF-8",
    **dict.fromkeys(("Pretty", "PrettyCompact", "PrettySpace", "PrettyCompactMonoBlock"), _TEXT),
    **dict.fromkeys(("PrettyNoEscapes", "PrettyCompactNoEscapes", "PrettySpaceNoEscapes"), _TEXT),
    **dict.fromkeys(("Vertical", "Values", "Markdown", "TSKV"), _TEXT),
}
"""Content type by name of format."""

DEFAULT_FORMAT = "TabSeparated"

HELLO = "SELECT displayName(), version(), revision(), timezone()"
"""What clickhouse-go asks first over HTTP, and decodes as its own protocol revision would write it."""


def check_format(name: str) -> str:
    """Give a format's name back.

    Raises:
        DoorRefusal: The door does not answer in it.
    """
    if name not in CONTENT_TYPES:
        raise DoorRefusal(73, "UNKNOWN_FORMAT", f"format {name[:40]!r} is not one that this door answers in")
    return name


def empty_block(columns: Iterable[tuple[str, str]]) -> bytes:
    """Write a Native block of revision 0 with no rows; the engine writes nothing at all.

    Args:
        columns: Names and types, such as `("status", "UInt16")`.
    """
    columns = list(columns)
    parts = [_number(len(columns)), _number(0)]
    parts += (_string(name) + _string(kind) for name, kind in columns)
    return b"".join(parts)


def hello_block(version: str, time_zone: str) -> bytes:
    """Write the answer to `HELLO` at the client's revision, saying that ours is 0.

    The engine writes revision 0 alone. A client that asks for more decodes this first block with block info
    and a custom-serialisation byte per column, and every later one as the revision that this one names.
    """
    values = (
        ("String", _string("hoptrail")),
        ("String", _string(version)),
        ("UInt32", bytes(4)),
        ("String", _string(time_zone)),
    )
    names = ("displayName()", "version()", "revision()", "timezone()")
    info = b"\x01\x00" + b"\x02\xff\xff\xff\xff" + b"\x00"  # not an overflow, no bucket, end
    parts = [info, _number(len(names)), _number(1)]
    for name, (kind, value) in zip(names, values, strict=True):
        parts.append(_string(name) + _string(kind) + b"\x00" + value)
    return b"".join(parts)


def _number(value: int) -> bytes:
    """Write an unsigned LEB128."""
    written = bytearray()
    while value > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _string(value: str) -> bytes:
    encoded = value.encode()
    return _number(len(encoded)) + encoded

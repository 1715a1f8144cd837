"""Keys of the recommended JSON line (`hap-req/1`, `hap-err/1`), and how a line that is not quite one is read."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.lenient_json import load_lenient, mend
from pipeline.formats.text import LARGEST, LARGEST_PID, LARGEST_PORT, LARGEST_STATUS

_Count = Annotated[int, msgspec.Meta(ge=-1, le=LARGEST)]
_Pid = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_PID)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_PORT)]
_Status = Annotated[int, msgspec.Meta(ge=-1, le=LARGEST_STATUS)]
_NotRead = object

REQUEST, ERROR = "hap-req/1", "hap-err/1"
"""Versions: of a request, and of a connection that failed before there was one."""


class Line(msgspec.Struct, gc=False):
    """A line; keys in the order in which our edge writes them, which the decoder counts on for its speed.

    Numbers may stand in quotes. What a lineage has no place for is named too: an unknown key costs more.
    """

    v: str
    id: str = ""
    tp: str = ""
    pid: _Pid | None = None
    rt: _Count | None = None
    lc: _Count | None = None
    node: str | None = None
    acc: str = ""
    """Accept date, seconds and milliseconds; 3.x may write `acc_us` instead."""
    acc_us: _Count | None = None
    req_us: _Count | None = None
    end_us: _Count | None = None
    Th: _Count = -1
    Ti: _Count = -1
    TR: _Count = -1
    Tw: _Count = -1
    Tc: _Count = -1
    Tr: _Count = -1
    Td: _Count = -1
    Ta: _Count = -1
    ci: str = ""
    cp: _Count | None = None
    """A port, of a unix socket the number of the listener."""
    fi: _NotRead = None
    fp: _NotRead = None
    fe: str = ""
    be: str = ""
    srv: str = ""
    si: str = ""
    sp: str = ""
    """A port, or `-` where no server was asked."""
    bi: _NotRead = None
    bp: _NotRead = None
    pool: str = ""
    roll: _NotRead = None
    m: str = ""
    host: str = ""
    """The Host header where there is a `node`; in lines without one, HAProxy's own name."""
    path: str | None = None
    q: str = ""
    hv: str = ""
    ua: str = ""
    U: _Count | None = None
    c_rid: str = ""
    c_tp: str = ""
    tls: str = ""
    cph: str = ""
    sni: str = ""
    alpn: _NotRead = None
    cc: str = ""
    cv: str = ""
    dn: str = ""
    st: _Status = -1
    B: _Count | None = None
    ts: str = ""
    rc: str = ""
    """A count, with a `+` in front after a redispatch, or beside `rdsp` of 3.x."""
    rdsp: str = ""
    sq: _NotRead = None
    bq: _NotRead = None
    ac: _NotRead = None
    fc: _NotRead = None
    bc: _NotRead = None
    sc: _NotRead = None
    ferr: str = ""
    ferrs: str = ""
    serrs: str = ""
    kong_rid: str = ""
    kong_pl: _NotRead = None
    kong_ul: _NotRead = None
    hst: str | None = None
    uri: str | None = None
    h: str = ""
    ver: str = ""
    end: _NotRead = None
    Tt: _NotRead = None
    Tu: _NotRead = None
    sub_unverified: _NotRead = None
    ctype: _NotRead = None


decode_line = msgspec.json.Decoder(Line, strict=False).decode
"""Read a well-formed line; raises `msgspec.DecodeError` for any other."""

_FIELDS = {
    field.encode_name: field.type for field in msgspec.structs.fields(Line) if field.type is not _NotRead
}


class LineRead(NamedTuple):
    """A line that was read leniently."""

    line: Line
    flags: list[str]


def read_leniently(message: str) -> LineRead:
    """Read a line that the strict decoder refuses: `-` or `+5` for a number, control characters, cut off.

    Raises:
        MalformedLine: It is not JSON as far as it goes.
    """
    flags: list[str] = []
    try:
        tree = load_lenient(message)
    except MalformedLine:
        mended = mend(message)
        if mended is None:
            raise
        tree = load_lenient(mended)
        flags.append(flag.TRUNCATED)
    kept: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        value = tree.get(name)
        if value is None or (value == "-" and kind is not str):
            continue
        if name == "Ta" and isinstance(value, str) and value[:1] == "+":
            flags.append(flag.LOG_ASAP)
        try:
            kept[name] = msgspec.convert(_as_written(value, kind), kind, strict=False)
        except msgspec.ValidationError:
            flags.append(flag.ODD_TYPES)
    if "v" not in kept:
        raise MalformedLine("unknown_json", "without a version")
    return LineRead(Line(**kept), flags)


def _as_written(value: object, kind: object) -> object:
    """Give a number as text where the line has text, and text of a lower bound (`+5`) without its sign."""
    if kind is str or kind == str | None:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return value.removeprefix("+") if isinstance(value, str) else value

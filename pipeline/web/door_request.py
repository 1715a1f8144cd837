"""I/O: an HTTP request read as ClickHouse's protocol has it: URL parameters, headers, a bounded body.

The query is the URL's `query`, then the body. A body is SQL whatever its content type, except
`multipart/form-data`, whose fields count as URL parameters. `param_name` binds `{name:Type}`; every other
parameter that this page does not know is a setting.
"""

from __future__ import annotations

import email.parser
import email.policy
import re
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from starlette.requests import Request

from pipeline.web.door_engine import Asked
from pipeline.web.door_formats import check_format
from pipeline.web.door_refusal import DoorRefusal, bad_argument, malformed, too_large

_QUERY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_PARAMETER = re.compile(r"[A-Za-z0-9_$]{1,64}")
_MOST_FIELDS = 200
_ENVELOPE_BYTES = 64 * 2**10
"""Room for the headers of a multipart body."""


class Ask(NamedTuple):
    """One request."""

    asked: Asked
    query_id: str
    database: str
    """As the client calls it; empty where it does not say."""
    is_compression_wanted: bool


async def read_ask(request: Request, max_bytes: int) -> Ask:
    """Read a request.

    Args:
        request: A GET or POST of `/`.
        max_bytes: Most bytes of the query, and again of all its parameters.

    Raises:
        DoorRefusal: It is too large, or says something that cannot be done.
        ClientDisconnect: The client left before its end.
    """
    body = await _body(request, 2 * max_bytes + _ENVELOPE_BYTES)
    fields = list(request.query_params.multi_items())
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        fields += _form(request.headers["content-type"], body)
        body = b""
    if len(fields) > _MOST_FIELDS:
        raise too_large(f"more than {_MOST_FIELDS} parameters")
    parameters: dict[str, str] = {}
    settings: dict[str, str] = {}
    for name, value in fields:
        if name.startswith("param_"):
            parameters[_parameter_name(name)] = value
        else:
            settings[name] = value
    sql = _sql(settings.pop("query", ""), body)
    _check_sizes(sql, parameters, max_bytes)
    return _ask(request, sql, parameters, settings)


def _ask(request: Request, sql: str, parameters: dict[str, str], settings: dict[str, str]) -> Ask:
    """Sort what is not SQL: the protocol's own parameters are taken out, the rest are settings."""
    form = settings.pop("default_format", "") or request.headers.get("x-clickhouse-format", "")
    if form:
        check_format(form)
    query_id = settings.pop("query_id", "") or uuid.uuid4().hex
    if not _QUERY_ID.fullmatch(query_id):
        raise bad_argument("query_id may hold letters, digits and _.:- only, 128 at most")
    database = settings.pop("database", "") or request.headers.get("x-clickhouse-database", "")
    version = settings.get("client_protocol_version", "0")
    if {"user", "password"} & settings.keys():
        raise bad_argument("user and password belong into headers, not into the URL")
    asked = Asked(sql, parameters, settings, form or None, int(version) if version.isdecimal() else 0)
    return Ask(asked, query_id, database, settings.get("enable_http_compression", "1") != "0")


async def _body(request: Request, most: int) -> bytes:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_argument("send the query uncompressed; only answers are compressed")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise too_large("the request is too large")
    return bytes(body)


def _sql(query: str, body: bytes) -> str:
    try:
        parts = [part for part in (query, body.decode()) if part.strip()]
    except UnicodeDecodeError:
        raise malformed("a query is UTF-8 text; write other bytes with unhex('…')") from None
    if not parts:
        raise malformed("Empty query")
    sql = "\n".join(parts)
    if any("\ud800" <= char <= "\udfff" for char in query):
        raise malformed("a query is UTF-8 text")
    return sql


def _check_sizes(sql: str, parameters: dict[str, str], most: int) -> None:
    if len(sql.encode()) > most:
        raise too_large(f"the query is longer than {most} bytes")
    if sum(len(value.encode("utf-8", "replace")) for value in parameters.values()) > most:
        raise too_large(f"the parameters are longer than {most} bytes")


def _parameter_name(field: str) -> str:
    name = field.removeprefix("param_")
    if not _PARAMETER.fullmatch(name):
        raise bad_argument(f"{field[:40]!r} does not name a parameter")
    return name


def _form(content_type: str, body: bytes) -> Iterable[tuple[str, str]]:
    """Read the fields of a form.

    Raises:
        DoorRefusal: It is not one, or carries a file: external tables are not taken.
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str) or part.get_filename() is not None:
            raise DoorRefusal(48, "NOT_IMPLEMENTED", "external tables are not taken by this door", status=400)
        content = part.get_payload(decode=True)
        try:
            yield name, content.decode() if isinstance(content, bytes) else ""
        except UnicodeDecodeError:
            raise malformed(f"field {name[:40]!r} is not UTF-8 text") from None

"""Kong's http-log entries: bytes of one entry in, a gateway record or an event out."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kong_entry import Attempted, Entry, Headers, HeaderValue, Named, Request, Response
from pipeline.formats.kong_split import split_body
from pipeline.formats.lenient_json import load_lenient
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import parse_request_line
from pipeline.formats.text import LONGEST_FIELD, has_control, identity_hash
from pipeline.model import EdgeEvent, GatewayRecord, Try

__all__ = ["KongParser", "split_body"]

_LONGEST_ID = 256
_MOST_IDS = 16
_MOST_TRIES = 32
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_START = re.compile(r"(?:t=)?(\d{10,16})(?:\.(\d{1,6}))?")

_decode = msgspec.json.Decoder(Entry).decode


class KongParser:
    """Reads entries of Kong 2.8 to 3.13; what an entry lacks is None, never an error."""

    def __init__(self, *, redactor: Redactor) -> None:
        self._redactor = redactor

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> GatewayRecord | EdgeEvent:
        """Read one entry.

        Raises:
            MalformedLine: It is not a JSON object, or has neither a request nor a session.
        """
        flags: list[str] = []
        try:
            entry = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            entry = _decode_leniently(body, flags)
        request = entry.request
        if request is None:
            return self._session(entry, offset=offset, arrival_ns=arrival_ns, peer=peer)
        started_us = _ms_to_us(entry.started_at)
        if started_us is None:
            raise MalformedLine("no_date", "started_at is missing or not a number")
        return self._record(entry, request, started_us, offset=offset, peer=peer, flags=flags)

    def _record(
        self, entry: Entry, request: Request, started_us: int, *, offset: int, peer: str, flags: list[str]
    ) -> GatewayRecord:
        headers = request.headers or _NO_HEADERS
        response = entry.response or _NO_RESPONSE
        request_ids = _ids(headers.x_request_id) or _ids(entry.correlation_id)
        if len(request_ids) > 1:
            flags.append(flag.ID_LIST)
        gateway_id = request.id or _first(response.headers.x_kong_request_id if response.headers else None)
        target = parse_request_line(f"M {request.uri or ''} HTTP/1.1")
        path, query = target.path, target.query
        if path is not None and (len(path) > LONGEST_FIELD or (query and len(query) > LONGEST_FIELD)):
            path, query = path[:LONGEST_FIELD], query[:LONGEST_FIELD] if query else None
            flags.append(flag.TRUNCATED)
        user_agent = _first(headers.user_agent)
        if has_control(path or "") or has_control(user_agent or ""):
            flags.append(flag.CONTROL_CHARS)
        kong_ms, proxy_ms, receive_ms, request_ms = _latencies(entry)
        consumer, credential, service, route = (
            entry.consumer,
            entry.authenticated_entity,
            entry.service or _NO_NAME,
            entry.route or _NO_NAME,
        )
        tries = entry.tries if isinstance(entry.tries, list) else ()
        return GatewayRecord(
            attempt_id=identity_hash(gateway_id)
            if gateway_id
            else _content_hash(entry, request, request_ids, tries),
            offset=offset,
            request_ids=request_ids,
            started_us=started_us,
            gateway_request_id=gateway_id[:_LONGEST_ID] if gateway_id else None,
            correlation_id=entry.correlation_id[:_LONGEST_ID] if entry.correlation_id else None,
            trace_id=_trace_id(entry),
            traceparent=headers.traceparent if isinstance(headers.traceparent, str) else None,
            request_start_us=_request_start_us(headers.x_request_start),
            node=peer or None,
            kong_ms=kong_ms,
            proxy_ms=proxy_ms,
            receive_ms=receive_ms,
            request_ms=request_ms,
            status=response.status,
            source=entry.source,
            method=request.method,
            scheme=(request.url or "").partition("://")[0] or None,
            host=_first(headers.host),
            path=path,
            query=self._redactor.query(query) if query else None,
            user_agent=user_agent,
            upstream_uri=self._redactor.uri(entry.upstream_uri[:LONGEST_FIELD])
            if entry.upstream_uri
            else None,
            upstream_status=_upstream_status(entry.upstream_status),
            request_bytes=_integer(request.size),
            response_bytes=_integer(response.size),
            client_ip=entry.client_ip,
            service=service.name or service.id,
            service_id=service.id,
            route=route.name or route.id,
            route_id=route.id,
            workspace=entry.workspace_name or entry.workspace,
            consumer_id=consumer.id if consumer else None,
            consumer_name=consumer.username if consumer else None,
            custom_id=consumer.custom_id if consumer else None,
            credential_id=credential.id if credential else None,
            anonymous=_is_anonymous(entry, headers),
            claim_subject=_claim(entry),
            tls_version=request.tls.version if request.tls else None,
            tls_cipher=request.tls.cipher if request.tls else None,
            tries=tuple(_try(attempted) for attempted in tries[:_MOST_TRIES]),
            flags=tuple(sorted(set(flags))) if flags else (),
        )

    def _session(self, entry: Entry, *, offset: int, arrival_ns: int, peer: str) -> EdgeEvent:
        if not bytes(entry.session):
            raise MalformedLine("not_an_entry", "neither request nor session")
        name = (entry.service or _NO_NAME).name or (entry.route or _NO_NAME).name
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=_ms_to_us(entry.started_at),
            kind="stream_session",
            node=peer or None,
            proxy=name,
            client_ip=entry.client_ip,
            text=self._redactor.text(bytes(entry.session))[:4096],
        )


_NO_HEADERS = Headers()
_NO_RESPONSE = Response()
_NO_NAME = Named()


def _decode_leniently(body: bytes, flags: list[str]) -> Entry:
    """Read what the fast decoder refused: odd bytes first, then fields of odd types left out one by one."""
    tree = load_lenient(body)
    if not body.isascii() and _is_not_utf8(body):
        flags.append(flag.NOT_UTF8)
    try:
        return msgspec.convert(tree, Entry, strict=False)
    except msgspec.ValidationError:
        flags.append(flag.ODD_TYPES)
        return msgspec.convert(_fitting(tree, Entry), Entry, strict=False)


def _is_not_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return True
    return False


def _fitting(tree: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Keep the fields of a struct that fit their types, going into structs that do not fit as a whole."""
    kept = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in tree or field.type is msgspec.Raw:
            continue
        try:
            msgspec.convert(tree[name], field.type, strict=False)
        except msgspec.ValidationError:
            inner = _struct_in(field.type)
            if inner is None or not isinstance(tree[name], dict):
                continue
            kept[name] = _fitting(tree[name], inner)
        else:
            kept[name] = tree[name]
    return kept


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """Give `X` of `X | None` where X is a struct."""
    parts = [part for part in getattr(kind, "__args__", ()) if isinstance(part, type)]
    return next((part for part in parts if issubclass(part, msgspec.Struct)), None)


def _latencies(entry: Entry) -> tuple[float | None, float | None, float | None, float | None]:
    """Normalise across versions: what Kong 3.7 calls `kong` does not contain `receive`.

    Where an older entry reached its upstream, request = kong + proxy + (receive, inside kong), so receive
    cannot be told apart and stays None.
    """
    latencies = entry.latencies
    if latencies is None:
        return None, None, None, None
    return (
        _known(latencies.kong),
        _known(latencies.proxy),
        _known(latencies.receive),
        _known(latencies.request),
    )


def _known(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < 1e12 else None  # noqa: PLR2004 -- 30 years in ms


def _ids(value: HeaderValue) -> tuple[str, ...]:
    """Give the candidates of join key A: each element of a list is one; a comma inside one is its own text."""
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    return tuple(text[:_LONGEST_ID] for text in values[-_MOST_IDS:] if text)


def _first(value: HeaderValue) -> str | None:
    if isinstance(value, str):
        return value[:LONGEST_FIELD] or None
    return value[0][:LONGEST_FIELD] if value else None


def _trace_id(entry: Entry) -> str | None:
    text = entry.trace_id.w3c if entry.trace_id else None
    return text if text and _TRACE_ID.fullmatch(text) and text.strip("0") else None


def _request_start_us(value: HeaderValue) -> int | None:
    """Read `t=1795460243518000` (our edge, microseconds) or nginx's `t=1795460243.518`; else None."""
    found = _START.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    if found[2]:
        return int(found[1]) * 1_000_000 + int(found[2].ljust(6, "0"))
    return int(found[1]) if len(found[1]) == 16 else None  # noqa: PLR2004 -- digits of microseconds now


def _ms_to_us(value: float | None) -> int | None:
    return int(value * 1000) if value is not None and 0 < value < 1 << 43 else None


def _integer(value: int | str | None) -> int | None:
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None  # noqa: PLR2004
    return value if value is not None and 0 <= value < 1 << 53 else None


def _upstream_status(value: str | int | list[int | str] | None) -> tuple[str, ...]:
    """Read nginx's list, one per try: `502, 200`; ` : ` stands between internal redirects."""
    if not value:
        return ()
    if isinstance(value, list):
        return tuple(str(part)[:8] for part in value[:_MOST_TRIES])
    parts = str(value).replace(" : ", ", ").split(", ")
    return tuple(part[:8] for part in parts[:_MOST_TRIES])


def _is_anonymous(entry: Entry, headers: Headers) -> bool:
    if _first(headers.x_anonymous_consumer) == "true":
        return True
    return entry.consumer is not None and entry.authenticated_entity is None


def _claim(entry: Entry) -> str | None:
    for name in ("sub", "client_id", "azp"):
        subject = (entry.claims or {}).get(name)
        if isinstance(subject, str) and subject:
            return subject[:_LONGEST_ID]
    return None


def _try(attempted: Attempted) -> Try:
    """Read one try; nanoseconds are printed with 14 digits, which is finer than the milliseconds beside."""
    start_ns, latency_ns = attempted.balancer_start_ns, attempted.balancer_latency_ns
    return Try(
        ip=attempted.ip,
        port=attempted.port,
        state=attempted.state,
        code=attempted.code,
        started_us=int(start_ns // 1000) if start_ns else _ms_to_us(attempted.balancer_start),
        balancer_ms=latency_ns / 1e6 if latency_ns is not None else _known(attempted.balancer_latency),
    )


def _content_hash(
    entry: Entry, request: Request, request_ids: tuple[str, ...], tries: list[Attempted] | tuple[()]
) -> int:
    """Tell requests apart before Kong 3.5, which has no id of its own: by what only one request can share."""
    response = entry.response or _NO_RESPONSE
    return identity_hash(
        *request_ids,
        str(entry.started_at),
        str(entry.client_ip),
        str(request.method),
        str(request.uri),
        str(response.status),
        str(response.size),
        *(f"{attempted.ip}:{attempted.port}@{attempted.balancer_start}" for attempted in tries),
    )

"""From a decoded http-log entry to a gateway record.

On the hot path: the record is filled by position, since named arguments cost msgspec four times as much, and what
usually is (a string, a number in range) is asked for in place; `kong_values.py` reads what is not.
"""

from __future__ import annotations

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kong_entry import (
    NO_CONSUMER,
    NO_CREDENTIAL,
    NO_HEADERS,
    NO_LATENCIES,
    NO_NAME,
    NO_RESPONSE,
    NO_RESPONSE_HEADERS,
    Entry,
    HeaderValue,
    Request,
)
from pipeline.formats.kong_values import (
    LONGEST_ID,
    LONGEST_MS,
    MOST_TRIES,
    claimed_subject,
    content_hash,
    first,
    kong_apart,
    ms_to_us,
    read_try,
    request_start_us,
    size,
    trace_id,
    upstream_statuses,
)
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import split_target
from pipeline.formats.text import LARGEST, LARGEST_STATUS, has_control, joined_hash
from pipeline.model import GatewayRecord

_MOST_IDS = 16


class RecordBuilder:
    """Makes gateway records."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def build(
        self, entry: Entry, request: Request, offset: int, peer: str, flags: list[str]
    ) -> GatewayRecord:
        """Make one.

        Raises:
            MalformedLine: Without a start time an entry has no place.
        """
        started_us = ms_to_us(entry.started_at)
        if started_us is None:
            raise MalformedLine("no_date", "started_at is missing or not a number of milliseconds")
        redactor, tls, client_ip = self._redactor, request.tls, entry.client_ip
        headers, response = request.headers or NO_HEADERS, entry.response or NO_RESPONSE
        latencies, answered = entry.latencies or NO_LATENCIES, response.headers or NO_RESPONSE_HEADERS
        service, route = entry.service or NO_NAME, entry.route or NO_NAME
        tries = entry.tries if type(entry.tries) is list else ()

        sent_id, correlation_id = headers.x_request_id, entry.correlation_id
        request_ids = self._ids(sent_id) or self._ids(correlation_id)
        if len(request_ids) > 1:
            flags.append(flag.ID_LIST)
        if correlation_id:
            is_sent = correlation_id == sent_id
            correlation_id = request_ids[0] if is_sent else redactor.identifier(correlation_id[:LONGEST_ID])
        gateway_id = request.id or first(answered.x_kong_request_id) or ""
        attempt_id = (
            joined_hash(gateway_id) if gateway_id else content_hash(entry, request, request_ids, tries)
        )
        parent, sent_us = headers.traceparent, headers.x_request_start
        traceparent = parent if type(parent) is str else first(parent)

        uri, url, upstream_uri = request.uri or "", request.url or "", entry.upstream_uri
        if uri[:1] == "/" and "#" not in uri:
            path, _, query = uri.partition("?")
        else:
            path, query = [part or "" for part in split_target(uri)[2:]]
        agent, authority = headers.user_agent, headers.host
        user_agent = agent if type(agent) is str else first(agent)
        host = authority if type(authority) is str else first(authority)
        if has_control(path) or has_control(user_agent or ""):
            flags.append(flag.CONTROL_CHARS)
        shown_path = redactor.path(path) if path else None
        is_passed = upstream_uri and upstream_uri == path and "@" not in upstream_uri

        kong_ms, proxy_ms = latencies.kong, latencies.proxy
        receive_ms, request_ms = latencies.receive, latencies.request
        kong_ms = kong_ms if kong_ms is not None and 0 <= kong_ms < LONGEST_MS else None
        receive_ms = receive_ms if receive_ms is not None and 0 <= receive_ms < LONGEST_MS else None
        if receive_ms is None and kong_ms is not None:
            kong_ms, receive_ms = kong_apart(kong_ms, answered)
        status, sent, given = response.status, request.size, response.size
        request_bytes = sent if type(sent) is int and 0 <= sent <= LARGEST else size(sent)
        response_bytes = given if type(given) is int and 0 <= given <= LARGEST else size(given)

        consumer, credential = entry.consumer, entry.authenticated_entity
        named, proven = consumer or NO_CONSUMER, credential or NO_CREDENTIAL
        consumer_id, consumer_name, custom_id = named.id, named.username, named.custom_id
        credential_id, subject = proven.id, claimed_subject(entry.claims) if entry.claims else None
        if consumer is None:
            consumer_id = proven.consumer_id
        if redactor.hides_users:
            consumer_id, consumer_name, custom_id, credential_id, subject = map(
                redactor.user, (consumer_id, consumer_name, custom_id, credential_id, subject)
            )
        return GatewayRecord(
            attempt_id,  # attempt_id
            offset,  # offset
            request_ids,  # request_ids
            started_us,  # started_us
            redactor.identifier(gateway_id[:LONGEST_ID]) if gateway_id else None,  # gateway_request_id
            correlation_id or None,  # correlation_id
            trace_id(entry.trace_id) if entry.trace_id else None,  # trace_id
            redactor.identifier(traceparent[:LONGEST_ID]) if traceparent else None,  # traceparent
            request_start_us(sent_us) if sent_us else None,  # request_start_us
            peer or None,  # node
            kong_ms,  # kong_ms
            proxy_ms if proxy_ms is not None and 0 <= proxy_ms < LONGEST_MS else None,  # proxy_ms
            receive_ms,  # receive_ms
            request_ms if request_ms is not None and 0 <= request_ms < LONGEST_MS else None,  # request_ms
            status if status is not None and 0 <= status <= LARGEST_STATUS else None,  # status
            entry.source,  # source
            request.method,  # method
            "https" if url[:8] == "https://" else url.partition("://")[0][:16] or None,  # scheme
            redactor.clean(host.rpartition("@")[2] if "@" in host else host) if host else None,  # host
            shown_path,  # path
            redactor.query(query) if query else None,  # query
            redactor.clean(user_agent) if user_agent else None,  # user_agent
            shown_path if is_passed else redactor.uri(upstream_uri) if upstream_uri else None,  # upstream_uri
            upstream_statuses(entry.upstream_status),  # upstream_status
            request_bytes,  # request_bytes
            response_bytes,  # response_bytes
            redactor.address(client_ip) if redactor.hides_addresses else client_ip,  # client_ip
            service.name or service.id,  # service
            service.id,  # service_id
            route.name or route.id,  # route
            route.id,  # route_id
            entry.workspace_name or entry.workspace,  # workspace
            consumer_id,  # consumer_id
            consumer_name,  # consumer_name
            custom_id,  # custom_id
            credential_id,  # credential_id
            (consumer is not None and credential is None)
            or first(headers.x_anonymous_consumer) == "true",  # anonymous
            subject,  # claim_subject
            tls.version if tls else None,  # tls_version
            tls.cipher if tls else None,  # tls_cipher
            (read_try(tries[0]),) if len(tries) == 1 else tuple(map(read_try, tries[:MOST_TRIES])),  # tries
            tuple(sorted(set(flags))) if flags else (),  # flags
        )

    def _ids(self, value: HeaderValue) -> tuple[str, ...]:
        """Give the candidates of join key A: each element of a list is one; a comma in one is its own text."""
        identifier = self._redactor.identifier
        if type(value) is str:
            return (identifier(value[:LONGEST_ID]),) if value else ()
        return tuple(identifier(text[:LONGEST_ID]) for text in value[-_MOST_IDS:] if text) if value else ()

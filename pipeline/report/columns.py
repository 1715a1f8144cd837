"""PURE: the columns of an access report: who asked for what, when, what proves it, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Document = Mapping[str, Any]
"""A lineage as `pipeline.document` gives it."""


class Column(NamedTuple):
    """One column."""

    name: str
    kind: str
    """ClickHouse's name of the type, without `Nullable`: what Parquet gets."""
    value: Callable[[Document], Any]
    meaning: str


def _at(*path: str) -> Callable[[Document], Any]:
    def value(document: Document) -> Any:  # noqa: ANN401 -- a leaf of a JSON tree
        found: Any = document
        for name in path:
            found = found[name] if found else None
        return found

    return value


def _attempt(name: str) -> Callable[[Document], Any]:
    """Give a field of the attempt that the client got the answer of, else of the last."""

    def value(document: Document) -> Any:  # noqa: ANN401 -- a leaf of a JSON tree
        attempts = document["attempts"]
        shown = next((one for one in attempts if one["delivered"]), attempts[-1] if attempts else {})
        return shown.get(name)

    return value


def _joined(values: Callable[[Document], Any]) -> Callable[[Document], str]:
    return lambda document: " ".join(value or "-" for value in values(document))


def _text(name: str, *path: str, meaning: str) -> Column:
    return Column(name, "String", _at(*path), meaning)


COLUMNS = (
    Column("start_time", "DateTime64(6, 'UTC')", _at("start_time"), "First byte of the request, UTC"),
    Column("duration_ms", "Float64", _at("duration_ms"), "From then to the last byte of the answer"),
    _text("request_id", "request_id", meaning="Id that the edge gave to the request"),
    _text("trace_id", "trace_id", meaning="W3C trace id"),
    _text(
        "identity_kind", "identity", "kind", meaning="consumer, credential, claim, mtls, anonymous or none"
    ),
    _text("consumer_name", "identity", "consumer_name", meaning="Who it was, as the gateway proved"),
    _text("consumer_id", "identity", "consumer_id", meaning="The gateway's id of the consumer"),
    _text("custom_id", "identity", "custom_id", meaning="The consumer's id in a system of yours"),
    _text("credential_id", "identity", "credential_id", meaning="Id of the credential that was used"),
    _text("subject", "identity", "subject", meaning="Subject of a claim or of a client certificate"),
    _text("proof", "identity", "proof", meaning="What proves the identity; empty: nothing does"),
    _text("client_ip", "client_ip", meaning="Address of the client, as the edge saw it"),
    Column("client_port", "UInt16", _at("client_port"), "Port of the client"),
    _text("method", "method", meaning="Request method"),
    _text("host", "host", meaning="Host that was asked"),
    _text("path", "path", meaning="Path that was asked"),
    _text("query", "query", meaning="Query string; values of secret parameters are fingerprints"),
    Column("status", "UInt16", _at("status"), "What the client got; empty: no answer"),
    Column("service", "String", _attempt("service"), "Service of the gateway"),
    Column("route", "String", _attempt("route"), "Route of the gateway"),
    _text(
        "verdict", "verdict", "domain", meaning="Who ended it: ok, client, edge, gateway, upstream, network"
    ),
    _text("verdict_code", "verdict", "code", meaning="Why, one word"),
    _text("verdict_text", "verdict", "text", meaning="Why, one sentence"),
    _text("outcome", "outcome", meaning="Which halves are there: complete, edge_only, gateway_only"),
    _text("match", "match", meaning="What agreed: proven, matched, conflict, unmatched"),
    _text("missing", "missing", meaning="Why a half is missing"),
    Column("final", "Bool", _at("final"), "Nothing more is expected"),
    Column("attempts", "UInt32", lambda document: len(document["attempts"]), "Requests that the gateway got"),
    Column("request_bytes", "UInt64", _at("request_bytes"), "Size of the request"),
    Column("response_bytes", "UInt64", _at("response_bytes"), "Size of the answer"),
    _text("user_agent", "user_agent", meaning="What the client calls itself"),
    _text("edge_node", "edge", "node", meaning="Node of the edge"),
    _text("termination", "edge", "termination", meaning="HAProxy's termination state"),
    Column(
        "gateway_request_ids",
        "String",
        _joined(lambda document: [attempt["gateway_request_id"] for attempt in document["attempts"]]),
        "The gateway's ids, oldest attempt first",
    ),
    _text(
        "claimed_request_id", "edge", "claimed", "request_id", meaning="What the client sent as request id"
    ),
    Column("flags", "String", _joined(_at("flags")), "What is odd about it"),
)


def row_of(document: Document) -> list[Any]:
    """Give a lineage's values, in the order of `COLUMNS`; None where nothing is known."""
    return [column.value(document) for column in COLUMNS]

"""PURE: requests' spans put together as export requests of bounded size; a request is never cut in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline import __version__
from pipeline.spans.lineage import Built
from pipeline.spans.wire import resource, resource_spans, scope

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
_SCOPE = scope("hoptrail", __version__)
MOST_BYTES = 2**20
"""Spans in a frame, as a rule: gRPC receivers take 4 MiB unless told otherwise."""


class Frame(NamedTuple):
    """An `ExportTraceServiceRequest`, ready to be sent."""

    body: bytes
    spans: int


class Framer:
    """Gathers the spans of requests; a frame's resources stand in the order in which they came.

    Each request's first span is its root, and the edge's come before the gateway's. No frame holds more than
    `most_bytes` of spans, unless a single request does.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._groups: dict[tuple[str, str | None], list[bytes]] = {}
        self._size = 0
        self._spans = 0
        self._done: list[Frame] = []

    def add(self, spans: Sequence[Built]) -> None:
        """Take the spans of one request."""
        size = sum([len(span.body) for span in spans])
        if self._size + size > self._most_bytes:
            self._close()
        groups = self._groups
        for service, node, _, body in spans:
            group = groups.get((service, node))
            if group is None:
                group = groups[service, node] = []
            group.append(body)
        self._size += size
        self._spans += len(spans)

    def take(self) -> list[Frame]:
        """Give all frames, and begin anew."""
        self._close()
        done, self._done = self._done, []
        return done

    def _close(self) -> None:
        if self._spans:
            self._done.append(Frame(b"".join(self._parts()), self._spans))
        self._groups, self._size, self._spans = {}, 0, 0

    def _parts(self) -> Iterator[bytes]:
        for (service, node), spans in self._groups.items():
            yield resource_spans(_resource(service, node), _SCOPE, SCHEMA_URL, spans)


@lru_cache(maxsize=1024)
def _resource(service: str, node: str | None) -> bytes:
    """Write a resource: which program, and which instance of it."""
    attributes = [("service.name", service)]
    if node:
        attributes += [("service.instance.id", node), ("host.name", node)]
    return resource(attributes)

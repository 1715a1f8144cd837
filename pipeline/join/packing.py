"""How halves that wait for long are kept small: a record as it came takes three times its packed form.

A half whose other one comes at once is never packed: packing and unpacking would cost as much as the rest of
the join. What the operator chose, and not a client, is the same in many records, and is kept once.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from pipeline.join.index import Waiting
from pipeline.model import EdgeRecord, GatewayRecord

_R = TypeVar("_R", EdgeRecord, GatewayRecord)
_encode = msgspec.msgpack.Encoder().encode

_MOST_SHARED = 65_536
_NOT_SHARED = -1


class _Packer(Generic[_R]):
    """Packs records of one kind.

    Args:
        kind: Its struct.
        shared: Fields that are the same in many records, and may be None.
    """

    def __init__(self, kind: type[_R], *shared: str) -> None:
        self._kind: type[_R] = kind
        self._shared = shared
        self._values = attrgetter(*shared)
        self._blank = dict.fromkeys(shared)
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._by_number: list[dict[str, Any]] = []
        self._decode = msgspec.msgpack.Decoder(tuple[int, kind]).decode  # type: ignore[valid-type] # known at run time

    def pack(self, record: _R) -> bytes:
        """Pack a record; raises for what cannot be packed."""
        values = self._values(record)
        number = self._numbers.get(values)
        if number is None:
            if len(self._by_number) >= _MOST_SHARED:
                return _encode((_NOT_SHARED, record))
            number = self._numbers[values] = len(self._by_number)
            self._by_number.append(dict(zip(self._shared, values, strict=True)))
        return _encode((number, replace(record, **self._blank)))

    def unpack(self, packed: bytes) -> _R:
        """Give the record back.

        Raises:
            msgspec.MsgspecError: It holds a value of a wrong type.
        """
        number, record = self._decode(packed)
        unpacked: _R = record if number == _NOT_SHARED else replace(record, **self._by_number[number])
        return unpacked

    def salvage(self, packed: bytes) -> _R:
        """Give the record back without looking at the types of its values."""
        number, values = msgspec.msgpack.decode(packed)
        fields = dict(zip(self._kind.__struct_fields__, values, strict=True))
        return self._kind(**fields | (self._by_number[number] if number != _NOT_SHARED else {}))


class Packing:
    """Packs what waits in one joiner; what is the same in many records is kept for as long as it lives."""

    def __init__(self) -> None:
        self._edges = _Packer(
            EdgeRecord, "node", "frontend", "backend", "server", "server_ip", "server_port", "termination",
            "scheme", "http_version", "tls_version", "tls_cipher", "pool",
        )  # fmt: skip
        self._attempts = _Packer(
            GatewayRecord,
            "node",
            "source",
            "scheme",
            "service",
            "service_id",
            "route",
            "route_id",
            "workspace",
        )

    def pack(self, waiting: Waiting) -> None:
        """Pack what is not packed yet.

        Raises:
            Exception: A record holds what cannot be packed; nothing has changed.
        """
        pack_edge, pack_attempt = self._edges.pack, self._attempts.pack
        edges = tuple([one if type(one) is bytes else pack_edge(one) for one in waiting.edges])  # type: ignore[arg-type] # narrowed by `type() is`
        waiting.attempts = tuple(
            [one if type(one) is bytes else pack_attempt(one) for one in waiting.attempts]  # type: ignore[arg-type] # as above
        )
        waiting.edges = edges

    def edges_of(self, waiting: Waiting) -> list[EdgeRecord]:
        """Give its edge records.

        Raises:
            msgspec.MsgspecError: One cannot be read back.
        """
        unpack = self._edges.unpack
        return [unpack(one) if type(one) is bytes else one for one in waiting.edges]  # type: ignore[misc] # as above

    def attempts_of(self, waiting: Waiting) -> list[GatewayRecord]:
        """Give its gateway records.

        Raises:
            msgspec.MsgspecError: One cannot be read back.
        """
        unpack = self._attempts.unpack
        return [unpack(one) if type(one) is bytes else one for one in waiting.attempts]  # type: ignore[misc] # as above

    def salvaged(self, waiting: Waiting) -> tuple[list[EdgeRecord], list[GatewayRecord]]:
        """Give records that cannot be packed or read back, as far as they can be told."""
        edge, attempt = self._edges.salvage, self._attempts.salvage
        return (
            [edge(one) if type(one) is bytes else one for one in waiting.edges],  # type: ignore[misc] # as above
            [attempt(one) if type(one) is bytes else one for one in waiting.attempts],  # type: ignore[misc] # as above
        )

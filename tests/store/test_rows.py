"""What is written comes back equal, whatever it holds."""

import typing
from collections.abc import Iterable, Sequence
from types import UnionType

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model import EdgeRecord, GatewayRecord, Identity, Lineage, Timers, Try, Verdict
from pipeline.store.columns import ATTEMPT, EDGE, ROW, TRY, Column
from pipeline.store.connection import Connection
from pipeline.store.rows import Row, encode_lineages
from pipeline.store.statements import FORMAT, TABLE, insert_statement, select_list, structure
from pipeline.store.stored_rows import decode_lineages, read_lineages, without_absorbed


def put(connection: Connection, rows: Sequence[Lineage]) -> None:
    connection.insert(insert_statement, structure(), [encode_lineages(rows)])


def key_of(row: Lineage) -> tuple[int, str, int]:
    return row.bucket_s, row.request_id, row.rec_id


def by_key(rows: Iterable[Lineage]) -> dict[tuple[int, str, int], Lineage]:
    return {key_of(row): row for row in rows}


def test_the_corpus_comes_back_equal(connection: Connection, corpus: list[Lineage]) -> None:
    put(connection, corpus)
    buckets = sorted({row.bucket_s for row in corpus})
    found = read_lineages(connection.client, "bucket IN {b:Array(UInt32)}", {"b": buckets})
    assert by_key(found) == by_key(corpus)
    assert len(found) == len(corpus)


def test_captured_oddities_come_back_equal(connection: Connection, captured: list[Lineage]) -> None:
    assert len(captured) > 100
    rows = [msgspec.structs.replace(row, bucket_s=number) for number, row in enumerate(captured)]
    put(connection, rows)
    found = read_all(connection, f"bucket < {len(rows)}")
    assert sorted(found, key=key_of) == rows
    assert msgspec.convert(msgspec.to_builtins(found), list[Lineage]) == found, "a value has another type"


@pytest.mark.parametrize(
    ("struct", "columns"),
    [(EdgeRecord, EDGE), (GatewayRecord, ATTEMPT), (Try, TRY)],
)
def test_every_field_of_a_record_has_its_column_in_order(
    struct: type[msgspec.Struct], columns: tuple[Column, ...]
) -> None:
    fields = [column.field for column in columns]
    flat = list(dict.fromkeys(field.partition(".")[0] for field in fields))
    assert flat == list(struct.__struct_fields__)


def test_every_field_of_a_lineage_is_stored() -> None:
    sent = {column.field.partition(".")[0] for column in ROW} | {"edge", "attempts"}
    assert sent == set(Lineage.__struct_fields__)
    assert {c.field for c in ROW if c.field.startswith("identity.")} == {
        f"identity.{name}" for name in Identity.__struct_fields__
    }
    assert len(Row.__struct_fields__) == len(ROW) + 2


# Text as the formats promise it: Unicode without surrogates, never empty where it may be None.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["\x00", "\\N", "null", "'", '"', "`", "\\", "\n", "\u2028", "\U0001f40d", "[1,2]", "NaN"]
)
times = st.integers(1, 4_000_000_000_000_000)
sizes = st.integers(0, 2**53 - 1)
smalls = st.integers(1, 999)
reals = st.floats(0, 1e12) | st.integers(0, 2**31).map(float)
ids = st.integers(1, 2**64 - 1)
_SPECIAL = {
    "offset": st.integers(0, 2**62),
    "rec_id": ids,
    "attempt_id": ids,
    "start_us": times,
    "started_us": times,
    "retries": st.integers(0, 2**31),
}


def _values(name: str, kind: object) -> st.SearchStrategy[object]:
    if name in _SPECIAL and kind is int:
        return _SPECIAL[name]
    if isinstance(kind, UnionType):
        (inner,) = (one for one in typing.get_args(kind) if one is not type(None))
        return st.none() | _values(name, inner)
    if kind is int:
        if name.endswith("_us"):
            return times
        return smalls if name in {"pid", "status", "code"} or name.endswith("port") else sizes
    simple: dict[object, st.SearchStrategy[object]] = {
        str: texts,
        float: reals,
        bool: st.booleans(),
        tuple[str, ...]: st.lists(texts, max_size=3).map(tuple),
        tuple[tuple[str, str], ...]: st.dictionaries(texts, texts, max_size=3).map(
            lambda pairs: tuple(pairs.items())
        ),
        Timers: st.builds(Timers, *[st.none() | st.integers(0, 2**31)] * 8),
        tuple[Try, ...]: st.lists(structs(Try), max_size=3).map(tuple) if name == "tries" else st.nothing(),
    }
    return simple[kind]


def structs(struct: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    hints = typing.get_type_hints(struct)
    return st.fixed_dictionaries({name: _values(name, hints[name]) for name in struct.__struct_fields__}).map(
        lambda fields: struct(**fields)
    )


def _lineage(
    edge: EdgeRecord | None, attempts: list[GatewayRecord], fields: dict[str, typing.Any]
) -> Lineage:
    return Lineage(
        request_id=edge.request_id if edge else fields["name"],
        rec_id=edge.rec_id if edge else 0,
        edge=edge,
        attempts=tuple(attempts),
        identity=fields["identity"],
        verdict=Verdict(*fields["words"][:3]),
        outcome="edge_only" if not attempts else "complete" if edge else "gateway_only",
        **{name: fields[name] for name in ("bucket_s", "rev", "match", "missing", "final", "delivered")},
        **{name: fields[name] for name in ("trace_id", "trace_id_source", "flags", "clock_offset_ms")},
    )


lineages = st.builds(
    _lineage,
    st.none() | structs(EdgeRecord),
    st.lists(structs(GatewayRecord), min_size=1, max_size=3),
    st.fixed_dictionaries(
        {
            "bucket_s": st.integers(100_000, 2**32 - 1),
            "name": texts,
            "rev": st.integers(1, 2**31),
            "match": texts,
            "missing": st.none() | texts,
            "final": st.booleans(),
            "delivered": st.none() | st.integers(0, 60_000),
            "trace_id": st.none() | texts,
            "trace_id_source": st.none() | texts,
            "flags": st.lists(texts, max_size=3).map(tuple),
            "clock_offset_ms": st.none() | st.floats(-1e9, 1e9),
            "identity": structs(Identity),
            "words": st.lists(texts, min_size=3, max_size=3),
        }
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(lineages, min_size=1, max_size=8, unique_by=key_of))
def test_any_lineage_comes_back_equal(connection: Connection, rows: list[Lineage]) -> None:
    connection.client.command("TRUNCATE TABLE lineage_rows")
    put(connection, rows)
    assert by_key(read_all(connection)) == by_key(rows)


def read_all(connection: Connection, where: str = "1") -> list[Lineage]:
    """Read as `read_lineages` does, without hiding orphans."""
    query = f"SELECT {select_list()} FROM {TABLE} FINAL WHERE {where}"
    return decode_lineages(connection.client.raw_query(query, fmt=FORMAT))


def test_an_orphan_is_hidden_where_all_its_attempts_stand_beside_an_edge_record(
    corpus: list[Lineage],
) -> None:
    whole = next(row for row in corpus if row.outcome == "complete")
    orphan = msgspec.structs.replace(whole, edge=None, rec_id=1, outcome="gateway_only")
    assert without_absorbed([orphan, whole]) == [whole]
    assert without_absorbed([orphan]) == [orphan]
    stranger = msgspec.structs.replace(whole.attempts[0], attempt_id=5)
    partly = msgspec.structs.replace(orphan, attempts=(*orphan.attempts, stranger))
    assert without_absorbed([partly, whole]) == [partly, whole]


@pytest.mark.parametrize(
    "change",
    [{"bucket_s": -1}, {"bucket_s": 2**32}, {"request_id": "\ud800"}, {"trace_id": "\udfff"}],
)
def test_what_json_or_a_bucket_cannot_carry_is_a_value_error(
    corpus: list[Lineage], change: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"bucket|surrogate|utf"):
        encode_lineages([msgspec.structs.replace(corpus[0], **change)])

"""Rows that are encoded already are found by their ids, and come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Lineage
from pipeline.store.rows import decode_sent, encode_lineages
from pipeline.store.sent_ids import decode_sharing


def test_what_is_sent_can_be_read_back(corpus: list[Lineage], captured: list[Lineage]) -> None:
    rows = [*corpus, *captured]
    assert decode_sent(encode_lineages(rows)) == rows


def test_each_row_is_found_by_each_of_its_ids_and_by_no_others(
    corpus: list[Lineage], captured: list[Lineage]
) -> None:
    rows = [*corpus[:40], *captured]
    lines = encode_lineages(rows)
    for row in rows:
        for one in row.ids():
            assert decode_sharing(lines, {one}) == [other for other in rows if one in set(other.ids())]
    assert decode_sharing(lines, {"no such id", 0, ""}) == []
    assert decode_sharing(lines, set()) == []


@given(st.data())
def test_several_ids_find_all_rows_that_have_one_of_them(corpus: list[Lineage], data: st.DataObject) -> None:
    rows = corpus[:60]
    wanted = data.draw(st.sets(st.sampled_from(sorted({str(one) for row in rows for one in row.ids()}))))
    found = decode_sharing(encode_lineages(rows), wanted)
    assert found == [row for row in rows if not wanted.isdisjoint(row.ids())]

from __future__ import annotations

import re

import pytest

from pipeline.formats.log_format import items, shapes

ALIASES_OF_THE_MANUAL = [
    "B",
    "CC",
    "CS",
    "H",
    "HM",
    "HP",
    "HPO",
    "HQ",
    "HU",
    "HV",
    "ID",
    "OG",
    "ST",
    "T",
    "Ta",
    "Tc",
    "Td",
    "Th",
    "Ti",
    "Tl",
    "TR",
    "Tq",
    "Tr",
    "Ts",
    "Tt",
    "Tu",
    "Tw",
    "U",
    "ac",
    "b",
    "bc",
    "bi",
    "bp",
    "bq",
    "ci",
    "cp",
    "f",
    "fc",
    "fi",
    "fp",
    "ft",
    "hr",
    "hrl",
    "hs",
    "hsl",
    "lc",
    "ms",
    "pid",
    "r",
    "rc",
    "rt",
    "s",
    "sc",
    "si",
    "sp",
    "sq",
    "sslc",
    "sslv",
    "t",
    "tr",
    "trg",
    "trl",
    "ts",
    "tsc",
]
"""Of 2.6 to 3.4, without `%o`."""


def test_every_alias_of_the_manual_is_known() -> None:
    assert sorted(items.ALIASES) == sorted(ALIASES_OF_THE_MANUAL)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("unique-id", "ID"), ("src", "ci"), ("src,lower", "ci"), ("src,ipmask(24)", ""), ("req.hdr(host),json(utf8s)", "host"),
        ("req.hdr(host),field(1,:)", ""), ("capture.req.uri,json(utf8s)", "HU"), ("date(0,us)", "end_us"), ("request_date(us)", "req_us"),
        ("accept_date(us)", "acc_us"), ("res.fhdr(x-kong-request-id)", "kong_rid"), ("req.hdr(x-kong-request-id)", ""),
        ("var(txn.kong_rid)", "kong_rid"), ("var(txn.traceparent)", "traceparent"), ("req.hdr(traceparent)", "claimed_traceparent"),
        ("var(txn.anything)", ""), ("txn.timer.user", "Tu"), ("bc.timer.connect", "Tc"), ("ssl_c_s_dn(CN)", "client_dn"),
    ],
)  # fmt: skip
def test_expressions_are_known_by_what_they_give(expression: str, name: str) -> None:
    assert items.item_of(expression) == name


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("req.hdr(x),json(utf8s)", shapes.JSON_STRING), ("ssl_fc_err,hex", shapes.HEX_TEXT), ("date(0,us)", shapes.FLAG_NUMBER),
        ("src", shapes.ADDRESS), ("req.hdr(x)", shapes.FREE), ("req.hdr(x),length", shapes.FLAG_NUMBER), ("uuid()", shapes.UUID),
        ("req.hdr(x),base64", shapes.BASE64), ("req.hdr(x),lower", shapes.FREE),
    ],
)  # fmt: skip
def test_expressions_write_what_their_last_converter_writes(expression: str, shape: shapes.Shape) -> None:
    assert items.shape_of(expression) == shape


def test_patterns_stay_within_their_alphabets() -> None:
    """The readers go by patterns and the proof of ambiguity by alphabets: one must cover the other."""
    everything = [chr(code) for code in range(128)] + ["é"]
    for shape in {*items.ALIASES.values(), *items.HEXADECIMAL.values()}:
        pattern = re.compile(shape.regex())
        allowed = shape.alphabet | shapes.alphabet(shape.brackets)
        for text in everything:
            if pattern.fullmatch(text) and not shape.escape:
                assert shapes.alphabet(text) & allowed

"""Formats, captures and targets of every frontend, with what they inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config import HaproxyConfig, read_haproxy_config
from pipeline.formats.log_format import BUILT_IN

ROOT = Path(__file__).parents[3]


def frontends(text: str, **environ: str) -> dict[str, object]:
    return {frontend.name: frontend for frontend in read_haproxy_config(text, environ).frontends}


def one(text: str, **environ: str) -> HaproxyConfig:
    return read_haproxy_config(text, environ)


INHERITED = """
global
    log 127.0.0.1:514 len 8000 format rfc5424 local0 info
    log ring@r len 4000 local1
defaults base
    mode http
    log global
    option httplog
    log-format "%ci one"
defaults tcp from base
    mode tcp
    option tcplog
ring r
    format rfc3164
    maxlen 2000
    server s 127.0.0.1:6514 log-proto octet-count
frontend a from base
    bind :80
frontend b from tcp
frontend c from base
    no log
    log 10.0.0.1:514 format raw sample 1:2 local3
    log stdout format short daemon
    log-format %ci\\ %ST
    error-log-format '%ci error'
    option dontlog-normal
frontend d
    no option dontlog-normal
listen e from base
    unique-id-header X-Request-ID
backend f
    log-format "never"
"""


def test_sections_inherit_from_the_defaults_that_they_name_or_the_last() -> None:
    config = one(INHERITED)
    assert [frontend.name for frontend in config.frontends] == ["a", "b", "c", "d", "e"]
    a, b, c, d, e = config.frontends
    assert (a.mode, a.log_format) == ("http", "%ci one")
    assert (b.mode, b.log_format) == ("tcp", "tcplog")
    assert (c.log_format, c.error_log_format) == ("%ci %ST", "%ci error")
    assert (d.mode, d.log_format) == ("tcp", "tcplog")
    assert e.options == {"unique-id-header"}
    assert any("unique-id-header adds" in note for note in e.notes)


def test_targets_are_those_in_force_and_a_ring_has_its_own_format() -> None:
    a, _, c, *_ = one(INHERITED).frontends
    assert [(target.address, target.format, target.length) for target in a.targets] == [
        ("127.0.0.1:514", "rfc5424", 8000), ("ring@r to 127.0.0.1:6514", "rfc3164", 2000),
    ]  # fmt: skip
    assert [(target.address, target.format, target.facility) for target in c.targets] == [
        ("10.0.0.1:514", "raw", "local3"), ("stdout", "short", "daemon"),
    ]  # fmt: skip
    assert any("only a sample" in note for note in c.notes)
    assert any("dontlog-normal" in note for note in c.notes)
    assert any("on every reload" in note for note in a.notes)


def test_an_http_format_falls_back_where_the_mode_is_tcp() -> None:
    (frontend,) = one("frontend f\n mode tcp\n option httplog clf\n log stdout local0").frontends
    assert frontend.log_format == "tcpclf"


RULES = """
frontend f
    mode http
    log stdout local0
    capture request header User-Agent len 64
    declare capture request len 40
    declare capture response len 40
    http-request capture req.fhdr(x-request-id) id 1
    http-request set-var(txn.ua) req.hdr(user-agent)
    http-request set-var(txn.short) req.hdr(host),field(1,.)
    http-request set-var(txn.start) date(0,us)
    http-request set-var(txn.rid) uuid()
    http-request set-header X-Request-ID %[var(txn.rid)]
    http-request set-header X-Request-Start t=%[var(txn.start)]
    http-request capture req.hdr(x-request-id) len 40
    http-response capture res.hdr(x-kong-request-id) id 0
    http-response set-var(txn.kid) res.fhdr(x-kong-request-id)
"""


def test_rules_tell_what_slots_and_variables_hold() -> None:
    (frontend,) = one(RULES).frontends
    assert frontend.request_captures == ("req.hdr(user-agent)", "req.fhdr(x-request-id)", "var(txn.rid)")
    assert frontend.response_captures == ("res.hdr(x-kong-request-id)",)
    names = frontend.names
    assert names["var(txn.ua)"] == "user_agent"
    assert names["var(txn.rid)"] == "ID"
    assert names["var(txn.start)"] == "req_us"
    assert names["var(txn.kid)"] == "kong_rid"
    assert "var(txn.short)" not in names  # what converters made of it is something else


CONDITIONAL = """
global
    presetenv WHO there
    presetenv HOME nowhere
    setenv HOW "%ci %ST"
    unsetenv GONE
.if defined(GONE)
    setenv HOW never
.elif streq("$WHO",there)
    .if version_atleast(2.4)
    setenv MORE "${HOW} ${HOME}"
    .else
    setenv MORE never
    .endif
.else
    setenv MORE never
.endif
frontend f
    mode http
    log stdout local0
    log-format "${MORE}"
    .notice "said"
"""


def test_variables_and_conditions_are_obeyed() -> None:
    (frontend,) = one(CONDITIONAL, HOME="/root", GONE="1").frontends
    assert frontend.log_format == "%ci %ST /root"


def test_haproxys_own_formats_may_be_named_by_variable() -> None:
    (frontend,) = one('frontend f\n log-format "${HAPROXY_HTTPS_LOG_FMT} %ID"').frontends
    assert frontend.log_format == BUILT_IN["httpslog"] + " %ID"


def test_log_profiles_bring_formats_of_their_own() -> None:
    text = """
log-profile json
    on close format '{"ci":"%ci","st":%ST}'
    on error format "%ci failed"
frontend f
    mode http
    log 127.0.0.1:514 format raw profile json local0
"""
    (frontend,) = one(text).frontends
    assert frontend.profiles == (("close", '{"ci":"%ci","st":%ST}'), ("error", "%ci failed"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('frontend f\n log-format "%ci', "line 2: a double quote is not closed"),
        ("frontend f\n log-format %ci %ST", "line 2: log-format takes one word"),
        (".endif", "line 1: .endif without .if"),
        (".if maybe(1)", "line 1: condition"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        one(text)


def test_our_own_edge_gives_a_lineage_all_it_wants() -> None:
    text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")
    (edge,) = one(text).frontends
    assert edge.log_format.startswith('{"v":"hap-req/1","id":"%ID"')
    assert edge.error_log_format.startswith('{"v":"hap-err/1"')
    assert edge.request_captures[3] == "req.fhdr(user-agent)"
    assert not edge.notes

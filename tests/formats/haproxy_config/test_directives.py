from __future__ import annotations

import pytest

from pipeline.formats.haproxy_config.directives import Profile, Section, obey


def obeyed(*lines: str) -> Section:
    section = Section(mode="http")
    for line in lines:
        obey(line.split(), section)
    return section


def test_own_targets_take_the_place_of_inherited_ones() -> None:
    parent = obeyed("log a local0", "log b local0")
    child = parent.copy()
    obey(["log", "c", "local0"], child)
    obey(["log", "d", "local0"], child)
    assert [target.address for target in child.targets] == ["c", "d"]
    assert [target.address for target in parent.targets] == ["a", "b"]


def test_captures_and_rules_are_not_inherited() -> None:
    parent = obeyed(
        "capture request header Host len 9",
        "http-request set-var(txn.ua) req.hdr(user-agent)",
        "log-format %ci",
    )
    child = parent.copy()
    assert (child.request_captures, child.names, child.log_format) == ([], {}, "%ci")


@pytest.mark.parametrize(
    ("line", "log_format"),
    [("option httplog", "httplog"), ("option httplog clf", "clf"), ("option tcplog", "tcplog"), ("option tcplog clf", "tcpclf"),
     ("option httpslog", "httpslog"), ("option forwardfor", "")],
)  # fmt: skip
def test_options_name_formats(line: str, log_format: str) -> None:
    assert obeyed(line).log_format == log_format


@pytest.mark.parametrize(
    "line",
    ["capture cookie A len 9", "http-request capture req.hdr(a) id 99999", "http-request capture", "http-request", "log", "mode",
     "declare capture", "option", "no", "bind :80", "http-request set-header X-Request-ID", "tcp-request content", "maxlen x"],
)  # fmt: skip
def test_half_a_line_changes_nothing(line: str) -> None:
    section = obeyed(line)
    assert section.request_captures == section.response_captures == []
    assert section.names == {}


def test_slots_stay_few() -> None:
    section = obeyed("http-request capture req.hdr(a) id 63", "http-request capture req.hdr(b) id 64")
    assert len(section.request_captures) == 64


def test_a_profile_keeps_its_formats() -> None:
    profile = Profile()
    obey(["on", "close", "drop"], profile)
    obey(["on", "any", "format", "%ci", "sd", "-"], profile)
    assert profile.formats == {"any": "%ci"}

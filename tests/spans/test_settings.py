"""Whose trace context is continued."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
Make = Callable[..., Any]
NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("context", "client_ip", "continued"),
    [
        ("restart", "10.1.2.3", False),
        ("continue", "192.0.2.7", True),
        ("networks", "10.1.2.3", True),
        ("networks", "2001:db8::7", True),
        ("networks", "192.0.2.7", False),
        ("networks", None, False),
        ("networks", "unix", False),
    ],
)
def test_a_caller_is_the_parent_or_a_link(
    lineage: Make, edge: Make, spans: Make, context: str, client_ip: str | None, continued: bool
) -> None:
    record = edge(gateway_request_id=None, client_ip=client_ip, claimed_traceparent=f"00-{TRACE}-{CALLER}-01")
    (span,) = spans(lineage(record), context=context, networks=NETWORKS)
    assert span.parent_span_id.hex() == (CALLER if continued else "")
    assert [link.span_id.hex() for link in span.links] == ([] if continued else [CALLER])
    assert bool(span.flags & 0x200) is continued


def test_a_caller_of_another_trace_is_a_link_whatever_is_configured(
    lineage: Make, edge: Make, spans: Make
) -> None:
    other = "1" * 32
    record = edge(gateway_request_id=None, claimed_traceparent=f"00-{other}-{CALLER}-01")
    (span,) = spans(lineage(record), context="continue")
    assert not span.parent_span_id
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [(other, CALLER)]


def test_what_is_no_context_is_neither(lineage: Make, edge: Make, spans: Make) -> None:
    (span,) = spans(
        lineage(edge(gateway_request_id=None, claimed_traceparent="x' OR 1=1")), context="continue"
    )
    assert not span.parent_span_id
    assert not span.links


def test_a_caller_of_the_gateway_itself_is_continued_too(lineage: Make, attempt: Make, spans: Make) -> None:
    past = attempt(request_ids=(), traceparent=f"00-{TRACE}-{CALLER}-01")
    gateway, _ = spans(lineage(None, past), context="continue")
    assert gateway.parent_span_id.hex() == CALLER
    gateway, _ = spans(lineage(None, past))
    assert not gateway.parent_span_id
    assert [link.span_id.hex() for link in gateway.links] == [CALLER]

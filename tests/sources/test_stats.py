"""What a listener counts can be seen while it counts."""

from __future__ import annotations

from pipeline.model import Source
from pipeline.sources.stats import SourceStats


def test_the_latest_arrival_over_all_listeners_of_a_source_counts() -> None:
    stats = SourceStats()
    arrivals = stats.last_arrivals_ns
    assert dict(arrivals) == {}
    udp, tcp = stats.listener("syslog_udp", Source.HAPROXY), stats.listener("syslog_tcp", Source.HAPROXY)
    http_log = stats.listener("http_log", Source.KONG)
    assert dict(arrivals) == {}
    udp.took(3, 50)
    tcp.took(1, 40)
    assert dict(arrivals) == {Source.HAPROXY: 50}
    http_log.took(2, 60)
    assert (arrivals[Source.KONG], arrivals.get(Source.HAPROXY), len(arrivals)) == (60, 50, 2)


def test_a_listener_that_starts_again_goes_on_counting() -> None:
    stats = SourceStats()
    stats.listener("syslog_udp", Source.HAPROXY).took(3, 50)
    stats.listener("syslog_udp", Source.HAPROXY).took(4, 60)
    assert stats.listeners["syslog_udp"].records == 7

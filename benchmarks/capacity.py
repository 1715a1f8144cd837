"""What `deploy/CAPACITY.md` works out of the figures that stand at its top: `--write` writes it anew.

A figure is measured and put into the table by hand; everything between two marks of the page is made here, and a test
compares. So another machine's figures, or a faster join, change one table and no arithmetic.
"""

# ruff: noqa: RUF001 -- it writes a page for people, with the signs that they read

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "deploy" / "CAPACITY.md"
RATES = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000}
_LOAD = 0.6
"""Share of a core that is planned for."""
_WINDOW_S = 30
_COPIES = 3
_DAY_S = 86_400
_GB = 1e9
_DISK_BYTES_S = 150e6
"""What one broker's disks are planned to write."""
_BUFFER_BYTES = 64 * 2**20
"""`bus.kafka.buffer_bytes` unless told."""
_SERVE_AT_MOST = 10_000
"""Requests a second from which on one `serve` is at its limit, and Kafka is planned."""


class Figures:
    """The measured figures, by name.

    Args:
        values: As the page has them.
    """

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> float:
        """Give one; raises KeyError where the page has none."""
        return self._values[name]

    @property
    def ingest_us(self) -> float:
        """Processor time of an ingest process for one request: a line and an entry."""
        return 2 * (self["receive_us"] + self["ingest_us"])

    @property
    def join_us(self) -> float:
        """Processor time of a join process for one request."""
        return 2 * self["join_us"]

    @property
    def request_bytes(self) -> float:
        """What a request's records take, raw."""
        return self["edge_bytes"] + self["gateway_bytes"]

    @property
    def kept_bytes(self) -> float:
        """What they take in Kafka, one copy."""
        return self.request_bytes * self["compressed_share"]


def read_figures(page: str) -> Figures:
    """Read the table of figures: name in code, value, where it is from."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", page, re.MULTILINE)
    return Figures({name: float(value.replace(",", "")) for name, value in rows})


def costs(figures: Figures) -> Iterator[str]:
    """Work out what a request costs, and how many a core takes."""
    per_core = {"ingest": _per_core(figures.ingest_us), "join": _per_core(figures.join_us)}
    yield "| step | processor time a request | a core at 60 % takes |"
    yield "|---|---|---|"
    yield (
        f"| ingest | 2 × ({figures['receive_us']:g} + {figures['ingest_us']:g}) = {figures.ingest_us:.1f} µs "
        f"| 0.6 s / {figures.ingest_us:.1f} µs = {per_core['ingest']:,.0f} requests a second |"
    )
    yield (
        f"| the same on the journal | 2 × ({figures['receive_us']:g} + {figures['journal_us']:g}) = "
        f"{2 * (figures['receive_us'] + figures['journal_us']):.1f} µs | |"
    )
    yield (
        f"| join | 2 × {figures['join_us']:g} = {figures.join_us:.1f} µs "
        f"| 0.6 s / {figures.join_us:.1f} µs = {per_core['join']:,.0f} |"
    )
    yield f"| join, each record looked up | 2 × {figures['join_lookup_us']:g} = {2 * figures['join_lookup_us']:.0f} µs | {_per_core(2 * figures['join_lookup_us']):,.0f} |"
    yield f"| ClickHouse server | {figures['clickhouse_us']:g} µs | {_per_core(figures['clickhouse_us']):,.0f} |"
    yield ""
    yield (
        f"Bytes a request: {figures['edge_bytes']:g} + {figures['gateway_bytes']:g} = {figures.request_bytes:,.0f} raw, "
        f"× {figures['compressed_share']:g} = {figures.kept_bytes:,.0f} compressed on Kafka, × {_COPIES} copies = "
        f"{_COPIES * figures.kept_bytes:,.0f} on disks; over networks {figures.kept_bytes:,.0f} × (1 in + "
        f"{_COPIES - 1} between brokers + 1 out)."
    )


def plan(figures: Figures) -> Iterator[str]:
    """Work out what each rate needs."""
    columns = [_column(figures, rate) for rate in RATES.values()]
    yield f"| requests a second | {' | '.join(RATES)} |"
    yield f"|---|{'---|' * len(RATES)}"
    for name in columns[0]:
        yield f"| {name} | {' | '.join(column[name] for column in columns)} |"


def _column(figures: Figures, rate: int) -> dict[str, str]:
    """Work out one rate."""
    ingest = _processes(rate, _per_core(figures.ingest_us))
    join = _processes(rate, _per_core(figures.join_us))
    joins = join + _spare(join, 4)
    written = rate * figures.kept_bytes
    inserts = rate * figures["clickhouse_us"] / 1e6
    is_small = rate < _SERVE_AT_MOST
    return {
        "form": "one `serve`, journal" if is_small else "Kafka",
        "ingest processes, and spare": "–" if is_small else f"{ingest} + {_spare(ingest, 8)}",
        "join processes, and spare": "–" if is_small else f"{join} + {joins - join}",
        "partitions": "–" if is_small else str(_partitions(joins)),
        "into Kafka, compressed": "–" if is_small else f"{written / 1e6:,.1f} MB/s",
        "brokers": "–" if is_small else str(max(3, math.ceil(_COPIES * written / _DISK_BYTES_S))),
        "disk on Kafka, 72 h": "–" if is_small else f"{written * 3 * _DAY_S * _COPIES / 1e12:,.1f} TB",
        "memory of what waits, if one side's logs stop": _size(rate * _WINDOW_S * figures["waiting_bytes"]),
        "ClickHouse: cores of inserts": f"{inserts:.2g}",
        "ClickHouse: shards, 2 copies each": "embedded" if is_small else str(max(1, math.ceil(inserts))),
        "rows a day": f"{rate * _DAY_S / 1e6:,.0f} M",
    }


def troubles(figures: Figures) -> Iterator[str]:
    """Work out how long what breaks takes to mend."""
    core = _per_core(figures.ingest_us)
    per_second = core * figures["edge_bytes"]
    yield "| trouble | arithmetic | |"
    yield "|---|---|---|"
    yield f"| one of four joins is lost | 60 % × 4 / 3 | the others at {_LOAD * 400 / 3:.0f} % |"
    yield f"| an hour without a store, then catching up | 3,600 s × 0.6 / 0.4 | {_minutes(_LOAD / (1 - _LOAD))} |"
    yield f"| the same with joins planned at 50 % | 3,600 s × 0.5 / 0.5 | {_minutes(1.0)} |"
    yield f"| the same with twice the joins for the time | 3,600 s × 0.6 / (2 − 0.6) | {_minutes(_LOAD / (2 - _LOAD))} |"
    for size, name in ((_BUFFER_BYTES, "64 MiB, the default"), (2**30, "1 GiB")):
        yield (
            f"| no broker acknowledges: datagrams held by one ingest, `buffer_bytes` {name} "
            f"| {size / 1e6:,.0f} MB / ({core:,.0f} × {figures['edge_bytes']:g} B) | {size / per_second:.0f} s |"
        )


def scaling(figures: Figures) -> Iterator[str]:
    """Lay out what 1, 2 and 4 processes did on one machine."""
    yield "| join processes | records a second | to one | processor time a record, all together |"
    yield "|---|---|---|---|"
    for count in (1, 2, 4):
        rate = figures[f"joins_{count}_records_s"]
        yield (
            f"| {count} | {rate:,.0f} | {rate / figures['joins_1_records_s']:.2f} × "
            f"| {figures[f'joins_{count}_us']:g} µs |"
        )


PARTS = {"costs": costs, "plan": plan, "troubles": troubles, "scaling": scaling}


def rendered(page: str) -> str:
    """Give the page with everything between marks worked out of its own figures."""
    figures = read_figures(page)
    for name, make in PARTS.items():
        mark = f"<!-- {name}: benchmarks/capacity.py -->"
        if page.count(mark) != 1:
            raise SystemExit(f"the page has no mark {mark}, or two")
        before, _, rest = page.partition(f"{mark}\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        page = before + f"{mark}\n" + "\n".join(make(figures)) + f"\n{end}{after}"
    return page


def _per_core(cost_us: float) -> float:
    """How many requests a second a core takes at the load that is planned for, rounded down to two digits."""
    rate = _LOAD * 1e6 / cost_us
    step = 10 ** (math.floor(math.log10(rate)) - 1)
    return math.floor(rate / step) * step


def _processes(rate: int, each: float) -> int:
    return math.ceil(rate / each)


def _spare(processes: int, share: int) -> int:
    """One process in so many, and one at least, may be away."""
    return math.ceil(processes / share)


def _partitions(joins: int) -> int:
    """Twice as many as processes at least, so that a lost one's share is spread: 12, 24, 48 and so on."""
    return int(12 * 2 ** max(0, math.ceil(math.log2(2 * joins / 12))))


def _size(count: float) -> str:
    return f"{count / _GB:,.1f} GB" if count >= _GB else f"{count / 1e6:,.0f} MB"


def _minutes(hours: float) -> str:
    return f"{60 * hours:.0f} minutes"


def main(words: Sequence[str]) -> None:
    """Print the parts, or write the page anew."""
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in words:
        PAGE.write_text(rendered(page), encoding="utf-8")
        return
    for name, make in PARTS.items():
        print(f"== {name}")
        print("\n".join(make(read_figures(page))))


if __name__ == "__main__":
    main(sys.argv[1:])

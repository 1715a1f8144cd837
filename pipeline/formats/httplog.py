"""`option httplog` and what is usually put behind it, told apart without configuration (manual 8.2.3, 8.2.4).

Header captures disappear on streamless lines and their names are not in the line, so they are passed over.
Cookie captures are the one field that HAProxy does not escape: the last place that fits is the true one,
since everything behind it is escaped.
"""

from __future__ import annotations

import re

from pipeline.formats import flags as flag

_LINE = re.compile(
    r"(?P<ci>\S+):(?P<cp>\d+) \[(?P<tr>[^\]]{20,35})\] (?P<ft>\S+) (?P<b>[^\s/]+)/(?P<s>\S+) "
    r"(?P<TR>-?\d+)/(?P<Tw>-?\d+)/(?P<Tc>-?\d+)/(?P<Tr>-?\d+)/(?P<Ta>\+?-?\d+) "
    r"(?P<ST>-?\d+) (?P<B>\+?\d+) .* (?P<tsc>[-A-Za-z]{4}) "
    r"\d+/\d+/\d+/\d+/(?P<rc>\+?\d+) \d+/\d+(?: \{[^{}]*\}){0,2} "
    r'"(?P<r>[^"]*)(?P<closed>"?)'
    r"(?: (?P<tls>\d+/[0-9A-Fa-f]+/\d+/\d+/[01]) (?P<sni>\S*)/(?P<sslv>[^\s/]+)/(?P<sslc>\S+))?"
    r"(?: (?P<ID>[^\s{}\"]+))?\s*",
    re.DOTALL,
)

_HEAD = re.compile(
    r"(?P<ci>\S+):(?P<cp>\d+) \[(?P<tr>[^\]]{20,35})\] (?P<ft>\S+) (?P<b>[^\s/]+)/(?P<s>\S+) "
    r"(?P<TR>-?\d+)/(?P<Tw>-?\d+)/(?P<Tc>-?\d+)/(?P<Tr>-?\d+)/(?P<Ta>\+?-?\d+)"
    r"(?: (?P<ST>-?\d+) (?P<B>\+?\d+)(?: .* (?P<tsc>[-A-Za-z]{4}) \d+/\d+/\d+/\d+/(?P<rc>\+?\d+))?)?",
    re.DOTALL,
)


def match_httplog(message: str, flags: set[str]) -> dict[str, str | None] | None:
    """Give the items of an httplog or httpslog line; None where it is not one.

    A line that was cut anywhere behind its timers is read as far as it goes, and flagged.
    """
    found = _LINE.fullmatch(message)
    if found is not None:
        items = found.groupdict()
        if not items["closed"]:
            flags.add(flag.TRUNCATED)
        return items
    found = _HEAD.match(message)
    if found is None:
        return None
    flags.add(flag.TRUNCATED)
    items = found.groupdict()
    if (quote := message.find('"', found.end())) >= 0:
        items["r"] = message[quote + 1 :].partition('"')[0]
    return items

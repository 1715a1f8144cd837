"""What reading a record costs: microseconds of one core, and ratios that hold on any machine.

Each figure is the best of several rounds, the kinds taken in turn, on lines that differ in what differs in life
(ids, times, ports, paths), so that no cache answers for the parser.
"""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Sequence

import orjson

from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.log_format import BUILT_IN, compile_format
from pipeline.formats.redact import Redactor

LINES = 2000
ROUNDS = 9
HEADER = "<134>1 2026-11-23T18:35:40.100151+00:00 edge-1 haproxy-edge 28764 - - "
AGENTS = [
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{number}.0 Safari/537.36"
    for number in range(100, 130)
]
PATHS = ("/orders/{0}/items", "/api/v1/user-profiles/{1}", "/search", "/static/app.{0}.js")
FORMAT = BUILT_IN["httplog"] + " %ID"
HAND_WRITTEN = re.compile(
    r"(?P<ci>[0-9a-f.:]+):(?P<cp>\d+) \[(?P<tr>[^\]]+)\] (?P<ft>\S+) (?P<b>[^/]+)/(?P<s>\S+) "
    r"(?P<TR>-?\d+)/(?P<Tw>-?\d+)/(?P<Tc>-?\d+)/(?P<Tr>-?\d+)/(?P<Ta>\+?\d+) (?P<ST>-?\d+) (?P<B>\+?\d+) (?P<CC>\S+) (?P<CS>\S+) "
    r"(?P<tsc>\S{4}) (?P<ac>\d+)/(?P<fc>\d+)/(?P<bc>\d+)/(?P<sc>\d+)/(?P<rc>\+?\d+) (?P<sq>\d+)/(?P<bq>\d+) "
    r'(?:(?P<hr>\{[^}]*\}) )?(?:(?P<hs>\{[^}]*\}) )?"(?P<r>[^"]*)" (?P<ID>\S+)'
)


def requests(chance: random.Random) -> list[dict[str, str]]:
    """Make requests that differ as those of a day do."""
    made = []
    for number in range(LINES):
        second, millisecond = 1_795_458_940 + number // 40, chance.randrange(1000)
        made.append(
            {
                "id": f"{chance.getrandbits(128):032x}"[:8] + "-fc3a-4fcb-be9d-" + f"{chance.getrandbits(48):012x}",
                "trace": f"{chance.getrandbits(128):032x}", "kong": f"{chance.getrandbits(128):032x}",
                "acc": f"{second}.{millisecond:03d}", "us": f"{second}{millisecond:03d}{chance.randrange(1000):03d}",
                "date": time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(second)) + f".{millisecond:03d}",
                "port": str(chance.randrange(20_000, 60_000)), "took": str(chance.randrange(1, 900)), "agent": chance.choice(AGENTS),
                "path": chance.choice(PATHS).format(chance.randrange(10**6), uuid.UUID(int=chance.getrandbits(128))),
                "query": f"page={chance.randrange(50)}&sort=asc" if number % 2 else f"after={chance.getrandbits(64):x}",
                "size": str(chance.randrange(100, 90_000)), "number": str(number), "ip": f"198.51.100.{chance.randrange(256)}",
            }
        )  # fmt: skip
    return made


def json_line(of: dict[str, str]) -> bytes:
    """The line of `deploy/haproxy/haproxy.cfg`."""
    line = {
        "v": "hap-req/1", "id": of["id"], "tp": f"00-{of['trace']}-{of['trace'][:16]}-01", "pid": 28764, "rt": int(of["number"]),
        "lc": int(of["number"]), "node": "edge-1", "acc": of["acc"], "req_us": of["us"], "end_us": of["us"], "Th": 0, "Ti": 0, "TR": 0,
        "Tw": 0, "Tc": 1, "Tr": int(of["took"]), "Td": 3, "Ta": of["took"], "ci": of["ip"], "cp": of["port"], "fi": "192.0.2.1",
        "fp": "443", "fe": "edge", "be": "kong_blue", "srv": "blue1", "si": "192.0.2.10", "sp": "8000", "bi": "192.0.2.1",
        "bp": of["port"], "pool": "kong_blue", "roll": "33", "m": "GET", "host": "api.example.test", "path": of["path"],
        "q": of["query"], "hv": "2", "ua": of["agent"], "U": "412", "c_rid": "-", "c_tp": "-", "tls": "TLSv1.3",
        "cph": "TLS_AES_256_GCM_SHA384", "sni": "api.example.test", "alpn": "h2", "cc": "0", "cv": "0", "dn": "-", "st": 200,
        "B": of["size"], "ts": "----", "rc": "0", "sq": 0, "bq": 0, "ac": 1, "fc": 1, "bc": 0, "sc": 0, "ferr": "0",
        "kong_rid": of["kong"], "kong_pl": "3", "kong_ul": "12", "end": 1,
    }  # fmt: skip
    return HEADER.encode() + json.dumps(line, separators=(",", ":")).encode() + b"\n"


def httplog_line(of: dict[str, str]) -> bytes:
    """The line of `option httplog`, with the id behind it."""
    text = (
        f"{of['ip']}:{of['port']} [{of['date']}] edge~ kong_blue/blue1 0/0/1/{of['took']}/{of['took']} 200 {of['size']} - - ---- "
        f'1/1/0/0/0 0/0 {{{of["agent"]}}} "GET {of["path"]}?{of["query"]} HTTP/1.1" {of["id"]}'
    )
    return f"{HEADER}{text}\n".encode()


def kong_entry(of: dict[str, str]) -> bytes:
    """An entry of Kong 3.9's http-log, about 2.5 kB, slashes escaped as Kong's JSON has them."""
    stamp, service = (
        {"created_at": 1795460240, "updated_at": 1795460240},
        "8027b672-cb4d-5059-bc59-7d67b683008e",
    )
    headers = {
        "host": "api.example.test", "user-agent": of["agent"], "x-request-id": of["id"], "x-request-start": f"t={of['us']}",
        "traceparent": f"00-{of['trace']}-{of['trace'][:16]}-01", "x-forwarded-for": of["ip"], "x-forwarded-proto": "https",
        "x-consumer-id": "b32379d9-3d28-5683-a79c-72139be6e34f", "x-consumer-username": "alice", "accept": "application/json",
        "authorization": "REDACTED", "x-forwarded-port": "443", "connection": "keep-alive",
    }  # fmt: skip
    entry = {
        "consumer": {"id": "b32379d9-3d28-5683-a79c-72139be6e34f", "username": "alice", "custom_id": "cust-alice", "tags": ["vip"], **stamp},
        "authenticated_entity": {"id": "4da65aae-fc3a-41ab-a473-2ba026934d54"},
        "service": {"id": service, "name": "orders", "host": "192.0.2.20", "port": 9000, "protocol": "http", "retries": 5,
                    "connect_timeout": 60000, "read_timeout": 5000, "write_timeout": 60000, "enabled": True, "tags": ["core"], **stamp},
        "route": {"id": "30ced0a2-7e84-537a-8718-588b46258c75", "name": "orders", "paths": ["/orders"], "protocols": ["http", "https"],
                  "strip_path": True, "preserve_host": False, "path_handling": "v0", "regex_priority": 0,
                  "https_redirect_status_code": 426, "request_buffering": True, "response_buffering": True, "service": {"id": service}, **stamp},
        "tries": [{"ip": "192.0.2.20", "port": 9000, "balancer_start": int(of["us"]) // 1000, "balancer_latency": 0,
                   "balancer_start_ns": float(of["us"]) * 1000, "balancer_latency_ns": 4352}],
        "request": {"id": of["kong"], "method": "GET", "uri": f"{of['path']}?{of['query']}", "size": 611, "querystring": {"sort": "asc"},
                    "url": f"https://api.example.test:8000{of['path']}", "headers": headers},
        "response": {"status": 200, "size": int(of["size"]), "headers": {"content-type": "application/json", "via": "1.1 kong/3.9.1",
                     "x-kong-request-id": of["kong"], "x-kong-proxy-latency": "3", "x-kong-upstream-latency": of["took"],
                     "content-length": of["size"], "connection": "keep-alive"}},
        "latencies": {"kong": 3, "proxy": int(of["took"]), "receive": 1, "request": int(of["took"]) + 4},
        "upstream_uri": of["path"], "upstream_status": "200", "client_ip": of["ip"], "started_at": int(of["us"]) // 1000,
        "source": "upstream", "workspace": "0dc6f45b-8f8d-40d2-a504-473544ee190b", "workspace_name": "default", "correlation_id": of["id"],
    }  # fmt: skip
    return json.dumps(entry, separators=(",", ":")).replace("/", "\\/").encode()


def best_us(kinds: Sequence[tuple[Callable[..., object], Sequence[object]]]) -> list[float]:
    """Give the best time per record of each kind, in microseconds; rounds take the kinds in turn."""
    best = [float("inf")] * len(kinds)
    for _ in range(ROUNDS):
        for index, (act, bodies) in enumerate(kinds):
            start = time.process_time()
            for body in bodies:
                act(body)
            best[index] = min(best[index], (time.process_time() - start) / len(bodies) * 1e6)
    return best


def main() -> None:
    """Measure and print."""
    made = requests(random.Random(7))  # noqa: S311 -- the same lines in every run
    redactor = Redactor(b"a key of the benchmark, 32 bytes.")
    haproxy, kong = HaproxyParser(redactor=redactor), KongParser(redactor=redactor)
    own = HaproxyParser(redactor=redactor, log_format=FORMAT.replace("%hr", '"%[capture.req.hdr(0)]"'))
    lines, texts, entries = ([make(of) for of in made] for make in (json_line, httplog_line, kong_entry))
    messages = [text[len(HEADER) :].decode().rstrip("\n") for text in texts]
    own_lines = [text.replace(b"{", b'"').replace(b"} ", b'" ') for text in texts]
    compiled = compile_format(FORMAT)

    def read(parser: HaproxyParser | KongParser) -> Callable[..., object]:
        parse = parser.parse
        return lambda body: parse(body, offset=1, arrival_ns=1, peer="127.0.0.1")

    def by_hand(message: str) -> object:
        found = HAND_WRITTEN.fullmatch(message)
        return found.groupdict() if found else None

    documents = [line[len(HEADER) :] for line in lines]
    json_us, httplog_us, own_us, kong_us, orjson_us, orjson_kong_us, compiled_us, hand_us = best_us(
        [
            (read(haproxy), lines), (read(haproxy), texts), (read(own), own_lines), (read(kong), entries),
            (orjson.loads, documents), (orjson.loads, entries), (compiled.read, messages), (by_hand, messages),
        ]
    )  # fmt: skip
    size = {"json": len(lines[0]), "httplog": len(texts[0]), "kong": len(entries[0])}
    print(
        f"recommended JSON line ({size['json']} B) to edge record     {json_us:6.1f} us   {json_us / orjson_us:4.1f} x orjson.loads alone"
    )
    print(
        f"Kong entry ({size['kong']} B) to gateway record           {kong_us:6.1f} us   {kong_us / orjson_kong_us:4.1f} x orjson.loads alone"
    )
    print(
        f"httplog line ({size['httplog']} B), told apart, to edge record {httplog_us:6.1f} us   {httplog_us / json_us:4.1f} x the JSON line"
    )
    print(
        f"the same by a log-format of one's own, to edge record   {own_us:6.1f} us   {own_us / httplog_us:4.1f} x told apart"
    )
    print(
        f"values of a line by the compiled format                 {compiled_us:6.1f} us   {compiled_us / hand_us:4.1f} x a regular expression by hand"
    )


if __name__ == "__main__":
    main()

"""CPU of a whole replay, files to embedded store, per request, and against the plain way on the same input.

The plain way: `orjson`, a dict by id, and rows of 61 joined fields through `clickhouse-connect`, without retries,
reasons, redaction or an account; ours writes some 110 columns. Both run in processes of their own, in turn; the
figure is the process's CPU less that of the same process on one request.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

REQUESTS = int(os.environ.get("REQUESTS", "60000"))
ROUNDS = 3

EDGE = (
    '<134>1 2026-11-23T18:57:23.524+00:00 edge-1 haproxy 7 - - {{"v":"hap-req/1","id":"{id}","tp":"00-{trace}-{span}-01",'
    '"pid":7,"rt":{n},"lc":{n},"node":"edge-1","acc":"{sec}.{ms:03}","req_us":"{us}","end_us":"{end}","Th":0,"Ti":0,'
    '"TR":0,"Tw":0,"Tc":1,"Tr":{tr},"Td":1,"Ta":"{ta}","ci":"203.0.113.{ip}","cp":"{cp}","fi":"10.0.0.1","fp":"443",'
    '"fe":"edge","be":"kong_blue","srv":"blue1","si":"10.0.0.2","sp":"8000","bi":"10.0.0.1","bp":"{cp}",'
    '"pool":"kong_blue","roll":"41","m":"GET","host":"api.example.com","path":"/orders/{n}","q":"page=2","hv":"2",'
    '"ua":"shop-ios/4.2","U":"310","c_rid":"-","c_tp":"-","tls":"TLSv1.3","cph":"TLS_AES_256_GCM_SHA384",'
    '"sni":"api.example.com","alpn":"h2","cc":"0","cv":"0","dn":"-","st":200,"B":"778","ts":"----","rc":"0","sq":0,'
    '"bq":0,"ac":8,"fc":6,"bc":5,"sc":5,"ferr":"0","kong_rid":"{kong}","kong_pl":"2","kong_ul":"3","end":1}}\n'
)
NAIVE = """
import sys, orjson, clickhouse_connect
from datetime import datetime, timezone
edge, kong, store = sys.argv[1:]
client = clickhouse_connect.get_client(dsn="chdb://" + store)
EDGE = {"id": "String", "tp": "String", "node": "LowCardinality(String)", "pid": "UInt32", "lc": "UInt64", "rt": "UInt64",
  "fe": "LowCardinality(String)", "be": "LowCardinality(String)", "srv": "LowCardinality(String)", "si": "String",
  "ci": "IPv6", "m": "LowCardinality(String)", "host": "LowCardinality(String)", "path": "String", "q": "String",
  "hv": "String", "ua": "String", "st": "UInt16", "ts": "LowCardinality(String)", "c_rid": "String", "c_tp": "String",
  "tls": "String", "cph": "String", "sni": "String", "pool": "String", "kong_rid": "String", "Th": "Int64", "Ti": "Int64",
  "TR": "Int64", "Tw": "Int64", "Tc": "Int64", "Tr": "Int64", "Td": "Int64"}
NUMBERS = ("Ta", "B", "U", "cp", "sp", "end_us")
KONG = {"k_id": "String", "k_started": "DateTime64(3,'UTC')", "k_status": "UInt16", "k_source": "String", "k_kong": "Float64",
  "k_proxy": "Float64", "k_receive": "Float64", "k_request": "Float64", "k_uri": "String", "k_up": "String",
  "k_client": "IPv6", "k_service": "LowCardinality(String)", "k_service_id": "String", "k_route": "LowCardinality(String)",
  "k_route_id": "String", "k_workspace": "String", "k_consumer": "String", "k_consumer_id": "String", "k_custom": "String",
  "k_credential": "String", "k_tries": "Array(Tuple(String,UInt16))"}
types = {**EDGE, **dict.fromkeys(NUMBERS, "Int64"), "start": "DateTime64(6,'UTC')", **KONG}
client.command("CREATE TABLE t (" + ", ".join(f"{name} {kind}" for name, kind in types.items())
  + ") ENGINE=MergeTree ORDER BY (start, id)")
halves, rows = {}, []
with open(edge, "rb") as a, open(kong, "rb") as b:
    for line in a:
        one = orjson.loads(line[line.index(b"{"):])
        halves[one["id"]] = one
    for line in b:
        two = orjson.loads(line)
        one = halves.pop(two["request"]["headers"]["x-request-id"])
        times, who = two["latencies"], two.get("consumer", {})
        rows.append([*[one[name] for name in EDGE], *[int(one[name]) for name in NUMBERS],
          datetime.fromtimestamp(int(one["req_us"]) / 1e6, timezone.utc), two["request"]["id"],
          datetime.fromtimestamp(two["started_at"] / 1e3, timezone.utc), two["response"]["status"], two["source"],
          times["kong"], times["proxy"], times["receive"], times["request"], two["upstream_uri"], two["upstream_status"],
          two["client_ip"], two["service"]["name"], two["service"]["id"], two["route"]["name"], two["route"]["id"],
          two["workspace"], who.get("username", ""), who.get("id", ""), who.get("custom_id", ""),
          two.get("authenticated_entity", {}).get("id", ""), [(t["ip"], t["port"]) for t in two["tries"]]])
        if len(rows) == 20000:
            client.insert("t", rows, column_names=list(types)); rows = []
if rows:
    client.insert("t", rows, column_names=list(types))
client.close()
"""


def main() -> None:
    """Print both, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        full, empty = root / "full", root / "empty"
        for files, count in ((full, REQUESTS), (empty, 1)):
            files.mkdir()
            _write(files, count)
        ours, plain = [], []
        for number in range(ROUNDS):
            for name, results in (("ours", ours), ("plain", plain)):
                base = _cpu(name, empty, root / f"{name}-empty-{number}")
                results.append((_cpu(name, full, root / f"{name}-full-{number}") - base) / REQUESTS * 1e6)
    us, naive = statistics.median(ours), statistics.median(plain)
    print(f"requests                  {REQUESTS}, {ROUNDS} rounds in turn, medians")
    print(f"hoptrail replay           {us:6.1f} µs CPU a request = {1e6 / us:,.0f} requests per CPU second")
    print(f"plain orjson, 61 columns  {naive:6.1f} µs CPU a request")
    print(f"ratio                     {naive / us:6.2f} times the plain way")


def _cpu(name: str, files: Path, store: Path) -> float:
    words = (
        [
            "-m",
            "pipeline",
            "replay",
            "--haproxy",
            files / "edge",
            "--kong",
            files / "kong",
            "--store",
            f"chdb://{store}",
        ]
        if name == "ours"
        else ["-c", NAIVE, files / "edge", files / "kong", str(store)]
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _write(files: Path, count: int) -> None:
    """Write both logs: the recommended line, and entries of 2.5 kB in the shape that Kong 3.9 sends."""
    captured = Path(__file__).parents[1] / "tests" / "captures" / "kong" / "corpus" / "kong.jsonl"
    with captured.open(encoding="utf-8") as lines:
        entry = next(
            found
            for line in lines
            if "consumer" in (found := json.loads(json.loads(line)["body"])) and found["tries"]
        )
    start_us = 1_795_460_243_000_000
    with (files / "edge").open("w") as edge, (files / "kong").open("w") as kong:
        for n in range(count):
            request_id, us = (
                str(uuid.UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)),
                start_us + n * 200,
            )
            gateway_id = f"{n * 0x9E3779B9 % 2**64:032x}"
            trace, span = request_id.replace("-", ""), gateway_id[-16:]
            edge.write(
                EDGE.format(
                    id=request_id, trace=trace, span=span, n=n, sec=us // 10**6, ms=us // 1000 % 1000, us=us,
                    end=us + 9000, tr=5 + n % 40, ta=7 + n % 40, ip=n % 250, cp=20_000 + n % 40_000, kong=gateway_id,
                )
            )  # fmt: skip
            entry["request"]["id"], entry["started_at"] = gateway_id, us // 1000 + 1
            entry["request"]["headers"] |= {"x-request-id": request_id, "x-request-start": f"t={us}"}
            entry["request"]["headers"]["traceparent"] = f"00-{trace}-{span}-01"
            entry["request"]["uri"] = f"/orders/{n}?page=2"
            kong.write(json.dumps(entry, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

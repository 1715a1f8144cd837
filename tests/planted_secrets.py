"""Lines and posts with a secret wherever a client could put one, and what to look for afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.s3cr3tSignatureS3cr3t"
PLANTED = {
    "password": "hunter2s3cr3t",
    "api_key": "k3yS3cr3tValue",
    "token": "t0k3nS3cr3tValue",
    "jwt": JWT,
    "basic": "dXNlcjpzM2NyM3RwYXNz",
    "cookie": "c00kieS3cr3tValue",
    "sig": "s1gS3cr3tValue%2Babc",
    "github": "ghp_s3cr3ts3cr3ts3cr3ts3cr3t",
    "aws": "AKIAS3CR3TS3CR3TS3CR",
    "session": "s3ss10nS3cr3tValue",
}
QUERY = "&".join(
    [
        f"password={PLANTED['password']}", f"api_key={PLANTED['api_key']}", f"access%5Ftoken={PLANTED['token']}",
        f"x=1;token={PLANTED['token']}", f"id_token_hint={PLANTED['jwt']}", f"sig={PLANTED['sig']}", f"q={PLANTED['github']}",
        f"next=%2Fcb%3Ftoken%3D{PLANTED['token']}", f"next=%252Fcb%253Fapi_key%253D{PLANTED['api_key']}",
        f"X-Amz-Credential={PLANTED['aws']}", f"a[password]={PLANTED['password']}", f"auth=Bearer+{PLANTED['token']}",
        f"r=Basic%20{PLANTED['basic']}", "plain=kept",
    ]
)  # fmt: skip
PATH = f"/a/{JWT}/b;jsessionid={PLANTED['session']}"
AGENT = f"agent {JWT} Bearer {PLANTED['token']} {PLANTED['github']}"
HEADERS = {
    "authorization": f"Bearer {PLANTED['token']}",
    "cookie": f"sid={PLANTED['cookie']}; theme=dark; jwt={JWT}",
    "set-cookie": [f"sid={PLANTED['cookie']}; Path=/", f"b={PLANTED['session']}"],
    "x-api-key": PLANTED["api_key"],
    "apikey": [PLANTED["api_key"], PLANTED["token"]],
    "x-request-id": [JWT, "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c"],
    "traceparent": f"Bearer {PLANTED['token']}",
    "user-agent": AGENT,
    "host": f"user:{PLANTED['password']}@api.example.com",
    "referer": f"https://x/?{QUERY}",
    "x-forwarded-for": PLANTED["token"],
}


def entry(**changes: Any) -> dict[str, Any]:
    uri = f"{PATH}?{QUERY}#access_token={PLANTED['token']}"
    return {
        "request": {
            "id": "022f864593fa982d12195e309d928e17", "method": "GET", "uri": uri, "size": 1, "headers": HEADERS,
            "url": f"http://user:{PLANTED['password']}@h:8000{uri}",
            "querystring": {"password": PLANTED["password"], PLANTED["token"]: True, "a": [PLANTED["github"], True]},
        },
        "response": {"status": 200, "size": 1, "headers": HEADERS},
        "started_at": 1795460246034, "upstream_uri": uri, "client_ip": "192.0.2.9", "correlation_id": JWT,
        "latencies": {"kong": 1, "proxy": 2, "receive": 3, "request": 6}, "tries": [{"ip": "192.0.2.8", "port": 80, "state": "failed", "code": 502}], "service": {"name": "main"},
        "body": PLANTED["password"], **changes,
    }  # fmt: skip


def json_line(**changes: Any) -> bytes:
    line = {
        "v": "hap-req/1", "id": "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c", "node": "edge-1", "acc": "1795458940.099", "ci": "192.0.2.9",
        "path": PATH, "q": QUERY, "ua": AGENT, "host": f"h {JWT}", "c_rid": JWT, "c_tp": f"Bearer {PLANTED['token']}",
        "sub": PLANTED["password"], "sni": JWT, "dn": f"CN={JWT}", "m": "GET", "authorization": PLANTED["basic"], **changes,
    }  # fmt: skip
    return json.dumps(line, separators=(",", ":")).encode()


HEADER = b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - "
HTTPLOG = (
    f"192.0.2.9:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 sid={PLANTED['cookie']} b={PLANTED['session']} ---- 1/1/0/0/2 "
    f'0/0 {{{AGENT}|{PLANTED["token"]}}} {{{PLANTED["cookie"]}}} "GET https://u:{PLANTED["password"]}@h{PATH}?{QUERY} HTTP/2.0"'
).encode()


def haproxy_bodies() -> Iterator[bytes]:
    yield HEADER + json_line()
    yield HEADER + json_line(path=None, uri=f"{PATH}?{QUERY}")
    yield HEADER + json_line(kong_rid=JWT, tp=JWT, ferrs=f"refused {JWT}")
    for cut in (350, 700, 1100, 1500, len(json_line()) - 5):
        yield HEADER + json_line()[:cut]  # cut off: recovered, or dead
    yield HEADER + json_line(v=f"hap-req/{PLANTED['token']}")
    yield HEADER + json_line(acc=PLANTED["token"])
    yield HEADER + json_line().replace(b'"v"', b'"w"')  # JSON of no known format
    yield HEADER + json_line().replace(b":", b"=", 1)
    yield HEADER + HTTPLOG
    for cut in (150, 220, 300, 500, 900):
        yield HEADER + HTTPLOG[:cut]
    yield HEADER + HTTPLOG.replace(b"0/0/0/0/7", b"0/0/0")  # of no known format
    yield HEADER + f"Cookie: sid={PLANTED['cookie']} Authorization: Basic {PLANTED['basic']}".encode()
    yield HEADER + f"Something said {PLANTED['token']} and {JWT}".encode()
    yield f"GET {PATH}?{QUERY} HTTP/1.1 {PLANTED['basic']} {PLANTED['session']}".encode()
    yield HEADER + f"Proxy fe started. {JWT} token={PLANTED['token']}".encode()
    yield (
        HEADER
        + f"Server be/s is DOWN, reason: Layer7 wrong status, info: {AGENT} token={PLANTED['token']}".encode()
    )
    yield (
        HEADER
        + f'{{"v":"hap-err/1","node":"h","acc":"1795458940.099","ci":"192.0.2.9","ferrs":"{AGENT}"}}'.encode()
    )
    yield HEADER + HTTPLOG.replace(b"[23/Nov", b"[" + PLANTED["token"].encode() + b"/Nov")
    yield (
        HEADER
        + f'192.0.2.9 - - [23/Nov/2026:18:35:39 +0000] "GET {PATH}?{QUERY} HTTP/1.1" 200 85 "" "" 1 609 "fe" "be" "s" 0 0 0 0 7 ---- 1 1 0 0 2 0 0 "{PLANTED["cookie"]}" "" "{AGENT}" "{PLANTED["token"]}"'.encode()
    )
    yield HEADER + f"192.0.2.9:1 [23/Nov/2026:18:35:39.609] fe/1: SSL handshake failure {JWT}".encode()
    yield (
        HEADER
        + f"custom 192.0.2.9 23/Nov/2026:18:35:39.609 200 {AGENT}|{PLANTED['cookie']}|GET {PATH}?{QUERY} HTTP/1.1".encode()
    )


def kong_bodies() -> Iterator[bytes]:
    whole = json.dumps(entry()).encode()
    yield json.dumps(entry(request={**entry()["request"], "id": JWT})).encode()
    yield whole
    yield json.dumps(entry(), ensure_ascii=True).replace("/", "\\/").encode()
    for cut in range(200, len(whole), 257):
        yield whole[:cut]
    yield whole.replace(b'"GET"', b'"G\xff"')
    yield json.dumps(
        entry(
            consumer={"id": "0f2b", "username": "alice", "password": PLANTED["password"], "custom_id": "c-1"},
            authenticated_entity={
                "id": "9c41",
                "key": PLANTED["api_key"],
                "secret": PLANTED["token"],
                "username": PLANTED["basic"],
            },
            credential={"key": PLANTED["api_key"]},
            service={
                "name": "main",
                "host": f"u:{PLANTED['password']}@h",
                "client_certificate": PLANTED["token"],
            },
        )
    ).encode()
    yield json.dumps(entry(started_at=None)).encode()
    yield json.dumps(entry(request=None)).encode()
    yield json.dumps(
        entry(request=None, session={"tls": {"sni": JWT}, "received": 1, "token": PLANTED["token"]})
    ).encode()
    yield json.dumps(entry(request={"headers": "x", "uri": [PLANTED["token"]], "id": 7})).encode()
    yield json.dumps([entry()]).encode()
    yield json.dumps(PLANTED).encode()
    yield f"not json {PLANTED['password']}={PLANTED['token']} {JWT}".encode()
    yield b'{"request": {"headers": {"cookie": "' + PLANTED["cookie"].encode() + b" {}[],: \xff"


def found_in(text: str) -> list[str]:
    """Give the secrets, and parts of them, that a text holds."""
    parts = [*PLANTED.values(), *JWT.split("."), "S3cr3t", "s3cr3t", "S3CR3T"]
    return [part for part in parts if part in text]

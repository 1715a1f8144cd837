"""All parts of the demo, started in order and stopped in reverse."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.demo.declared import Declared, load_declared
from pipeline.demo.edge import stand_in_edge
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import EdgeRules, load_rules
from pipeline.demo.gateway import Gateway, gateway_listeners
from pipeline.demo.haproxy_process import find_haproxy, running_haproxy
from pipeline.demo.history import EDGE_NODES
from pipeline.demo.log_queue import LogQueue, open_log_queue
from pipeline.demo.serve_process import Server, running_serve, write_config
from pipeline.demo.settled import Questions
from pipeline.demo.traffic import Traffic, fate_by_argument
from pipeline.demo.upstreams import open_upstreams
from pipeline.resources import resource

WINDOW_S = 3.0
"""How long a half waits here; 30 s unless told, but nobody wants to watch that."""
_LATE_S = WINDOW_S + 1.5
_GATEWAYS = 2


@dataclass(slots=True)
class Scene:
    """What runs."""

    server: Server
    questions: Questions
    before: Mapping[str, Any]
    """`sources` of the server's status when all began."""
    declared: Declared
    rules: EdgeRules
    lines: Mapping[str, EdgeLines]
    log: LogQueue
    gateway: Gateway
    gateway_ports: list[int]
    edge_port: int
    edge_name: str
    traffic: Traffic

    @property
    def ingest_url(self) -> str:
        """Where entries are posted."""
        return self.server.addresses["ingest_url"] + "/ingest/kong"


@asynccontextmanager
async def scene(data_dir: Path, *, real_haproxy: bool, seed: int) -> AsyncIterator[Scene]:
    """Start the server, the upstreams, the gateway, the edge and the client, in this order.

    Args:
        data_dir: The server's; what the demo itself needs lies in `demo/` within.
        real_haproxy: Whether HAProxy stands at the edge where there is one.
        seed: Of the client.

    Raises:
        ConfigError: A part did not start.
    """
    keys = {name: secrets.token_urlsafe(18) for name in ("mobile", "acme", "old_key", "jwt", "log")}
    config_file = write_config(data_dir, secret=keys["log"], window_s=WINDOW_S)
    declared, rules, lines = _handed_out(keys)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server = await enter(running_serve(config_file, config_file.with_name("serve.log")))
        questions = Questions(server.addresses["ingest_url"], server.addresses["read_url"])
        before = (await questions.status())["sources"]
        places = await enter(open_upstreams())
        log = await enter(open_log_queue(declared.http_log, server.addresses["ingest_url"] + "/ingest/kong"))
        gateway = Gateway(declared, places, log, fate=fate_by_argument(_LATE_S))
        ports, status_port = await enter(gateway_listeners(gateway, _GATEWAYS))
        edge_port, edge_name = await enter(
            _edge(
                find_haproxy() if real_haproxy else None,
                (rules, lines["edge-1"]),
                gateways=ports,
                status_port=status_port,
                log=server.addresses["syslog_udp"],
                output=config_file.with_name("haproxy.log"),
            )
        )
        yield Scene(
            server=server,
            questions=questions,
            before=before,
            declared=declared,
            rules=rules,
            lines=lines,
            log=log,
            gateway=gateway,
            gateway_ports=ports,
            edge_port=edge_port,
            edge_name=edge_name,
            traffic=Traffic(edge_port, keys, seed),
        )


@asynccontextmanager
async def _edge(
    binary: str | None,
    ours: tuple[EdgeRules, EdgeLines],
    *,
    gateways: list[int],
    status_port: int,
    log: str,
    output: Path,
) -> AsyncIterator[tuple[int, str]]:
    """Run HAProxy, or the stand-in where there is none; gives port and name."""
    if binary is None:
        async with stand_in_edge(*ours, gateways, log) as port:
            yield port, "stand-in edge, not HAProxy"
        return
    async with running_haproxy(
        binary, log=log, node=ours[1].node, gateways=gateways, status_port=status_port, output=output
    ) as port:
        yield port, f"HAProxy ({binary})"


def _handed_out(keys: Mapping[str, str]) -> tuple[Declared, EdgeRules, dict[str, EdgeLines]]:
    """Read the configurations that the stand-ins follow."""
    variables = {
        "DECK_MOBILE_APP_KEY": keys["mobile"],
        "DECK_ACME_KEY": keys["acme"],
        "DECK_BILLING_BATCH_SECRET": keys["jwt"],
        "LINEAGE_LOG_SECRET": keys["log"],
    }
    config = resource("deploy/haproxy/haproxy.cfg")
    return (
        load_declared(resource("deploy/kong/kong.yml"), variables, int(time.time())),
        load_rules(config),
        {node: EdgeLines(config, node) for node in EDGE_NODES},
    )

"""`haproxy -c` takes `deploy/haproxy/haproxy.cfg` with every switch on and off."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from pipeline.demo.haproxy_process import find_haproxy
from pipeline.resources import resource

pytestmark = pytest.mark.haproxy
HAPROXY = find_haproxy()
CONFIG = resource("deploy/haproxy/haproxy.cfg")
SWITCHES = ("retries", "tls", "client certificates", "stats", "servers")
COMBINATIONS = [
    chosen
    for length in range(len(SWITCHES) + 1)
    for chosen in itertools.combinations(SWITCHES, length)
    if "tls" in chosen or "client certificates" not in chosen
]


def check(variables: dict[str, str], config: Path = CONFIG) -> subprocess.CompletedProcess[str]:
    if HAPROXY is None:
        pytest.skip("there is no haproxy binary on the PATH or in /usr/sbin")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_", "KONG_"))}
    return subprocess.run(
        [HAPROXY, "-c", "-f", str(config)], env=plain | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("switches", COMBINATIONS, ids=lambda chosen: "+".join(chosen) or "none")
def test_the_configuration_is_valid(switches: tuple[str, ...], certificate: Path, tmp_path: Path) -> None:
    variables = {}
    if "retries" in switches:
        variables["EDGE_RETRY_ANSWERS"] = "1"
    if "tls" in switches:
        variables |= {"EDGE_TLS_BIND": "127.0.0.1:8443", "EDGE_TLS_CERT": str(certificate)}
    if "client certificates" in switches:
        variables["EDGE_TLS_CLIENT_CA"] = str(certificate)
    if "stats" in switches:
        variables["EDGE_STATS_SOCKET"] = str(tmp_path / "stats.sock")
    if "servers" in switches:
        names = ("KONG_BLUE_2", "KONG_GREEN_1", "KONG_GREEN_2", "KONG_CANARY_1")
        variables |= {name: f"127.0.0.1:{8001 + number}" for number, name in enumerate(names)}
    found = check(variables)
    assert found.returncode == 0, found.stderr
    assert "WARNING" not in found.stderr


def test_a_broken_configuration_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "haproxy.cfg"
    broken.write_text(CONFIG.read_text(encoding="utf-8").replace("mode http", "mode htpp"), encoding="utf-8")
    assert check({}, broken).returncode != 0

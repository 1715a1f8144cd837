"""`deploy/systemd/hoptrail.service`: its settings are ours, its fences are up."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections import defaultdict

import pytest

from pipeline.config import Config, load_config
from pipeline.resources import resource

FILE = resource("deploy/systemd/hoptrail.service")


@pytest.fixture(scope="module")
def unit() -> dict[str, dict[str, list[str]]]:
    """Give every value by section and key; a key may stand more than once."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"not a setting: {line}"
            found[section][key].append(value)
    return found


def test_its_variables_are_settings_of_ours(unit: dict[str, dict[str, list[str]]]) -> None:
    variables = dict(value.split("=", 1) for value in unit["Service"]["Environment"])
    expanded = {
        name: value.replace("%S", "/var/lib").replace("%d", "/run/credentials/hoptrail.service")
        for name, value in variables.items()
    }
    config = load_config(None, environ=expanded)
    assert str(config.data_dir) == "/var/lib/hoptrail"
    assert str(config.sources.kong.secret_file) == "/run/credentials/hoptrail.service/log-secret"
    credential = unit["Service"]["LoadCredential"][0].partition(":")[0]
    assert variables["HOPTRAIL_SOURCES__KONG__SECRET_FILE"] == f"%d/{credential}"


def test_the_state_directory_is_the_data_directory_and_private(unit: dict[str, dict[str, list[str]]]) -> None:
    assert unit["Service"]["StateDirectory"] == ["hoptrail"]
    assert unit["Service"]["StateDirectoryMode"] == ["0700"]


def test_a_stop_may_take_longer_than_the_drain(unit: dict[str, dict[str, list[str]]]) -> None:
    assert int(unit["Service"]["TimeoutStopSec"][0]) > Config().drain_s


def test_a_wrong_configuration_is_not_started_again(unit: dict[str, dict[str, list[str]]]) -> None:
    assert unit["Service"]["RestartPreventExitStatus"] == ["2"]
    assert unit["Service"]["Restart"] == ["on-failure"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictNamespaces", "yes"),
        ("DynamicUser", "yes"),
        ("SystemCallFilter", "@system-service"),
        ("UMask", "0077"),
    ],
)
def test_the_fence_is_up(unit: dict[str, dict[str, list[str]]], key: str, value: str) -> None:
    assert unit["Service"][key] == [value]


def test_it_starts_serve_with_a_file(unit: dict[str, dict[str, list[str]]]) -> None:
    _, *arguments = shlex.split(unit["Service"]["ExecStart"][0])
    assert arguments == ["serve", "--config", "/etc/hoptrail/hoptrail.yaml"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_reads_it_without_a_complaint_but_of_the_missing_program() -> None:
    found = subprocess.run(
        ["systemd-analyze", "verify", str(FILE)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in found.stderr.splitlines() if "hoptrail.service" in line]
    assert [line for line in complaints if "is not executable" not in line and "Failed to" not in line] == []

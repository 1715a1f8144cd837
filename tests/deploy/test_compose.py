"""`deploy/compose/`: what it mounts exists, what it sets is known, and nothing but the edge is published."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pipeline.config import load_config
from pipeline.resources import resource

FILE = resource("deploy/compose/docker-compose.yml")
MADE_BY_HAND = {"./kong.rendered.yml"}
"""Holds secrets; the README says how to make it."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: dict[str, Any] = tree["services"]
    return found


def test_every_mounted_file_exists_or_is_named_in_the_readme(services: dict[str, Any]) -> None:
    mounts = [volume for service in services.values() for volume in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert set(files) > MADE_BY_HAND
    readme = FILE.with_name("README.md").read_text(encoding="utf-8")
    for file in files:
        if file in MADE_BY_HAND:
            assert file.removeprefix("./") in readme
        else:
            assert (FILE.parent / file).exists()
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("."))


def test_the_edges_variables_are_read_by_its_configuration(services: dict[str, Any]) -> None:
    config = resource("deploy/haproxy/haproxy.cfg").read_text(encoding="utf-8")
    for name in services["edge"]["environment"]:
        assert re.search(rf"\b{name}\b", config), name


def test_hoptrails_variables_make_a_valid_configuration(services: dict[str, Any]) -> None:
    config = load_config(None, environ=services["hoptrail"]["environment"])
    assert config.store_dsn.startswith("clickhouse://")
    assert config.sources.kong.secret_file is not None


def test_only_the_edge_is_published_and_on_loopback(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["edge"]
    assert all(port.startswith("127.0.0.1:") for port in services["edge"]["ports"])
    others = [service for name, service in services.items() if name != "edge"]
    assert {service["network_mode"] for service in others} == {"service:edge"}


def test_no_secret_stands_in_clear_and_none_may_be_missing(services: dict[str, Any]) -> None:
    secret = re.compile(r"\$\{\w+:\?[^}]+\}")
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or ("SECRET" in name and not name.endswith("_FILE")) or "DSN" in name:
                assert secret.search(str(value)), name


def test_images_are_pinned_to_a_release(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "image" in service]
    assert len(images) == 3
    assert all(re.search(r":\d+\.\d+", image) for image in images)


def test_the_readme_says_that_it_was_not_run() -> None:
    assert "we have not run them" in FILE.with_name("README.md").read_text(encoding="utf-8")


def test_the_dockerfile_copies_what_the_build_needs() -> None:
    lines = FILE.with_name("Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("FROM python:3.1")
    assert any(line.startswith("USER ") and "root" not in line for line in lines)
    root = resource("pyproject.toml").parent
    assert (root / "constraints.txt").exists()

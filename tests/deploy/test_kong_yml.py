"""`deploy/kong/kong.yml` hangs together, holds no secret, and asks for a queue that keeps its promises."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pipeline.demo.declared import load_declared
from pipeline.errors import ConfigError
from pipeline.resources import resource

FILE = resource("deploy/kong/kong.yml")
SECRET = re.compile(r"""\$\{\{ env "DECK_[A-Z_]+" \}\}|\{vault://env/[a-z-]+\}""")


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def plugins(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    places = [
        tree,
        *tree["services"],
        *(route for service in tree["services"] for route in service["routes"]),
    ]
    return [
        (plugin["name"], plugin.get("config", {})) for place in places for plugin in place.get("plugins", ())
    ]


def http_log(tree: dict[str, Any]) -> dict[str, Any]:
    return next(config for name, config in plugins(tree) if name == "http-log")


def test_names_are_unique_and_routes_do_not_shadow_each_other(tree: dict[str, Any]) -> None:
    services = [service["name"] for service in tree["services"]]
    routes = [route for service in tree["services"] for route in service["routes"]]
    paths = [path for route in routes for path in route["paths"]]
    assert len(set(services)) == len(services)
    assert len({route["name"] for route in routes}) == len(routes)
    assert not [(one, other) for one in paths for other in paths if one != other and one.startswith(other)]


def test_every_group_that_a_route_allows_has_a_consumer(tree: dict[str, Any]) -> None:
    groups = {acl["group"] for consumer in tree["consumers"] for acl in consumer.get("acls", ())}
    allowed = {group for name, config in plugins(tree) if name == "acl" for group in config["allow"]}
    assert allowed == groups


def test_every_service_leads_to_a_declared_upstream_or_to_a_url(tree: dict[str, Any]) -> None:
    upstreams = {upstream["name"] for upstream in tree["upstreams"]}
    by_host = {service["host"] for service in tree["services"] if "url" not in service}
    assert by_host == upstreams
    assert all(upstream["targets"] for upstream in tree["upstreams"])


def test_every_credential_kind_has_a_route_that_asks_for_it(tree: dict[str, Any]) -> None:
    asked = {name for name, _ in plugins(tree)}
    kinds = {kind for consumer in tree["consumers"] for kind in consumer}
    assert ("keyauth_credentials" in kinds) == ("key-auth" in asked)
    assert ("jwt_secrets" in kinds) == ("jwt" in asked)


def test_no_secret_stands_in_clear(tree: dict[str, Any]) -> None:
    secrets = [
        key["key"] for consumer in tree["consumers"] for key in consumer.get("keyauth_credentials", ())
    ]
    secrets += [jwt["secret"] for consumer in tree["consumers"] for jwt in consumer.get("jwt_secrets", ())]
    secrets += list(http_log(tree)["headers"].values())
    assert len(secrets) == 4
    assert [secret for secret in secrets if not SECRET.fullmatch(secret)] == []


def test_a_missing_secret_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="DECK_MOBILE_APP_KEY"):
        load_declared(FILE, {}, 0)


def test_keys_are_neither_logged_nor_taken_from_the_query(tree: dict[str, Any]) -> None:
    configs = [config for name, config in plugins(tree) if name == "key-auth"]
    assert configs
    assert all(config["hide_credentials"] and not config["key_in_query"] for config in configs)


def test_the_log_goes_to_one_place_in_batches_and_outlasts_ten_minutes(tree: dict[str, Any]) -> None:
    assert sum(name == "http-log" for name, _ in plugins(tree)) == 1
    config, queue = http_log(tree), http_log(tree)["queue"]
    assert config["http_endpoint"] == "http://127.0.0.1:8600/ingest/kong"
    assert "?" not in config["http_endpoint"], "Kong drops the query"
    assert "%" not in config["http_endpoint"], "Kong's queue dies of it"
    assert 50 <= queue["max_batch_size"] <= 200
    assert queue["max_coalescing_delay"] <= 1
    assert queue["max_retry_time"] >= 600
    assert queue["max_entries"] >= 160 * queue["max_retry_time"]
    assert queue["max_bytes"] >= 2_500 * queue["max_entries"]


def test_the_correlation_id_is_the_edges(tree: dict[str, Any]) -> None:
    config = next(config for name, config in plugins(tree) if name == "correlation-id")
    assert config["header_name"] == "X-Request-ID"


def test_kong_believes_the_edge_alone_and_answers_with_its_own_id() -> None:
    lines = resource("deploy/kong/kong.conf").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith("#"))
    assert settings["real_ip_header"] == "X-Forwarded-For"
    assert "0.0.0.0/0" not in settings["trusted_ips"]
    assert "X-Kong-Request-Id" in settings["headers"]
    assert settings["proxy_listen"].startswith("127.0.0.1")
    assert settings["admin_listen"].startswith("127.0.0.1")

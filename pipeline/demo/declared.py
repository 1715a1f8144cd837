"""What `deploy/kong/kong.yml` declares, as the stand-in gateway needs it and as Kong's log prints it.

Defaults of entities are those of Kong 3.9; ids are UUIDv5 of kind and name, as Kong makes them for a
declarative file, so that they are the same in every run.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from pipeline.errors import ConfigError

_NAMESPACE = uuid.UUID("5f0d6f5e-1b5c-5b60-9d0a-6d1f4c1f5a10")
_ENV = re.compile(r"""\$\{\{ *env *["'](\w+)["'] *\}\}""")
_VAULT = re.compile(r"\{vault://env/([\w-]+)\}")

Entity = Mapping[str, Any]
"""As Kong's log prints it."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where requests go."""

    name: str
    host: str
    port: int
    retries: int
    connect_s: float
    read_s: float
    entity: Entity


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests go there, and what stands in their way."""

    name: str
    paths: tuple[str, ...]
    methods: tuple[str, ...]
    strip_path: bool
    service: Service
    plugins: Mapping[str, Mapping[str, Any]]
    entity: Entity


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who may come."""

    username: str
    groups: tuple[str, ...]
    entity: Entity


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves it."""

    id: str
    key: str
    secret: str
    """Of a JWT credential; empty for a key."""
    consumer: Consumer


@dataclass(frozen=True, slots=True)
class Declared:
    """The whole file."""

    workspace: str
    routes: tuple[Route, ...]
    upstreams: Mapping[str, tuple[str, ...]]
    """Targets (`host:port`) by the name of the upstream."""
    keys: Mapping[str, Credential]
    jwts: Mapping[str, Credential]
    http_log: Mapping[str, Any]
    correlation_header: str | None

    def consumer(self, username: str) -> Consumer:
        """Give a consumer by its name."""
        return next(
            credential.consumer
            for credential in (*self.keys.values(), *self.jwts.values())
            if credential.consumer.username == username
        )

    def route(self, name: str) -> Route:
        """Give a route by its name."""
        return next(route for route in self.routes if route.name == name)

    def match(self, method: str, path: str) -> Route | None:
        """Give the route with the longest path that the request's begins with."""
        fitting = [
            (len(prefix), route)
            for route in self.routes
            for prefix in route.paths
            if path.startswith(prefix) and (not route.methods or method in route.methods)
        ]
        return max(fitting, key=lambda found: found[0])[1] if fitting else None


def entity_id(kind: str, name: str) -> str:
    """Give the id of a declared entity."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{name}"))


def load_declared(file: Path, variables: Mapping[str, str], created_s: int) -> Declared:
    """Read a declarative configuration.

    Args:
        file: `kong.yml`.
        variables: For `${{ env "NAME" }}` (filled in by decK) and `{vault://env/name}` (by Kong).
        created_s: `created_at` of all entities, UTC epoch seconds.

    Raises:
        ConfigError: A variable is missing.
    """
    source = _ENV.sub(lambda found: _variable(found[1], variables, file), file.read_text(encoding="utf-8"))
    source = _VAULT.sub(lambda found: _variable(found[1].upper().replace("-", "_"), variables, file), source)
    tree = yaml.safe_load(source)
    stamp = {"created_at": created_s, "updated_at": created_s}
    workspace = entity_id("workspace", "default")
    routes = tuple(
        _route(declared, service, tree_service.get("plugins", ()), workspace, stamp)
        for tree_service in tree["services"]
        for service in (_service(tree_service, workspace, stamp),)
        for declared in tree_service.get("routes", ())
    )
    keys, jwts = _credentials(tree.get("consumers", ()), stamp)
    plugins = {plugin["name"]: plugin.get("config", {}) for plugin in tree.get("plugins", ())}
    return Declared(
        workspace=workspace,
        routes=routes,
        upstreams={
            upstream["name"]: tuple(target["target"] for target in upstream["targets"])
            for upstream in tree.get("upstreams", ())
        },
        keys=keys,
        jwts=jwts,
        http_log=plugins["http-log"],
        correlation_header=str(plugins["correlation-id"]["header_name"]).lower()
        if "correlation-id" in plugins
        else None,
    )


def _variable(name: str, variables: Mapping[str, str], file: Path) -> str:
    if name not in variables:
        raise ConfigError(f"{file} wants the variable {name}, which is not set")
    return variables[name]


def _service(tree: Mapping[str, Any], workspace: str, stamp: Mapping[str, int]) -> Service:
    url = urlsplit(tree.get("url", f"{tree.get('protocol', 'http')}://{tree.get('host')}:{tree.get('port')}"))
    entity: dict[str, Any] = {
        "id": entity_id("service", tree["name"]),
        "name": tree["name"],
        "protocol": url.scheme,
        "host": url.hostname,
        "port": url.port or 80,
        "retries": tree.get("retries", 5),
        "connect_timeout": tree.get("connect_timeout", 60_000),
        "read_timeout": tree.get("read_timeout", 60_000),
        "write_timeout": tree.get("write_timeout", 60_000),
        "enabled": True,
        "ws_id": workspace,
        **stamp,
    }
    if url.path:
        entity["path"] = url.path
    if tree.get("tags"):
        entity["tags"] = tree["tags"]
    return Service(
        name=entity["name"],
        host=entity["host"],
        port=entity["port"],
        retries=entity["retries"],
        connect_s=entity["connect_timeout"] / 1000,
        read_s=entity["read_timeout"] / 1000,
        entity=entity,
    )


def _route(
    tree: Mapping[str, Any],
    service: Service,
    plugins: Any,  # noqa: ANN401 -- YAML
    workspace: str,
    stamp: Mapping[str, int],
) -> Route:
    entity: dict[str, Any] = {
        "id": entity_id("route", tree["name"]),
        "name": tree["name"],
        "paths": tree["paths"],
        "protocols": ["http", "https"],
        "strip_path": tree.get("strip_path", True),
        "preserve_host": False,
        "path_handling": "v0",
        "regex_priority": 0,
        "https_redirect_status_code": 426,
        "request_buffering": True,
        "response_buffering": True,
        "service": {"id": service.entity["id"]},
        "ws_id": workspace,
        **stamp,
    }
    entity |= {name: tree[name] for name in ("methods", "hosts", "tags") if tree.get(name)}
    return Route(
        name=tree["name"],
        paths=tuple(tree["paths"]),
        methods=tuple(tree.get("methods", ())),
        strip_path=entity["strip_path"],
        service=service,
        plugins={plugin["name"]: plugin.get("config", {}) for plugin in plugins},
        entity=entity,
    )


def _credentials(
    consumers: Any,  # noqa: ANN401 -- YAML
    stamp: Mapping[str, int],
) -> tuple[dict[str, Credential], dict[str, Credential]]:
    keys, jwts = {}, {}
    for tree in consumers:
        name = tree["username"]
        entity = {"id": entity_id("consumer", name), **stamp}
        entity |= {field: tree[field] for field in ("username", "custom_id", "tags") if field in tree}
        consumer = Consumer(name, tuple(acl["group"] for acl in tree.get("acls", ())), entity)
        for number, key in enumerate(tree.get("keyauth_credentials", ())):
            credential = Credential(entity_id("key", f"{name}:{number}"), key["key"], "", consumer)
            keys[credential.key] = credential
        for jwt in tree.get("jwt_secrets", ()):
            credential = Credential(
                entity_id("jwt", f"{name}:{jwt['key']}"), jwt["key"], jwt["secret"], consumer
            )
            jwts[credential.key] = credential
    return keys, jwts

"""The gateway's plugins, in Kong's order of priority: jwt, key-auth, acl, rate-limiting.

PURE: each looks at a request and either lets it pass, changed, or refuses it in Kong's words.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.demo.declared import Credential, Declared
from pipeline.demo.http1 import first, raw_bytes

_PERIODS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class Refusal(NamedTuple):
    """A plugin's answer in place of the upstream's."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(slots=True)
class Passage:
    """A request on its way through the plugins."""

    gateway_id: str
    headers: list[tuple[str, str]]
    now_us: int
    credential: Credential | None = None
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    """What plugins add to the answer, whoever makes it."""

    def set(self, name: str, value: str) -> None:
        """Set a header of the request."""
        self.drop(name)
        self.headers.append((name, value))

    def drop(self, name: str) -> None:
        """Take a header away."""
        self.headers = [(key, value) for key, value in self.headers if key != name]


def kong_message(message: str, gateway_id: str) -> bytes:
    """Write the body of Kong's own answers."""
    return f'{{\n  "message":"{message}",\n  "request_id":"{gateway_id}"\n}}'.encode()


def refusal(status: int, message: str, gateway_id: str, *headers: tuple[str, str]) -> Refusal:
    """Refuse in Kong's usual form."""
    return Refusal(status, headers, kong_message(message, gateway_id))


class Plugins:
    """Runs what a route has, with the counters of its rate limits."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def run(self, passage: Passage, plugins: Mapping[str, Mapping[str, Any]]) -> Refusal | None:
        """Let a request pass, changing its headers, or refuse it."""
        for name, act in (
            ("jwt", self._jwt),
            ("key-auth", self._key_auth),
            ("acl", self._acl),
            ("rate-limiting", self._rate_limiting),
        ):
            if name in plugins and (refused := act(passage, plugins[name])) is not None:
                return refused
        return None

    def _key_auth(self, passage: Passage, config: Mapping[str, Any]) -> Refusal | None:
        for name in config["key_names"]:
            if (key := first(passage.headers, name)) is not None:
                if config.get("hide_credentials"):
                    passage.drop(name)
                credential = self._declared.keys.get(key)
                if credential is None:
                    return refusal(401, "Unauthorized", passage.gateway_id, ("WWW-Authenticate", "Key"))
                return self._known(passage, credential, credential.id)
        message = "No API key found in request"
        return refusal(401, message, passage.gateway_id, ("WWW-Authenticate", "Key"))

    def _jwt(self, passage: Passage, config: Mapping[str, Any]) -> Refusal | None:
        scheme, _, token = (first(passage.headers, "authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return _jwt_refusal('{"message":"Unauthorized"}', "Bearer")
        claims = read_claims(token)
        credential = self._declared.jwts.get(str(claims.get(config["key_claim_name"])))
        if credential is None:
            return _jwt_refusal('{"message":"No credentials found for given \'iss\'"}')
        if not is_signed(token, credential.secret):
            return _jwt_refusal('{"message":"Invalid signature"}')
        if "exp" in config["claims_to_verify"] and claims.get("exp", 0) * 1_000_000 < passage.now_us:
            return _jwt_refusal('{"exp":"token expired"}')
        return self._known(passage, credential, credential.key)

    @staticmethod
    def _known(passage: Passage, credential: Credential, identifier: str) -> None:
        entity = credential.consumer.entity
        passage.credential = credential
        passage.set("x-consumer-id", entity["id"])
        passage.set("x-consumer-username", entity["username"])
        if "custom_id" in entity:
            passage.set("x-consumer-custom-id", entity["custom_id"])
        passage.set("x-credential-identifier", identifier)

    @staticmethod
    def _acl(passage: Passage, config: Mapping[str, Any]) -> Refusal | None:
        groups = passage.credential.consumer.groups if passage.credential else ()
        if not set(groups) & set(config["allow"]):
            return refusal(403, "You cannot consume this service", passage.gateway_id)
        if not config.get("hide_groups_header"):
            passage.set("x-consumer-groups", ", ".join(groups))
        return None

    def _rate_limiting(self, passage: Passage, config: Mapping[str, Any]) -> Refusal | None:
        """Count in windows of the clock, as the policy `local` does; a refused request does not count."""
        who = passage.credential.consumer.username if passage.credential else ""
        now_s, windows = passage.now_us // 1_000_000, []
        for period, length_s in _PERIODS_S.items():
            if limit := config.get(period):
                key = (who, period, now_s - now_s % length_s)
                windows.append((limit - self._counts[key], limit, length_s - now_s % length_s, period, key))
        exceeded = any(left <= 0 for left, *_ in windows)
        tightest = min(windows, key=lambda window: (window[0], -window[2]))
        for left, limit, _, period, key in windows:
            if not exceeded:
                self._counts[key] += 1
            name, remaining = period.capitalize(), max(0, left - (not exceeded))
            passage.answer_headers.append((f"X-RateLimit-Limit-{name}", str(limit)))
            passage.answer_headers.append((f"X-RateLimit-Remaining-{name}", str(remaining)))
        left, limit, reset_s, _, _ = tightest
        passage.answer_headers += [
            ("RateLimit-Limit", str(limit)),
            ("RateLimit-Remaining", str(max(0, left - (not exceeded)))),
            ("RateLimit-Reset", str(reset_s)),
        ]
        if not exceeded:
            return None
        passage.answer_headers.append(("Retry-After", str(reset_s)))
        return refusal(429, "API rate limit exceeded", passage.gateway_id)


def _jwt_refusal(body: str, challenge: str = 'Bearer error="invalid_token"') -> Refusal:
    return Refusal(401, (("WWW-Authenticate", challenge),), body.encode())


def make_token(claims: Mapping[str, Any], secret: str) -> str:
    """Sign claims with HS256 (RFC 7519)."""
    head = _encoded({"alg": "HS256", "typ": "JWT"})
    body = f"{head}.{_encoded(claims)}"
    return f"{body}.{_signature(body, secret)}"


def read_claims(token: str) -> dict[str, Any]:
    """Read the claims of a token without looking at its signature; empty where there are none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def is_signed(token: str, secret: str) -> bool:
    """Whether a token carries this secret's HS256 signature."""
    body, _, signature = token.rpartition(".")
    return hmac.compare_digest(raw_bytes(signature), _signature(body, secret).encode())


def _encoded(tree: Mapping[str, Any]) -> str:
    return _base64(json.dumps(tree, separators=(",", ":")).encode())


def _signature(body: str, secret: str) -> str:
    return _base64(hmac.new(secret.encode(), raw_bytes(body), hashlib.sha256).digest())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

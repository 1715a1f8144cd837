"""OpenTelemetry's own environment variables, where our configuration says nothing.  PURE.

Those of the OTLP exporter specification 1.44 for all signals and for traces; an empty one counts as none. A value
that means nothing is passed over with a warning, as the specification wants it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_log = logging.getLogger(__name__)

_PREFIX = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS = {"grpc": "grpc", "http/protobuf": "http", "http/json": "http"}
"""A receiver of JSON must take protobuf too."""
_FILES = {"ca_file": "CERTIFICATE", "cert_file": "CLIENT_CERTIFICATE", "key_file": "CLIENT_KEY"}
_MS = 1000


def fill_from_environment(otlp: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put what the variables say under the section `otlp`, which wins wherever it says something.

    Args:
        otlp: The section as file, our variables and options made it; changed.
        environ: The process's variables.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    if "otlp" not in (environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp").split(","):
        return
    found = {name: value for name, value in _said(environ).items() if name not in otlp}
    tls = {key: value for key, name in _FILES.items() if (value := _value(environ, name))}
    given = otlp.get("tls") or {}
    if tls and isinstance(given, dict):
        # A certificate without its key, or with another's, is worse than none.
        own = {"ca_file"} if given.keys() & {"cert_file", "key_file"} else set(_FILES)
        otlp["tls"] = {key: value for key, value in tls.items() if key in own} | given
    otlp.update(found)


def _said(environ: Mapping[str, str]) -> dict[str, Any]:
    """Give the settings that the variables speak of."""
    found: dict[str, Any] = {}
    protocol = _one_of(environ, "PROTOCOL", _PROTOCOLS)
    if protocol:
        found["protocol"] = protocol
    is_insecure = _value(environ, "INSECURE").lower() == "true"
    if is_insecure:
        found["insecure"] = True
    if endpoint := _endpoint(environ, protocol or "http", is_insecure=is_insecure):
        found["endpoint"] = endpoint
    if compression := _one_of(environ, "COMPRESSION", {"gzip": "gzip", "none": "none"}):
        found["compression"] = compression
    if timeout := _value(environ, "TIMEOUT"):
        try:
            found["timeout_s"] = float(timeout) / _MS
        except ValueError:
            _warn("TIMEOUT", "is no number of milliseconds")
    if headers := _headers(_value(environ, "HEADERS")):
        found["secret_headers"] = headers
    return found


def _value(environ: Mapping[str, str], name: str) -> str:
    """Give what is said for traces, else for all signals."""
    return (environ.get(f"{_PREFIX}TRACES_{name}") or environ.get(f"{_PREFIX}{name}") or "").strip()


def _one_of(environ: Mapping[str, str], name: str, known: Mapping[str, str]) -> str:
    value = _value(environ, name).lower()
    if value and value not in known:
        _warn(name, f"is none of {', '.join(known)}")
    return known.get(value, "")


def _endpoint(environ: Mapping[str, str], protocol: str, *, is_insecure: bool) -> str:
    """Give the receiver's URL; one for all signals gets the traces' path, where it is spoken to with HTTP."""
    own = (environ.get(f"{_PREFIX}TRACES_ENDPOINT") or "").strip()
    common = (environ.get(f"{_PREFIX}ENDPOINT") or "").strip()
    endpoint = own or common
    if not endpoint:
        return ""
    if protocol == "grpc":
        return endpoint if "://" in endpoint else f"http{'' if is_insecure else 's'}://{endpoint}"
    return own or f"{common.rstrip('/')}/v1/traces"


def _headers(text: str) -> dict[str, str]:
    """Read `name=value,name=value`, values percent-encoded (W3C Baggage, without properties)."""
    found = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            found[unquote(name.strip()).lower()] = unquote(value.strip())
        elif pair.strip():
            _warn("HEADERS", "holds a part that is not name=value")
    return found


def _warn(name: str, fault: str) -> None:
    """Say what is wrong with a variable, without its value."""
    _log.warning("%s%s %s, and is passed over", _PREFIX, name, fault)

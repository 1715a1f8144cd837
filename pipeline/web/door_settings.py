"""Settings that a client may send, in the URL or behind `SETTINGS`, and what they become.

PURE: no I/O. Limits may be lowered, never raised; a few settings that shape the answer are passed on; what
concerns a protocol, a session or an insert that this door does not have is taken and ignored, as clients send
such settings by themselves; anything else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.web.door_refusal import bad_argument, readonly

_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,6})?")
_FLAG, _COUNT, _WORD = (re.compile(rule) for rule in (r"0|1|true|false", r"\d{1,19}", r"[a-z_]{1,32}"))
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")


class Limits(NamedTuple):
    """Most that one query may take."""

    rows: int
    bytes: int
    seconds: float
    memory_bytes: int
    threads: int


_LOWERED = {
    "max_result_rows": "rows",
    "max_result_bytes": "bytes",
    "max_execution_time": "seconds",
    "max_memory_usage": "memory_bytes",
    "max_threads": "threads",
}
_PASSED = {
    "session_timezone": _ZONE,
    "result_overflow_mode": re.compile(r"throw|break"),
    "date_time_output_format": _WORD,
    "limit": _COUNT,
    "offset": _COUNT,
    "final": _FLAG,
    "extremes": _FLAG,
    "join_use_nulls": _FLAG,
    "group_by_use_nulls": _FLAG,
    "aggregate_functions_null_for_empty": _FLAG,
    "asterisk_include_alias_columns": _FLAG,
    "asterisk_include_materialized_columns": _FLAG,
    "describe_compact_output": _FLAG,
    "max_rows_to_read": _COUNT,
    "max_bytes_to_read": _COUNT,
    "output_format_arrow_compression_method": _WORD,
    "output_format_arrow_low_cardinality_as_dictionary": _FLAG,
    "output_format_arrow_string_as_string": _FLAG,
    "output_format_json_named_tuples_as_objects": _FLAG,
    "output_format_json_quote_64bit_floats": _FLAG,
    "output_format_json_quote_64bit_integers": _FLAG,
    "output_format_json_quote_decimals": _FLAG,
    "output_format_json_quote_denormals": _FLAG,
    "output_format_parquet_compression_method": _WORD,
    "output_format_parquet_string_as_string": _FLAG,
    "output_format_pretty_color": _FLAG,
    "output_format_pretty_max_rows": _COUNT,
    "output_format_write_statistics": _FLAG,
}
_SENT_BY_CLIENTS = """
    add_http_cors_header buffer_size cancel_http_readonly_queries_on_client_close
    cast_string_to_dynamic_use_inference client_protocol_version date_time_input_format
    enable_http_compression http_headers_progress_interval_ms http_response_buffer_size http_wait_end_of_query
    http_zlib_compression_level log_comment log_queries max_block_size max_query_size
    network_compression_method quota_key send_progress_in_http_headers session_check session_id
    session_timeout use_client_time_zone wait_end_of_query
"""
_IGNORED = frozenset(_SENT_BY_CLIENTS.split())
_HARMLESS = frozenset({("readonly", "1"), ("readonly", "2"), ("compress", "0"), ("decompress", "0")})
ACCEPTED = frozenset({*_LOWERED, *_PASSED, "enable_http_compression"})
"""Settings that mean something here; clients are told that the others are read-only."""


def engine_settings(asked: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """Give the settings under which a query is run.

    Args:
        asked: Names and values as the client wrote them.
        limits: Those of its account; what it asks for counts where it is less.

    Raises:
        DoorRefusal: A setting that is not the client's to set, or a value that is none.
    """
    granted = {
        "max_result_rows": str(limits.rows),
        "max_result_bytes": str(limits.bytes),
        "max_execution_time": f"{limits.seconds:.3f}",
        "max_memory_usage": str(limits.memory_bytes),
        "max_threads": str(limits.threads),
        "result_overflow_mode": "throw",
        "session_timezone": "UTC",
    }
    for name, value in asked.items():
        if name in _LOWERED:
            granted[name] = _lower(name, value, granted[name])
        elif name in _PASSED:
            if not _PASSED[name].fullmatch(value):
                raise bad_argument(f"setting {name} cannot be {value[:40]!r}")
            granted[name] = value
        elif (name, value) in _HARMLESS:
            continue
        elif name not in _IGNORED:
            raise readonly(f"Cannot modify {name[:80]!r} setting: it is not one that this door takes")
    return granted


def _lower(name: str, value: str, most: str) -> str:
    """Give the lesser of two limits; 0 is "no limit" in ClickHouse's language."""
    if not _NUMBER.fullmatch(value):
        raise bad_argument(f"setting {name} cannot be {value[:40]!r}")
    return value if 0 < float(value) < float(most) else most

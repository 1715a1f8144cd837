from __future__ import annotations

import pytest

from pipeline.formats.haproxy_config.log_target import LogTarget, read_log_target


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("global", LogTarget("global", is_global=True)),
        ("127.0.0.1:514 local0", LogTarget("127.0.0.1:514", facility="local0")),
        (
            "/dev/log len 8000 format rfc5424 sample 1:3 daemon info err",
            LogTarget("/dev/log", "rfc5424", 8000, "", "1:3", "daemon"),
        ),
        ("stdout format raw profile p local0", LogTarget("stdout", "raw", 1024, "p", "", "local0")),
        ("ring@r len x local0", LogTarget("ring@r", facility="local0")),
        ("stdout", LogTarget("stdout")),
    ],
)
def test_log_lines_are_read(line: str, target: LogTarget) -> None:
    assert read_log_target(line.split()) == target

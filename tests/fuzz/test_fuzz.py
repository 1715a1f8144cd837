"""Coverage-guided fuzzing for a bounded time; what it ever found stays fixed."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CAPTURES = HERE.parent / "captures"
SECONDS = os.environ.get("FUZZ_SECONDS", "60")
TARGETS = ("haproxy", "kong", "split", "framing", "log_format", "configuration")

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="needs atheris, which has no build for this platform"
)


def seeds(target: str) -> Iterable[bytes]:
    """Give what a target begins with: a part of the captures."""
    if target in {"haproxy", "framing"}:
        rows = (CAPTURES / "haproxy" / "rfc5424-udp.jsonl").read_text("utf-8").splitlines()[::8]
        return [base64.b64decode(json.loads(row)["raw_b64"]) for row in rows]
    if target in {"kong", "split"}:
        rows = (CAPTURES / "kong" / "corpus" / "kong.jsonl").read_text("utf-8").splitlines()[::60]
        return [json.loads(row)["body"].encode(errors="replace") for row in rows]
    if target == "log_format":
        formats = [(CAPTURES / "haproxy" / name).read_bytes() for name in ("json26.fmt", "json26-error.fmt")]
        return [
            *formats,
            b"%{+Q,+X}o %ci:%cp [%tr] %(n:str)b %{-Q}[src,hex] %hr %HQ\n192.0.2.1:1 x",
            b'{"a":["%ST",{"b":"%Ts.%ms"}]}\n{"a":[]}',
        ]
    return [(CAPTURES / "haproxy" / name).read_bytes() for name in ("edge-2.6.cfg", "edge-3.x.cfg")]


def run(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "target.py"), target, *arguments],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


@needs_atheris
@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_make_a_target_raise(target: str, tmp_path: Path) -> None:
    for index, seed in enumerate(seeds(target)):
        (tmp_path / f"{index}").write_bytes(seed)
    done = run(
        target, f"-max_total_time={SECONDS}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048",
        f"-artifact_prefix={HERE}/crashes/{target}-", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


@needs_atheris
@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_found_stays_fixed(target: str) -> None:
    found = sorted((HERE / "crashes").glob(f"{target}-*"))
    done = run(target, "-runs=0", *map(str, found or [HERE / "target.py"]))
    assert done.returncode == 0, done.stderr[-4000:]

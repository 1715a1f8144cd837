"""A wheel holds what the program needs at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_wheel_in_an_empty_environment_replays_a_file_and_finds_its_lineage(
    tmp_path: Path, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("hoptrail-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith("tests/")]
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel], check=True
    )
    # The dependencies are those of this environment; the program itself comes from the wheel alone.
    others = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{others}\n")
    haproxy, kong = tmp_path / "haproxy.log", tmp_path / "kong.jsonl"
    haproxy.write_bytes(b"\n".join(haproxy_lines[:50]))
    kong.write_bytes(b"\n".join(kong_bodies[:60]))
    program = [environment / "bin" / "python", "-m", "pipeline"]
    store = f"chdb://{tmp_path}/store"
    where = subprocess.run(
        [environment / "bin" / "python", "-c", "import pipeline; print(pipeline.__file__)"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert str(site) in where.stdout
    subprocess.run(
        [*program, "replay", "--haproxy", haproxy, "--kong", kong, "--store", store],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    found = subprocess.run(
        [*program, "search", "--store", store, "--limit", "3", "-o", "jsonl"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert len(found.stdout.splitlines()) == 3

"""A replay whose two files come one after the other, against the same files merged.

Every gateway record of the second file is a late half: its lineage is looked up, united and written again. Both
ways must end with every lineage complete; the second may take three times as long. `ROWS` sets the requests
(100000 unless told; the documented size is a million).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_replay import write_logs

ROWS = int(os.environ.get("ROWS", "100000"))


def main() -> None:
    """Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_logs(root, ROWS)
        edge, kong = ("--haproxy", root / "edge"), ("--kong", root / "kong")
        merged = _replayed(root / "merged", [(*edge, *kong)])
        apart = _replayed(root / "apart", [edge, kong])
    print(f"requests        {ROWS}")
    print(f"merged          {merged:8.1f} s, {ROWS / merged:,.0f} requests a second")
    print(f"one by one      {apart:8.1f} s, every lineage complete")
    print(f"ratio           {apart / merged:8.2f}")


def _replayed(store: Path, runs: list[tuple[str | Path, ...]]) -> float:
    """Replay one run after another into a new store; gives the seconds that it took.

    Raises:
        SystemExit: Some lineage is not complete.
    """
    started = time.perf_counter()
    for sides in runs:
        words = ["-m", "pipeline", "replay", *map(str, sides), "--store", f"chdb://{store}", "-o", "json"]
        one = time.perf_counter()
        done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE)
        print(f"  {' '.join(str(word) for word in sides[::2]):18} {time.perf_counter() - one:8.1f} s")
    seconds = time.perf_counter() - started
    lineages = json.loads(done.stdout)["lineages"]
    if lineages != {"complete": ROWS, "edge_only": 0, "gateway_only": 0}:
        raise SystemExit(f"not every lineage is complete: {lineages}")
    return seconds


if __name__ == "__main__":
    main()

"""The benchmark runs at a tiny size and finds loss and gradient equal; how fast each side is, is not tested."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


def test_both_sides_compute_the_same(tmp_path):
    out = tmp_path / "ctkd.md"
    given = ["--shapes", "tiny", "--steps", "1", "--rounds", "1", "--out", str(out)]
    line = [sys.executable, str(ROOT / "benchmarks" / "bench_ctkd.py"), *given]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert out.read_text() == done.stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    (ours,) = (row for row in rows if row[1:2] == ["ours"])
    assert "error <= 1e-05: yes" in ours[-1]

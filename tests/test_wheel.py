"""The built wheel, outside the checkout, does the main job with the weights inside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_runs_the_demo_outside_the_checkout(tmp_path):
    installed, home = tmp_path / "installed", tmp_path / "home"
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    wheel = tmp_path / built.stdout.split()[-1]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(wheel)],
        check=True,
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", "demo", "--no-app", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(installed), "LLM2COMP_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    info = json.loads(done.stdout)
    assert info["documents"] > 2000
    assert info["encoder"] == "default"
    assert Path(info["collection"]).is_relative_to(home)

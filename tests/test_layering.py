"""The import contracts of pyproject.toml hold, and `import` of a package stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_imports_point_down():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["encoder", "train", "indexer", "app"])
def test_importing_a_package_loads_no_heavy_library(package):
    code = (
        f"import sys, {package}; "
        "print(*{'torch', 'pandas', 'faiss', 'lance', 'streamlit', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_module_of_the_app_hides_a_package():
    # Streamlit puts the script's folder first on sys.path: app/encoder.py would replace `encoder`.
    names = {path.stem for path in (ROOT / "app").iterdir()}
    assert not names & ({"encoder", "train", "indexer", "app"} | set(sys.stdlib_module_names))

"""What the packages import is declared in pyproject.toml, and what is declared is used."""

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = {"encoder", "train", "indexer", "app"}
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Declared, but imported by no code here.
_NOT_IMPORTED = {
    "lxml-html-clean": "trafilatura imports it",
    "import-linter": "a command of the Makefile",
    "mypy": "a command of the Makefile",
    "pandas-stubs": "mypy reads it",
    "pre-commit": "a command of CONTRIBUTING.md",
    "ruff": "a command of the Makefile",
    "hatchling": "the build backend",
    "authlib": "st.login of streamlit imports it",
    "httpx2": "authlib imports it",
    "accelerate": "the Trainer of transformers imports it",
    "tensorboard": "the Trainer of transformers writes by it",
}
_IMPORTED_AS = {  # where it is not installed, nothing else says so
    "faiss-cpu": "faiss",
    "faiss-gpu": "faiss",
    "faiss-gpu-cuvs": "faiss",
    "pylance": "lance",
    "scikit-learn": "sklearn",
}


def _canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(requirements):
    return {_canonical(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def _imports(source):
    """First parts of all imported names that are neither ours nor Python's."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - PACKAGES - sys.stdlib_module_names


def _imports_below(*folders):
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return set().union(*(_imports(path.read_text(encoding="utf-8")) for path in paths))


def _distributions(module):
    """Names under which a module's package may be declared, installed or not."""
    known = {_canonical(name) for name in packages_distributions().get(module, [module])}
    return known | {name for name, imported in _IMPORTED_AS.items() if imported == module}


def _undeclared(imports, declared):
    return {module for module in imports if not _distributions(module) & declared}


def _unused(imports, declared):
    used = set().union(*map(_distributions, imports))
    return declared - used - _NOT_IMPORTED.keys()


_EXTRAS = _PROJECT["optional-dependencies"]
_SHIPPED = _declared(_PROJECT["dependencies"]).union(
    *(_declared(lines) for extra, lines in _EXTRAS.items() if extra not in ("dev", "bench"))
)
_ALL = _SHIPPED | _declared(_EXTRAS["dev"]) | _declared(_EXTRAS["bench"])


def test_every_import_is_declared():
    assert _undeclared(_imports_below(*PACKAGES), _SHIPPED) == set()


def test_everything_declared_is_used():
    assert _unused(_imports_below(*PACKAGES), _SHIPPED) == set()
    assert _unused(_imports_below(*PACKAGES, "tests", "benchmarks"), _ALL) == set()


def test_the_exceptions_are_declared():
    assert (_NOT_IMPORTED.keys() | _IMPORTED_AS.keys()) <= _ALL


@pytest.mark.parametrize(
    ("source", "undeclared", "unused"),
    [
        ("import numpy.linalg", set(), {"faiss-gpu"}),
        ("def f():\n    from faiss import Index\n    import json", set(), {"numpy"}),
        ("import numpy, faiss, left_pad", {"left_pad"}, set()),
        ("import numpy, faiss\nfrom encoder import x\nfrom . import y", set(), set()),
    ],
)
def test_the_comparison_notices_both(source, undeclared, unused):
    declared = {"numpy", "faiss-gpu", "ruff"}
    assert _undeclared(_imports(source), declared) == undeclared
    assert _unused(_imports(source), declared) == unused


def _needed(lines):
    """What these requirements bring here, themselves included; what is not installed brings nothing."""
    waiting, seen = [Requirement(line) for line in lines], set()
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras}:
            key = (_canonical(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                found = map(Requirement, requires(wanted.name) or [])
            except PackageNotFoundError:
                continue
            waiting += [each for each in found if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def test_everything_that_gets_installed_is_pinned():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = _declared(line for line in text.splitlines() if "==" in line)
    needed = _needed([*_PROJECT["dependencies"], *(line for lines in _EXTRAS.values() for line in lines)])
    # torch's CUDA build pins these itself.
    open_names = {name for name in needed - pinned if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert open_names == set()

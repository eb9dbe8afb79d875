"""The limits that keep the code readable: sizes, names, docstrings with shapes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("encoder", "train", "indexer", "app")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
BANNED_NAMES = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "tools.py", "manager.py"}
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60


def _functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _body_lines(function):
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_stays_readable(path):
    text = path.read_text(encoding="utf-8")
    assert path.name not in BANNED_NAMES
    assert text.count("\n") <= MOST_FILE_LINES
    long = {f.name: _body_lines(f) for f in _functions(path) if _body_lines(f) > MOST_FUNCTION_LINES}
    assert not long


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_functions_on_arrays_state_a_shape(path):
    silent = []
    for function in _functions(path):
        if function.name.startswith("_") or not ast.get_docstring(function):
            continue
        # A ufunc-like signature: an array or tensor goes in or comes out.
        annotations = [a.annotation for a in function.args.args + function.args.kwonlyargs] + [
            function.returns
        ]
        written = " ".join(ast.unparse(a) for a in annotations if a is not None)
        says = ast.get_docstring(function)
        if ("NDArray" in written or "Tensor" in written) and "[" not in says and "shape" not in says:
            silent.append(function.name)
    assert not silent

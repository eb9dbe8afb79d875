"""One Python source file to the docstrings of its public names, by its syntax tree; nothing is run or imported."""

import ast
import builtins
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FEWEST_CHARACTERS = 80  # shorter docstrings say less than the name
_MOST_CHARACTERS = 20_000
_LARGEST_FILE_BYTES = 1_000_000
_LONGEST_SIGNATURE = 200

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Entry:
    """One docstring and what it belongs to.

    Attributes:
        id: dotted name, "numpy.linalg.svd".
        title: dotted name with its parameters.
        text: the docstring without indentation, never short.
        package: first part of the name; "python" for the standard library.
        module: dotted name of the module, private parts left out.
        kind: "module", "class", "function" or "method".
        n_lines: lines of the docstring.
        n_parameters: parameters without self; None for modules, and for classes and functions written in C.
        is_async: defined by `async def`.
    """

    id: str
    title: str
    text: str
    package: str
    module: str
    kind: str
    n_lines: int
    n_parameters: int | None
    is_async: bool


def parse_source(path: Path) -> ast.Module | None:
    """The syntax tree of a file, or None where it cannot be read or is no Python of this version."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in other people's texts
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def exported_names(tree: ast.Module) -> frozenset[str]:
    """The names that a module passes on: those of `__all__` and those it imports from elsewhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
            names.update(part.value for part in ast.walk(node.value) if _is_text(part))  # type: ignore[attr-defined]
    return frozenset(names)


def read_docstrings(
    tree: ast.Module, module: str, package: str, only: frozenset[str] | None = None
) -> Iterator[Entry]:
    """The entries of a module in the order of the file: module, functions, classes and their methods.

    Args:
        tree: from `parse_source`.
        module: dotted name under which people import its names.
        package: see `Entry`.
        only: top-level names to take, the module itself left out; None for all public ones.
    """
    if only is None and (text := _docstring(tree)):
        yield _entry(module, "", text, (package, module, "module"), None)
    for node in tree.body:
        if not isinstance(node, _Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if only is not None and node.name not in only:
            continue
        name = f"{module}.{node.name}"
        if isinstance(node, _Function):
            yield from _of_function(node, name, (package, module, "function"))
            continue
        if text := _docstring(node):
            yield _entry(name, "", text, (package, module, "class"), None)
        for method in node.body:
            if isinstance(method, _Function) and not method.name.startswith("_"):
                yield from _of_function(method, f"{name}.{method.name}", (package, module, "method"))


def read_builtins(package: str) -> Iterator[Entry]:
    """Functions and types that are written in C and always loaded: sorted, str.split, dict.get."""
    for name, value in sorted(vars(builtins).items()):
        if name.startswith("_") or (isinstance(value, type) and issubclass(value, BaseException)):
            continue
        if not callable(value) or getattr(value, "__module__", "builtins") != "builtins":
            continue  # what an interactive session or another library has put there
        is_type = isinstance(value, type)
        members = sorted(vars(value).items()) if is_type else []
        public = [(f"{name}.{key}", member) for key, member in members if key[0] != "_" and callable(member)]
        for full, member in [(name, value), *public]:
            text = _long_enough(inspect.cleandoc(getattr(member, "__doc__", None) or ""))
            kind = "method" if full != name else "class" if is_type else "function"
            if text:
                signature = getattr(member, "__text_signature__", None) or ""
                yield _entry(full, signature.replace("$", ""), text, (package, "builtins", kind), None)


def _of_function(node: _Function, name: str, place: tuple[str, str, str]) -> Iterator[Entry]:
    text = _docstring(node)
    if not text:
        return
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    n_parameters = len(names) - (place[2] == "method" and names[:1] in (["self"], ["cls"]))
    signature = f"({ast.unparse(node.args)})"
    yield _entry(name, signature, text, place, n_parameters, is_async=isinstance(node, ast.AsyncFunctionDef))


def _entry(
    name: str,
    signature: str,
    text: str,
    place: tuple[str, str, str],
    n_parameters: int | None,
    *,
    is_async: bool = False,
) -> Entry:
    if len(signature) > _LONGEST_SIGNATURE:
        signature = signature[: _LONGEST_SIGNATURE - 2] + "…)"
    title = _storable(name + " ".join(signature.split()))
    package, module, kind = place
    return Entry(name, title, text, package, module, kind, text.count("\n") + 1, n_parameters, is_async)


def _docstring(node: ast.Module | ast.ClassDef | _Function) -> str:
    return _long_enough(ast.get_docstring(node) or "")


def _long_enough(text: str) -> str:
    return _storable(text[:_MOST_CHARACTERS].strip()) if len(text.strip()) >= _FEWEST_CHARACTERS else ""


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)

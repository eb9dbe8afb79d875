"""The demo corpus: docstrings of the Python packages on this machine, chosen evenly, as a Parquet file."""

import math
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path

from app.docstrings import Entry, exported_names, parse_source, read_builtins, read_docstrings

# Asked in other words than the docstrings use, which is what searching by meaning is for.
EXAMPLES = (
    "split a string at a separator",
    "read a file line by line",
    "compress data to save space",
    "wait for several tasks to finish",
    "remove a folder with everything in it",
    "most frequent elements of a list",
    "random numbers from a bell curve",
    "measure how long a piece of code takes",
)
LIMIT = 3000
_STANDARD = "python"
_STANDARD_SHARE = 0.5  # of the limit; the installed packages share the rest
_FEWEST_A_ROUND, _MOST_A_ROUND = 10, 120
_SKIPPED = re.compile(
    r"(tests?|testing|_tests?|_testing|conftest|_?vendor(ed)?|_?vendored_.*|_?extern(als?)?|third_party|examples?"
    r"|benchmarks?|idlelib|lib2to3|turtledemo|ensurepip|site-packages|dist-packages|lib-dynload|__pycache__"
    r"|__main__|pip|setuptools|pkg_resources|wheel|pydoc_data|this|antigravity|encodings|test_.*|.*_tests?)"
)

Report = Callable[[int, int], None]


def write_demo_corpus(path: Path, *, limit: int = LIMIT, progress: Report | None = None) -> int:
    """Writes the corpus and returns its number of rows; the same packages give the same rows.

    The columns are the attributes of `app.docstrings.Entry`. The standard library alone has some thousands.

    Args:
        path: the Parquet file; replaced.
        limit: most rows.
        progress: called now and then with the rows found and the limit.

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    entries = collect_entries(limit, progress=progress)
    fields = [("id", pa.string()), ("title", pa.string()), ("text", pa.string()), ("package", pa.string())]
    fields += [("module", pa.string()), ("kind", pa.string()), ("n_lines", pa.int64())]
    schema = pa.schema([*fields, ("n_parameters", pa.int64()), ("is_async", pa.bool_())])
    parquet.write_table(pa.Table.from_pylist([asdict(entry) for entry in entries], schema), path)
    return len(entries)


def collect_entries(
    limit: int = LIMIT,
    *,
    standard: Path | None = None,
    installed: list[Path] | None = None,
    progress: Report | None = None,
) -> list[Entry]:
    """At most `limit` entries, no text and no name twice: the standard library first, then by name.

    Half the room is the standard library's. Packages take turns for the rest, larger ones with longer turns, so that
    none fills it alone and no more files are read than needed.

    Args:
        limit: most entries.
        standard: folder of the standard library; this Python's without it.
        installed: folders that hold packages; this Python's without it.
        progress: called now and then with the entries found and the limit.
    """
    paths = sysconfig.get_paths()
    standard = standard or Path(paths["stdlib"])
    roots = installed if installed is not None else sorted({Path(paths["purelib"]), Path(paths["platlib"])})
    library = chain(read_builtins(_STANDARD), _read_tree(standard, standard, _STANDARD))
    packages = {root: _packages(root) for root in roots}
    turns = [(_read_tree(path, root, path.stem), _turn(path)) for root in roots for path in packages[root]]
    chosen = _Chosen(limit, progress)
    chosen.take(library, int(limit * _STANDARD_SHARE) if turns else limit)
    while turns and chosen.room:
        turns = [(entries, count) for entries, count in turns if chosen.take(entries, count) == count]
    chosen.take(library, chosen.room)
    return sorted(chosen.entries, key=lambda entry: (entry.package != _STANDARD, entry.id))


class _Chosen:
    """The entries chosen so far, and what they already say."""

    def __init__(self, limit: int, progress: Report | None) -> None:
        self.entries: list[Entry] = []
        self._limit = limit
        self._progress = progress
        self._names: set[str] = set()
        self._texts: set[str] = set()

    @property
    def room(self) -> int:
        """How many more fit."""
        return self._limit - len(self.entries)

    def take(self, entries: Iterator[Entry], count: int) -> int:
        """Takes the next `count` new entries, as far as there is room, and returns how many it were."""
        taken = 0
        new = (entry for entry in entries if entry.id not in self._names and entry.text not in self._texts)
        for entry in islice(new, min(count, self.room)):
            self.entries.append(entry)
            self._names.add(entry.id)
            self._texts.add(entry.text)
            taken += 1
        if self._progress is not None:
            self._progress(len(self.entries), self._limit)
        return taken


def _packages(root: Path) -> list[Path]:
    """Packages and single modules directly in a folder, public ones, by name."""
    try:
        inside = sorted(root.iterdir())
    except OSError:
        return []
    return [
        path
        for path in inside
        if path.stem.isidentifier()
        and not path.stem.startswith("_")
        and not _SKIPPED.fullmatch(path.stem)
        and (path.suffix == ".py" or (path / "__init__.py").is_file())
    ]


def _turn(package: Path) -> int:
    """Entries that a package gives at a time: more for larger ones, but far from in proportion."""
    n_files = sum(1 for _ in package.rglob("*.py")) if package.is_dir() else 1
    return min(_MOST_A_ROUND, max(_FEWEST_A_ROUND, 5 * math.isqrt(n_files)))


def _read_tree(top: Path, root: Path, package: str) -> Iterator[Entry]:
    """The entries of all modules under `top`, those near the top first, since they are what people import."""
    files = [top] if top.is_file() else [path for path in top.rglob("*.py") if path.is_file()]
    named = [(path, path.relative_to(root).with_suffix("").parts) for path in files]
    for path, parts in sorted(named, key=lambda pair: (len(pair[1]), pair[1])):
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and not any(_SKIPPED.fullmatch(part) for part in parts):
            yield from _read_module(path, parts, root, package)


def _read_module(path: Path, parts: tuple[str, ...], root: Path, package: str) -> Iterator[Entry]:
    private = next((number for number, part in enumerate(parts) if part.startswith("_")), None)
    if private == 0 or (tree := parse_source(path)) is None:
        return
    if private is None:
        yield from read_docstrings(tree, ".".join(parts), package)
        return
    # numpy.linalg._linalg.svd is numpy.linalg.svd to people, if numpy.linalg passes it on.
    front = parse_source(root.joinpath(*parts[:private], "__init__.py"))
    if front is not None:
        yield from read_docstrings(tree, ".".join(parts[:private]), package, exported_names(front))

"""The demo corpus from small made-up packages, and from this Python itself."""

import pytest

from app.demo_corpus import EXAMPLES, collect_entries, write_demo_corpus
from app.docstrings import parse_source, read_docstrings

LONG = "Does something that takes more than eighty characters to say, so that it is worth finding. "


@pytest.fixture
def library(tmp_path):
    root = tmp_path / "lib"
    root.mkdir()
    for number in range(30):
        functions = "".join(f'def f{n}(a, *, b=1):\n    """{LONG}{number} {n}."""\n' for n in range(5))
        (root / f"mod{number:02}.py").write_text(f'"""{LONG}{number}."""\n{functions}')
    return root


def package(root, name, files):
    for path, text in files.items():
        file = root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())


def ids(entries):
    return {entry.id for entry in entries}


def test_public_names_with_long_docstrings_are_taken(tmp_path, library):
    package(
        tmp_path,
        "shop",
        {
            "__init__.py": f'"""{LONG}shop"""\nfrom shop._cart import buy\n',
            "goods.py": f'''
class Box:
    """{LONG}box"""
    async def open(self, key, *more):
        """{LONG}
            indented
        open"""
    def _hide(self):
        """{LONG}hidden"""
    def short(self):
        """Short."""
def twin():
    """{LONG}box"""
''',
            "_cart.py": f'def buy():\n    """{LONG}buy"""\ndef inner():\n    """{LONG}inner"""\n',
            "tests/test_box.py": f'"""{LONG}test"""',
            "_vendor/old.py": f'"""{LONG}old"""',
        },
    )
    entries = [e for e in collect_entries(100, standard=library, installed=[tmp_path]) if e.package == "shop"]
    assert [e.id for e in entries] == ["shop", "shop.buy", "shop.goods.Box", "shop.goods.Box.open"]
    method = entries[-1]
    assert method.title == "shop.goods.Box.open(self, key, *more)"
    assert method.text.endswith("\n    indented\nopen")
    assert (method.kind, method.module, method.n_parameters) == ("method", "shop.goods", 1)
    assert (method.is_async, method.n_lines) == (True, 3)


def test_odd_files_are_left_out(tmp_path, library):
    package(
        tmp_path,
        "odd",
        {
            "__init__.py": "",
            "broken.py": "def (",
            "nul.py": b"a\x00b",
            "bytes.py": b"\xff\xfe\x80",
            "deep.py": "(" * 100_000,
            "fine.py": f'"""{LONG} \\ud800 \\d"""',
        },
    )
    (tmp_path / "odd" / "link.py").symlink_to(tmp_path / "nowhere.py")
    entries = [e for e in collect_entries(100, standard=library, installed=[tmp_path]) if e.package == "odd"]
    assert ids(entries) == {"odd.fine"}
    assert "?" in entries[0].text


def test_no_package_takes_all_the_room(tmp_path, library):
    for name in ("large", "small"):
        functions = "".join(f'def f{n}():\n    """{LONG}{name} {n}"""\n' for n in range(400))
        package(tmp_path, name, {"__init__.py": functions})
    entries = collect_entries(120, standard=library, installed=[tmp_path])
    counts = {name: sum(e.package == name for e in entries) for name in ("python", "large", "small")}
    assert counts == {"python": 60, "large": 30, "small": 30}
    assert len(ids(entries)) == len({e.text for e in entries}) == 120


def test_the_same_packages_give_the_same_entries(tmp_path, library):
    package(tmp_path, "shop", {"__init__.py": f'"""{LONG}shop"""'})
    one = collect_entries(90, standard=library, installed=[tmp_path])
    assert one == collect_entries(90, standard=library, installed=[tmp_path])


def test_builtins_are_described_too(library):
    entries = {e.id: e for e in collect_entries(400, standard=library, installed=[])}
    assert entries["str.split"].title == "str.split(self, /, sep=None, maxsplit=-1)"
    assert entries["str.split"].package == "python"
    assert "ValueError" not in entries


def test_the_file_has_typed_columns_and_progress_is_told(tmp_path):
    from pyarrow import parquet

    seen = []
    count = write_demo_corpus(tmp_path / "demo.parquet", limit=300, progress=lambda *step: seen.append(step))
    table = parquet.read_table(tmp_path / "demo.parquet")
    assert table.num_rows == count == 300
    assert table.column_names[:6] == ["id", "title", "text", "package", "module", "kind"]
    assert str(table.schema.field("n_lines").type) == "int64"
    assert seen[-1] == (300, 300)


def test_a_signature_with_defaults_is_cut_when_long(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(f'def f(a="{"x" * 500}"):\n    """{LONG}"""\n')
    (entry,) = read_docstrings(parse_source(path), "m", "m")
    assert len(entry.title) <= 203
    assert entry.title.endswith("…)")


def test_there_are_questions_to_start_with():
    assert 6 <= len(EXAMPLES) == len(set(EXAMPLES)) <= 8

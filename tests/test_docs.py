"""The documentation says what is true: links lead somewhere, references are fresh, printed commands run."""

import importlib.util
import json
import random
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from app.cli import EXIT_BUG, EXIT_INTERRUPTED, build_parser, main
from app.verbs.verify import EXIT_CHECK_FAILED
from encoder.errors import Llm2CompError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    DOCS.rglob("*.md")
)
BUNDLED = ROOT / "encoder" / "bundled" / "llm2comp.json"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
# What a test cannot do: it needs the network, a browser, or another shell.
NOT_RUN = (
    "make ",
    "export PATH=",
    "llm2comp app",
    "pip ",
    "llm2comp demo",
    "llm2comp export demo",
    "llm2comp diagnose demo",
    "torchrun ",
    "llm2comp train compress --config recipes/paper",
    "llm2comp eval runs/contrastive/encoder --mteb",
)


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    return [body for found, body in _FENCE.findall(read(page)) if found == language]


def prose(page):
    return _FENCE.sub("", read(page))


def named(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# Links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_something(page):
    for target in _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{named(page)} links to {target}"


def test_every_page_is_reached_from_the_door():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [(page.parent / t.partition("#")[0]).resolve() for t in _LINK.findall(prose(page))]
    assert {named(page) for page in PAGES} <= {named(page) for page in reached}


def test_the_readme_is_short_and_begins_with_what_to_type():
    lines = read(ROOT / "README.md").splitlines()
    assert len(lines) <= 120
    assert next(n for n, line in enumerate(lines, 1) if line.startswith("```")) <= 20


def test_no_page_names_a_place_on_one_machine():
    for page in PAGES:
        assert not re.search(r"/(work|root|home|tmp)/", read(page)), named(page)


# References


def loaded(file):
    spec = importlib.util.spec_from_file_location(f"loaded_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference():
    return loaded(ROOT / "scripts" / "write_reference.py")


@pytest.mark.parametrize("page", sorted((DOCS / "reference").glob("*.md")), ids=named)
def test_reference_pages_are_fresh(page):
    fresh = reference().render(read(page))
    assert fresh == read(page), f"{named(page)} is stale: python scripts/write_reference.py"


def test_every_generated_part_stands_on_one_page():
    module = reference()
    used = [part for page in (DOCS / "reference").glob("*.md") for part in module.used_parts(read(page))]
    assert sorted(used) == sorted(module.parts())


def leaves():
    return {parser.prog: parser for parser in reference()._leaves(build_parser())}


def flags(parser):
    return {flag for action in parser._actions for flag in action.option_strings}


def test_every_verb_and_option_of_the_help_is_documented():
    text = read(DOCS / "reference" / "cli.md")
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert {prog.removeprefix("llm2comp ") for prog in leaves()} == set(sections)
    for prog, parser in leaves().items():
        shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", parser.format_help())) & flags(parser)
        for flag in shown - {"-h", "--help"}:
            assert flag in sections[prog.removeprefix("llm2comp ")], f"{prog} {flag}"


def test_no_page_speaks_of_an_option_that_does_not_exist():
    foreign = {
        "--help",
        "--version",
        "--force-reinstall",
        "--no-deps",
        "--wheel-dir",
        "--logdir",
        "--nproc-per-node",
        "--no-python",
    }
    known = {flag for parser in leaves().values() for flag in flags(parser)} | foreign
    for page in PAGES:
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", read(page)):
            assert flag in known, f"{named(page)}: {flag}"


def test_examples_of_the_help_can_be_parsed():
    for prog, parser in leaves().items():
        examples = parser.epilog.replace("examples:", "").strip().splitlines()
        assert 2 <= len(examples) <= 4, prog
        for example in examples:
            assert build_parser().parse_args(shlex.split(example)[1:]).run, example


def subclasses(kind):
    return {kind, *(each for child in kind.__subclasses__() for each in subclasses(child))}


def test_every_kind_of_error_and_exit_code_is_documented():
    text = read(DOCS / "reference" / "errors.md")
    kinds = {kind for kind in subclasses(Llm2CompError) if kind.__module__ == "encoder.errors"}
    for kind in kinds:
        assert f"| `{kind.__name__}` | {kind.exit_code} |" in text
    codes = {0, EXIT_CHECK_FAILED, EXIT_BUG, EXIT_INTERRUPTED} | {kind.exit_code for kind in kinds}
    table = text.partition("## Exit codes")[2]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)} == codes


def test_the_glossary_defines_the_words_of_the_field_once():
    terms = re.findall(r"^\| ([^|]+) \| [^|]{10,} \|$", read(DOCS / "glossary.md"), re.M)
    single = [word.strip() for term in terms for word in term.split(",")]
    assert len(single) == len(set(single))
    wanted = "corpus collection document passage metadata embedding pooling query hit score filter segment"
    wanted += " publication version k teacher fingerprint nlist nprobe semantic keyword hybrid"
    assert set(wanted.split()) | {"memory token", "ann recall@k", "recall@k"} <= set(single)


# What programs write, against what the reference says


@pytest.fixture
def written(tmp_path, word_embedder):
    import pandas as pd

    from indexer.collection import Collection
    from indexer.sources import open_sources

    source = open_sources(
        [pd.DataFrame({"id": ["1"], "text": ["A river flows to the sea."], "year": [2020]})]
    )
    collection = Collection.create(tmp_path / "written", encoder=word_embedder, columns=source.columns)
    collection.add(source, encoder=word_embedder)
    return collection


def test_files_of_a_collection_are_documented(written):
    text = read(DOCS / "reference" / "file-formats.md")
    for entry in written.path.iterdir():
        assert re.search(rf"^  {re.escape(entry.name)}[/ ]", text, re.M), entry.name
    segment = next(written.path.glob("derived/*/seg-0"))
    for file in segment.iterdir():
        assert f"| `{file.name}` |" in text, file.name
    described = json.loads((segment / "seg.json").read_text())
    row = next(line for line in text.splitlines() if line.startswith("| `seg.json`"))
    assert set(re.findall(r"`(\w+)`", row)) == set(described)
    assert set(json.loads((written.path / "collection.json").read_text())) <= set(
        re.findall(r"`(\w+)`", text)
    )


def test_json_results_are_documented(written):
    text = read(DOCS / "reference" / "file-formats.md")
    told = re.search(r"`info --json`: (.*?)\.\n", text, re.S)[1]
    assert set(re.findall(r"`(\w+)`", told)) == set(written.info())
    file = written.path.parent / "all.jsonl"
    written.export(file, vectors=True)
    told = re.search(r"`export`: (.*?)\.\n", text, re.S)[1]
    assert set(json.loads(file.read_text())) - {"year"} <= set(re.findall(r"`(\w+)`", told))


def test_progress_of_a_job_is_documented(tmp_path):
    from app.job_meter import JobMeter

    with JobMeter(quiet=True, file=tmp_path / "progress.json"):
        pass
    told = re.search(r"`progress.json`, (.*?)\.\n", read(DOCS / "reference" / "file-formats.md"), re.S)[1]
    assert set(json.loads((tmp_path / "progress.json").read_text())) <= set(re.findall(r"`(\w+)`", told))


def test_files_of_an_encoder_are_documented():
    text = read(DOCS / "reference" / "file-formats.md").partition("## Encoder directory")[2]
    for file in BUNDLED.parent.iterdir():
        assert file.name in text or file.name in ("README.md", "LICENSE"), file.name


# Commands and code


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder in which the tutorial was followed."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM2COMP_HOME", str(folder / "home"))
        with patch.context() as inside:
            inside.chdir(folder)
            follow(DOCS / "tutorial.md")
        (folder / "reports").mkdir()
        (folder / "reports" / "one.csv").write_bytes((folder / "articles.csv").read_bytes())
        yield folder


@pytest.fixture
def workplace(followed, tmp_path, monkeypatch):
    """A copy of that folder, which is also the current one."""
    shutil.copytree(followed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def statements(block):
    """Shell commands, a here-document with its command."""
    lines = iter(block.splitlines())
    for line in lines:
        if found := re.search(r"<<'(\w+)'", line):
            body = [line]
            while body[-1] != found[1]:
                body.append(next(lines))
            yield "\n".join(body)
        elif line.strip():
            yield line.partition("  #")[0].strip()


def follow(page):
    """Runs the commands of a page as a user would; ours in this process, so that torch is imported once."""
    for block in blocks(page, "sh"):
        for statement in statements(block):
            if statement.startswith(NOT_RUN):
                continue
            if statement.startswith("llm2comp "):
                assert main(shlex.split(statement)[1:]) == 0, f"{named(page)}: {statement}"
            else:
                subprocess.run(["bash", "-ec", statement], check=True)


def test_commands_that_are_not_run_are_few():
    skipped = {
        s for page in PAGES for b in blocks(page, "sh") for s in statements(b) if s.startswith(NOT_RUN)
    }
    examples = {s for b in blocks(DOCS / "reference" / "cli.md", "sh") for s in statements(b)}
    assert {s for s in skipped - examples if not s.startswith("pip")} == {
        "make demo",
        "make test",
        "make demo NO_APP=1",
        'export PATH="$PWD/.venv/bin:$PATH"',
        "llm2comp app articles",
        "llm2comp app articles --port 8501 --auth auth.toml --no-browser",
        "llm2comp demo --no-app",
        "llm2comp diagnose demo",
        "llm2comp export demo --out runs/tiny/texts.parquet",
        "llm2comp train compress --config recipes/paper/qwen3-0.6b/compress.toml",
        "llm2comp train compress --config recipes/paper/qwen3-0.6b/compress.toml --dry-run",
        "torchrun --nproc-per-node 8 --no-python llm2comp train compress --config recipes/paper/qwen3-0.6b/compress.toml",
    } - examples


def test_the_tutorial_leaves_what_it_says(workplace):
    import pyarrow.parquet as pq

    table = pq.read_table(workplace / "articles.parquet")
    assert table.num_rows == 8
    assert {"topic", "year", "vector"} <= set(table.column_names)


def test_the_tutorial_shows_what_is_printed(workplace, capsys):
    main(["index", "articles.csv", "--into", "articles"])
    assert blocks(DOCS / "tutorial.md", "")[0].strip() in capsys.readouterr().err


def test_keywords_of_the_tutorial_find_what_they_say(workplace, capsys):
    main(["search", "articles", "+toll -company", "--mode", "keyword"])
    found = capsys.readouterr().out
    assert "Who pays for roads" in found
    assert "Toll roads in private hands" not in found


def test_the_error_of_the_reference_is_the_real_one(workplace, capsys):
    page = DOCS / "reference" / "errors.md"
    asked = ["search", "articles", "x", "--where", "yaer >= 2020"]
    assert main(asked) == 1
    assert capsys.readouterr().err == blocks(page, "")[0]
    main([*asked, "--json"])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert set(json.loads(printed.err)["error"]) == set(json.loads(blocks(page, "json")[0])["error"])


HOW_TO = [
    "index-your-files",
    "search-with-filters",
    "go-on-after-a-stop",
    "export-an-encoder",
    "use-another-encoder",
    "several-readers-one-writer",
    "when-something-is-damaged",
    "use-from-python",
    "evaluate-an-encoder",
    "look-at-health",
    "map-a-corpus",
    "find-topics",
    "share-what-you-see",
    "sign-in",
    pytest.param("train-an-encoder", marks=pytest.mark.slow),
]


def test_every_how_to_is_followed():
    names = [name if isinstance(name, str) else name.values[0] for name in HOW_TO]
    assert sorted(page.stem for page in (DOCS / "how-to").glob("*.md")) == sorted(names)


def make_sets(folder):
    """Evaluation sets of every kind, and an encoder to score."""
    sets = loaded(ROOT / "tests" / "train" / "evaluation" / "sets.py")
    for write in (sets.write_sts, sets.write_retrieval, sets.write_classification, sets.write_clustering):
        write(folder / "sets")
    shutil.copytree(BUNDLED.parent, folder / "runs" / "mine" / "encoder")


def make_training(folder):
    """Texts like those of the demo corpus, and the tiny recipes with few steps."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [a + b for a in ("ba", "do", "ki", "lu", "me", "su") for b in ("n", "r", "st", "l")]
    draw = random.Random(0)
    rows = [draw.choices(words, k=60) for _ in range(300)]
    table = pa.table({"title": [" ".join(row[:4]) for row in rows], "text": [" ".join(row) for row in rows]})
    (folder / "runs" / "tiny").mkdir(parents=True)
    pq.write_table(table, folder / "runs" / "tiny" / "texts.parquet")
    (folder / "recipes").mkdir()
    for recipe in (ROOT / "recipes").glob("tiny*.toml"):
        text = re.sub(r"^steps = .*", "steps = 4", read(recipe), flags=re.M)
        text = re.sub(r"^warmup_steps = .*", "warmup_steps = 1", text, flags=re.M)
        text = re.sub(r"^evaluate_steps = .*", "evaluate_steps = 4", text, flags=re.M)
        text = re.sub(r"^batch = .*", "batch = 8", text, flags=re.M)
        (folder / "recipes" / recipe.name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", HOW_TO)
def test_how_to_can_be_followed(workplace, name):
    page = DOCS / "how-to" / f"{name}.md"
    if name == "use-another-encoder":
        follow(DOCS / "how-to" / "export-an-encoder.md")
    if name in ("evaluate-an-encoder", "train-an-encoder"):
        make_sets(workplace)
    if name == "train-an-encoder":
        make_training(workplace)
    follow(page)
    exec(compile("\n".join(blocks(page, "python")), str(page), "exec"), {})


def test_the_readme_can_be_followed(workplace):
    follow(ROOT / "README.md")
    exec("\n".join(blocks(ROOT / "README.md", "python")), {})

"""Writes the parts of docs/reference that follow from the code; run it after changing an option, an error or a format.

    .venv/bin/python scripts/write_reference.py

A page marks such a part by `<!-- from the code: NAME -->` and `<!-- end -->`; everything else on it is written by hand.
Source files are read, not imported, but for the parsers and the schema of the rows.
"""

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
_PART = re.compile(
    r"(?P<head><!-- from the code: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<tail><!-- end -->)", re.S
)
_WIDEST = 80
_SETTINGS = "train/settings.py"
# Sections of training recipes that several stages have.
_SHARED = {"texts": "Texts", "schedule": "Schedule", "watch": "Watch", "adapter": "Adapter"}
# Where the default stands among the arguments of a rule of `train.recipe`.
_RULES = {"least": 1, "within": 2, "one_of": 0}
_UNBOUNDED = 1e9
_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Example|Source):$", re.M)

# What the fields of a row mean; `row_schema` says which there are.
_ROW_FIELDS = {
    "id": "of the passage: document id, `#`, number of the passage, `-`, eight hex digits of the document's state",
    "doc_id": "of the document: from the id column, else a hash of title and text",
    "doc_hash": "of title, text and how they are cut; equal hash, nothing to encode",
    "meta_hash": "of the metadata; other hash, new row with the old vector",
    "content_hash": "of `content`, checked by `verify`",
    "chunk_no": "number of the passage in its document, from 0",
    "char_start": "first character of the passage in the document's text",
    "char_end": "one past its last character",
    "title": "of the document, may be empty",
    "content": "what was encoded and what keyword search covers: title, line end, passage",
    "text_at": "where the passage begins in `content`",
    "gap_before": "white space before it that no passage covers; mostly empty",
    "gap_after": "the same after the last passage of a document",
    "source": "label of the source it came from; `--mirror` goes by it",
    "ingest_id": "of the batch that wrote it",
    "extra": "JSON of columns that the collection does not have; null without any",
    "vec": "the vector, unit length",
}


def parts() -> dict[str, Callable[[], str]]:
    """Every generated part, by the name that a page calls it."""
    return {
        "verbs": write_verbs,
        "errors": write_errors,
        "collection": lambda: field_table("indexer/storage/manifest.py", "CollectionSettings"),
        "publication": lambda: field_table("indexer/storage/manifest.py", "Publication"),
        "segment": lambda: field_table("indexer/storage/manifest.py", "SegmentEntry"),
        "effort": lambda: field_table("indexer/segments/segment.py", "Effort"),
        "rows": write_row_fields,
        "build": lambda: field_table("indexer/derived.py", "Build"),
        "topic": lambda: field_table("indexer/topics/stored.py", "Topic", with_defaults=False),
        "encoder": lambda: field_table("encoder/config.py", "EncoderConfig"),
        "encoder-base": lambda: field_table("encoder/config.py", "BaseReference"),
        "encoder-prompts": lambda: field_table("encoder/config.py", "Prompts"),
        "job": lambda: field_table("app/job_files.py", "Job"),
        "recipe-distil": lambda: write_recipe("train/distillation/recipe.py", "Recipe"),
        "recipe-pretrain": lambda: write_sections("PretrainRecipe"),
        "recipe-compress": lambda: write_sections("CompressRecipe"),
        "recipe-simcse": lambda: write_sections("SimcseRecipe"),
        "recipe-contrastive": lambda: write_sections("ContrastiveRecipe"),
        "recipe-mine": lambda: write_sections("MineRecipe"),
        "recipe-shared": lambda: "\n".join(_section(_SETTINGS, name, kind) for name, kind in _SHARED.items()),
        "hit": lambda: field_table("indexer/hits.py", "Hit", with_defaults=False),
        "provenance": lambda: field_table("indexer/hits.py", "Provenance", with_defaults=False),
        "add-report": lambda: field_table("indexer/ingest/job.py", "AddReport", with_defaults=False),
        "python-encoder": lambda: (
            write_functions("encoder/checkpoint.py", ["load_encoder"])
            + write_functions(
                "encoder/model.py",
                ["Encoder.encode_query", "Encoder.encode_document", "Encoder.encode_memory"],
            )
        ),
        "python-sources": lambda: write_functions("indexer/sources/open.py", ["open_sources"]),
        "python-collection": lambda: write_functions(
            "indexer/collection.py",
            [f"Collection.{name}" for name in ("create", "open", "add", "delete", "publish", "info")]
            + [f"Collection.{name}" for name in ("rebuild", "verify", "export")],
        ),
        "python-search": lambda: write_functions(
            "indexer/search.py",
            [f"Searcher.{name}" for name in ("search", "search_batch", "document")],
        ),
        "python-whole": lambda: (
            write_functions("indexer/health/examine.py", ["examine", "examine_vectors"])
            + write_functions("indexer/maps/build.py", ["build_from"])
            + write_functions("indexer/topics/build.py", ["build_topics"])
            + write_functions("indexer/selection.py", ["select_rows"])
        ),
        "map-recipe": lambda: field_table("indexer/maps/build.py", "MapRecipe"),
        "health-parts": lambda: field_table("indexer/health/examine.py", "Parts"),
        "selection": lambda: field_table("indexer/selection.py", "Selection"),
    }


def render(text: str) -> str:
    """The page with every generated part as the code is now.

    Raises:
        KeyError: the page names a part that does not exist.
    """
    known = parts()
    return _PART.sub(
        lambda found: found["head"] + known[found["name"]]().strip() + "\n" + found["tail"], text
    )


def used_parts(text: str) -> set[str]:
    """Names of the parts on a page."""
    return {found["name"] for found in _PART.finditer(text)}


def write_verbs() -> str:
    """Usage, arguments and examples of every verb."""
    from app.cli import build_parser

    return "\n".join(_verb(parser) for parser in _leaves(build_parser()))


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        for child in action.choices.values():
            yield from _leaves(child)


def _verb(parser: argparse.ArgumentParser) -> str:
    shown = [
        action
        for action in parser._actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
    ]
    arguments = [_argument(a) for a in shown if not a.option_strings]
    usage = " ".join([parser.prog, *arguments, "[options]"])
    lines = [f"## {parser.prog.removeprefix('llm2comp ')}", "", f"{parser.description}", "", f"`{usage}`", ""]
    lines += ["| argument | meaning |", "|---|---|"]
    lines += [f"| `{_cell(_spelling(a))}` | {_cell(_meaning(a))} |" for a in shown]
    examples = (parser.epilog or "").replace("examples:", "").strip().splitlines()
    if examples:
        lines += ["", "```sh", *(line.strip() for line in examples), "```"]
    return "\n".join([*lines, ""])


def _argument(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest
    name = metavar if isinstance(metavar, str) else " ".join(metavar)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        return _argument(action)
    value = ""
    if action.nargs != 0:
        value = " " + ("|".join(map(str, action.choices)) if action.choices else _argument(action))
    return ", ".join(action.option_strings) + value


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    is_told = "default" in text or action.default in (None, False, [], argparse.SUPPRESS)
    text += "; required" if action.required and action.option_strings else ""
    return text if is_told else f"{text} (default: {action.default})"


def write_errors() -> str:
    """Kind, exit code and meaning of every error."""
    rows = ["| kind | exit | meaning |", "|---|---|---|"]
    codes: dict[str, str] = {}
    for node in _module("encoder/errors.py").body:
        if not isinstance(node, ast.ClassDef):
            continue
        base = ast.unparse(node.bases[0])
        own = [
            ast.unparse(entry.value)
            for entry in node.body
            if isinstance(entry, ast.Assign) and ast.unparse(entry.targets[0]) == "exit_code"
        ]
        codes[node.name] = own[0] if own else codes[base]
        summary = (ast.get_docstring(node) or "").splitlines()[0]
        rows.append(f"| `{node.name}` | {codes[node.name]} | {_cell(summary)} |")
    return "\n".join(rows)


def write_row_fields() -> str:
    """The fields of a row of `rows.lance`, metadata aside."""
    from indexer.storage.row_schema import row_schema

    rows = ["| field | type | meaning |", "|---|---|---|"]
    for entry in row_schema(256, {}, {}):
        kind = str(entry.type).replace("[256]", "[dimension]")
        rows.append(
            f"| `{entry.name}` | {kind}{' or null' if entry.nullable and entry.name != 'vec' else ''} "
            f"| {_ROW_FIELDS[entry.name]} |"
        )
    return "\n".join(rows)


def write_recipe(file: str, name: str) -> str:
    """The keys of a recipe, a table a section.

    Args:
        file: relative to the repository.
        name: the dataclass of the whole recipe.
    """
    lines = []
    for section in (n for n in _class(file, name).body if isinstance(n, ast.AnnAssign)):
        kind, key = ast.unparse(section.annotation), ast.unparse(section.target)
        if kind.endswith("Config"):
            lines.append(_section(file, key, kind))
        else:
            lines += [f"`[{key}]`: {_comment(file, section) or kind}.", ""]
    return "\n".join(lines)


def write_sections(name: str) -> str:
    """The keys of a stage's recipe: its own values, then the sections that no other stage has.

    Args:
        name: the dataclass, in `train/settings.py`.
    """
    fields = [n for n in _class(_SETTINGS, name).body if isinstance(n, ast.AnnAssign)]
    kinds = {
        ast.unparse(n.target): re.sub(r"tuple\[|, \.\.\.\]| \| None", "", ast.unparse(n.annotation))
        for n in fields
    }
    known = {n.name for n in _module(_SETTINGS).body if isinstance(n, ast.ClassDef)}
    plain = [key for key, kind in kinds.items() if kind not in known]
    summary = (ast.get_docstring(_class(_SETTINGS, name)) or "").splitlines()[0]
    lines = [summary, "", field_table(_SETTINGS, name, only=plain), ""]
    shared = [f"`[{key}]`" for key, kind in kinds.items() if _SHARED.get(key) == kind]
    if shared:
        lines += [f"Sections that several stages have, described below: {', '.join(shared)}.", ""]
    for key, kind in kinds.items():
        if kind in known and _SHARED.get(key) != kind:
            lines.append(_section(_SETTINGS, f"[{key}]" if key == "pairs" else key, kind))
    return "\n".join(lines)


def _section(file: str, key: str, kind: str) -> str:
    summary = (ast.get_docstring(_class(file, kind)) or "").splitlines()[0]
    return "\n".join([f"`[{key}]`: {summary}", "", field_table(file, kind), ""])


def field_table(file: str, name: str, *, with_defaults: bool = True, only: list[str] | None = None) -> str:
    """Field, type, default and meaning of a dataclass, from its docstring or the comments behind its fields."""
    node = _class(file, name)
    told = _attributes(ast.get_docstring(node) or "")
    fields = [
        entry
        for entry in node.body
        if isinstance(entry, ast.AnnAssign) and (only is None or ast.unparse(entry.target) in only)
    ]
    has_default = with_defaults and any(entry.value for entry in fields)
    rows = [
        "| field | type | default | meaning |" if has_default else "| field | type | meaning |",
        "|---|---|---|---|" if has_default else "|---|---|---|",
    ]
    for entry in fields:
        field, kind = ast.unparse(entry.target), ast.unparse(entry.annotation)
        meaning = told.get(field) or _comment(file, entry)
        meaning = (meaning + _rule(entry.value)).removeprefix("; ")
        default = f" {_default(_constant(file, entry.value))} |" if has_default else ""
        rows.append(f"| `{field}` | {_cell(kind)} |{default} {_cell(meaning).rstrip('.')} |")
    return "\n".join(rows)


def _constant(file: str, value: ast.expr | None) -> ast.expr | None:
    """What a name stands for that the file gives a plain value; anything else as it is."""
    if isinstance(value, ast.Name) and value.id != "FORMAT":
        for node in _module(file).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == value.id:
                return node.value
    return value


def _default(value: ast.expr | None) -> str:
    if value is None:
        return "required"
    if isinstance(value, ast.Call) and ast.unparse(value.func) in _RULES:
        place = _RULES[ast.unparse(value.func)]
        return _default(value.args[place] if len(value.args) > place else None)
    if isinstance(value, ast.Call):  # field(default_factory=...)
        factory = ast.unparse(value.keywords[0].value)
        return "empty" if factory in ("list", "dict") else "its defaults"
    if isinstance(value, ast.Starred):
        return f"`{_words(ast.unparse(value.value))[0]!r}`"
    text = "1" if ast.unparse(value) == "FORMAT" else ast.unparse(value)
    return "empty" if text in ("()", "''") else f"`{text}`"


def _rule(value: ast.expr | None) -> str:
    """The values that a field of a recipe takes, where that is more than its type."""
    if not isinstance(value, ast.Call):
        return ""
    kind, given = ast.unparse(value.func), [ast.unparse(argument) for argument in value.args]
    if kind == "one_of":
        words = list(map(ast.literal_eval, given)) if given[0][0] != "*" else _words(given[0][1:])
        return "; one of " + ", ".join(f"`{word}`" for word in words)
    if kind == "within" and float(given[1]) < _UNBOUNDED:
        return f"; from {given[0]} to {given[1]}"
    return f"; {given[0]} or more" if kind in ("least", "within") and given[0] != "0" else ""


def _words(name: str) -> list[str]:
    for node in _module(_SETTINGS).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return list(ast.literal_eval(node.value))
    raise KeyError(name)


def write_functions(file: str, names: list[str]) -> str:
    """Signature and docstring of functions and methods.

    Args:
        file: relative to the repository.
        names: `function` or `Class.method`.
    """
    return "\n".join(_function(file, name) for name in names)


def _function(file: str, qualified: str) -> str:
    node = _definition(file, qualified)
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    if len(arguments) > _WIDEST:
        arguments = "\n    " + ",\n    ".join(_split_arguments(arguments)) + ",\n"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = re.sub(
        r"'(Source|OnBadRow|AddReport|list\[\w+\])'", r"\1", f"{qualified}({arguments}){returns}"
    )
    signature = signature.replace("'Collection'", "Collection").replace("'list[Finding]'", "list[Finding]")
    text = _markdown(
        _with_details(ast.get_docstring(node) or "", {entry.arg for entry in _every_argument(node)})
    )
    return f"```\n{signature}\n```\n\n{text}"


def _definition(file: str, qualified: str) -> ast.FunctionDef:
    owner, _, name = qualified.rpartition(".")
    body = _class(file, owner).body if owner else _module(file).body
    return next(n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)


def _split_arguments(arguments: str) -> list[str]:
    """Arguments at the commas outside of brackets."""
    return re.split(r", (?![^\[(]*[\])])", arguments)


def _with_details(docstring: str, arguments: set[str]) -> str:
    """A docstring that says "see `module.function`", with the sections of that function in place of the hint.

    Args:
        docstring: of a method.
        arguments: those of the method; others of the function are left out.
    """
    found = re.search(r"; see `([\w.]+)\.(\w+)`\.", docstring)
    if not found:
        return docstring
    file = found[1].replace(".", "/") + ".py"
    if not (ROOT / file).exists():  # a module, not a function
        return docstring.replace(found[0], ".")
    details = ast.get_docstring(_definition(file, found[2])) or ""
    first = _SECTION.search(details)
    details = details[first.start() :] if first else ""
    for name in {entry.arg for entry in _every_argument(_definition(file, found[2]))} - arguments:
        details = re.sub(rf"^    {name}: .*\n(?:     .*\n)*", "", details, flags=re.M)
    return docstring.replace(found[0], ".") + "\n\n" + details


def _every_argument(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.args, *node.args.kwonlyargs]


def _markdown(docstring: str) -> str:
    """Google sections as bullet lists."""
    pieces = _SECTION.split(docstring)
    lines = [" ".join(block.split()) for block in pieces[0].strip().split("\n\n")]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if title not in ("Example", "Source"):
            lines.append(f"{title}:\n\n" + "\n".join(f"- {item}" for item in _items(body)))
    return "\n\n".join(line for line in lines if line) + "\n"


def _items(body: str) -> list[str]:
    """The entries of a section, continuation lines joined, names in backticks."""
    entries: list[str] = []
    for line in body.splitlines():
        if not line.strip():
            continue
        if len(line) - len(line.lstrip()) > 4 and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    return [re.sub(r"^(\w+): ", r"`\1`: ", entry) for entry in entries]


def _attributes(docstring: str) -> dict[str, str]:
    pieces = _SECTION.split(docstring)
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if title == "Attributes":
            return dict(re.sub("`", "", item, count=2).split(": ", 1) for item in _items(body))
    return {}


def _comment(file: str, entry: ast.AnnAssign) -> str:
    line = (ROOT / file).read_text(encoding="utf-8").splitlines()[(entry.end_lineno or 1) - 1]
    return line.split("  # ", 1)[1] if "  # " in line else ""


def _module(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def _class(file: str, name: str) -> ast.ClassDef:
    return next(n for n in _module(file).body if isinstance(n, ast.ClassDef) and n.name == name)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Brings every page up to date and names those that changed."""
    sys.path.insert(0, str(ROOT))
    for page in sorted(REFERENCE.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = render(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`llm2comp info`: what there is to know of a collection, or which ones there are."""

import argparse
from collections.abc import Iterator
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp info
llm2comp info articles --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers,
        "info",
        "list the collections, or show size, encoder, index and freshness of one",
        _EXAMPLES,
    )
    options.add_collection(parser, is_optional=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Shows it."""
    from app.output import print_json, write_lines
    from indexer.collection import Collection

    if args.collection is None:
        return _list(as_json=args.json)
    info = Collection.open(args.collection).info()
    if args.json:
        print_json(info)
    else:
        write_lines(_lines(info))
    return 0


def _lines(info: dict[str, Any]) -> list[str]:
    from app.formats import count, plural, size

    columns = ", ".join(f"{name} ({kind})" for name, kind in info["columns"].items()) or "none"
    recall = "exact" if info["recall"] == 1.0 else f"measured recall@10 {info['recall']}"
    held = f"{plural(info['documents'], 'document')}, {plural(info['passages'], 'passage')}"
    lines = [
        f"{info['name']}: {held}, version {count(info['version'])}",
        f"encoder:   {info['encoder']} ({plural(info['dimension'], 'number')}, fingerprint {info['fingerprint'][:8]})",
        *([f"transform: {info['transform']}, fitted to its own vectors"] if info["transform"] else []),
        f"passages:  up to {plural(info['window'], 'token')}, sharing {info['overlap']}; words: {info['words']}",
        f"index:     {info['index']} in {plural(info['segments'], 'segment')}, {recall}",
        f"columns:   {columns}",
        f"size:      {size(info['bytes'])} in {info['path']}",
        f"published: {info['published_at']}",
    ]
    if info["unpublished_rows"]:
        waiting = plural(info["unpublished_rows"], "row")
        lines.append(f"not yet published: {waiting}; run the index command again")
    return lines + [f"note: {note}" for note in info["notes"]]


def _list(*, as_json: bool) -> int:
    """The collections that the page Corpora offers; one that cannot be opened is listed with the reason."""
    from app.formats import count, size
    from app.output import print_json, print_table, write_lines
    from app.table import TableColumn
    from app.theme import FIRST_COMMAND

    found = list(_known())
    if as_json:
        print_json({"format": 1, "collections": found})
    elif not found:
        write_lines([f"no collection yet; make one: {FIRST_COMMAND}   or   llm2comp demo"])
    else:
        counts = [TableColumn(name, "right") for name in ("documents", "passages", "version", "size")]
        rows = [
            [one["collection"], "", "", "", "", f"{one['path']}: {one['error']}"]
            if "error" in one
            else [
                one["collection"],
                *(count(one[name]) for name in ("documents", "passages", "version")),
                size(one["bytes"]),
                one["path"],
            ]
            for one in found
        ]
        print_table([TableColumn("collection"), *counts, TableColumn("folder", wraps=True)], rows)
    return 0


def _known() -> Iterator[dict[str, Any]]:
    from app import library
    from encoder.errors import Llm2CompError
    from indexer.collection import Collection

    for entry in library.known():
        one = {"collection": entry.key, "path": str(entry.path)}
        try:
            yield one | Collection.open(entry.path).info()
        except Llm2CompError as error:
            yield one | {"error": error.what}

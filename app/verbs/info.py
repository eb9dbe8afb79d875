"""`llm2comp info`: what there is to know of a collection."""

import argparse
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp info articles
llm2comp info articles --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "info", "show size, encoder, index and freshness", _EXAMPLES)
    options.add_collection(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Shows it."""
    from app.formats import size
    from app.output import print_json, write_lines
    from indexer.collection import Collection

    info = Collection.open(args.collection).info()
    if args.json:
        print_json(info)
        return 0
    columns = ", ".join(f"{name} ({kind})" for name, kind in info["columns"].items()) or "none"
    recall = "exact" if info["recall"] == 1.0 else f"measured recall@10 {info['recall']}"
    lines = [
        f"{info['name']}: {info['documents']:,} documents, {info['passages']:,} passages, version {info['version']}",
        f"encoder:   {info['encoder']} ({info['dimension']} numbers, {info['fingerprint'][:8]})",
        *([f"transform: {info['transform']}, fitted to its own vectors"] if info["transform"] else []),
        f"passages:  up to {info['window']} tokens, sharing {info['overlap']}; words: {info['words']}",
        f"index:     {info['index']} in {info['segments']} segments, {recall}",
        f"columns:   {columns}",
        f"size:      {size(info['bytes'])} in {info['path']}",
        f"published: {info['published_at']}",
    ]
    if info["unpublished_rows"]:
        lines.append(f"not yet published: {info['unpublished_rows']:,} rows; run the index command again")
    write_lines(lines + [f"note: {note}" for note in info["notes"]])
    return 0

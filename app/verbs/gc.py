"""`llm2comp gc`: free the space that no published version needs."""

import argparse
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp gc articles --dry-run
llm2comp gc articles
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "gc", "remove all versions but the newest, and what only they need", _EXAMPLES
    )
    options.add_collection(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how much it would free")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Cleans up."""
    from app.formats import size
    from app.output import print_json, write_lines
    from indexer.collection import Collection
    from indexer.retention import forget_old
    from indexer.storage.lock import writer_lock

    collection = Collection.open(args.collection)
    before = collection.info()["bytes"]
    with writer_lock(collection.path):
        freed = forget_old(
            collection, collection.open_rows(), publications=1, younger_than_s=0.0, dry_run=args.dry_run
        )
    after = collection.info()["bytes"]
    if args.json:
        print_json({"format": 1, "freed": freed, "before": before, "after": after, "dry_run": args.dry_run})
    elif args.dry_run:
        write_lines([f"at least {size(freed)} of {size(before)} would be freed"])
    else:
        write_lines([f"{size(before)} before, {size(after)} after"])
    return 0

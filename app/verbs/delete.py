"""`llm2comp delete`: documents out of a collection."""

import argparse
import sys
from typing import Any

from app.verbs import options
from encoder.errors import UsageError

_SHARE_THAT_ASKS = 0.1
_EXAMPLES = """
llm2comp delete articles --id a-17 a-18
llm2comp delete articles --where "year < 1990" --yes
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "delete", "delete documents by id or filter", _EXAMPLES)
    options.add_collection(parser)
    parser.add_argument("--id", nargs="+", metavar="ID", help="ids of documents")
    parser.add_argument("--where", metavar="FILTER", help="every document that passes this filter")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask, even for more than a tenth of all documents"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Says how many documents it is, asks when they are many, deletes."""
    from app.formats import plural
    from app.output import print_json, write_lines
    from indexer.collection import Collection
    from indexer.deletion import find_documents

    collection = Collection.open(args.collection)
    row_ids, documents = find_documents(collection, where=args.where, ids=args.id)
    total = max(1, collection.info()["passages"])
    if row_ids.size > _SHARE_THAT_ASKS * total and not args.yes:
        _ask(documents, row_ids.size / total)
    deleted = collection.delete(where=args.where, ids=args.id) if documents else 0
    if args.json:
        print_json({"format": 1, "documents": deleted, "version": collection.version()})
    else:
        write_lines([f"{plural(deleted, 'document')} deleted; version {collection.version()}"])
    return 0


def _ask(documents: int, share: float) -> None:
    from app.formats import plural

    question = f"this deletes {plural(documents, 'document')}, {share:.0%} of the collection"
    if not sys.stdin.isatty():
        raise UsageError(question, "llm2comp delete", "add --yes if that is meant")
    sys.stderr.write(f"{question}; type yes to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise UsageError("nothing was deleted", "llm2comp delete", "answer yes, or add --yes")

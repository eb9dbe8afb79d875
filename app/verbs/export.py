"""`llm2comp export`: a collection, or the passages chosen of it, as a file or a bundle."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import UsageError

if TYPE_CHECKING:
    from indexer.search import Searcher
    from indexer.selection import Selection

_EXAMPLES = """
llm2comp export articles --out articles.parquet
llm2comp export articles --out recent.zip --where "year >= 2020 and not tag contains 'seen'" --topic 3
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "export", "write passages with their metadata to a file", _EXAMPLES)
    options.add_collection(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=".parquet, .jsonl, .csv, or .zip: both tables and a README",
    )
    parser.add_argument("--where", metavar="FILTER", help="only passages that pass it: year >= 2020")
    parser.add_argument(
        "--topic", type=int, nargs="+", metavar="N", help="only passages of these topics; -1: without one"
    )
    parser.add_argument("--tag", nargs="+", metavar="TAG", help="only documents with all of these tags")
    parser.add_argument("--vectors", action="store_true", help="with the vectors (.parquet, .jsonl)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exports."""
    from app.formats import plural
    from app.job_meter import JobMeter
    from app.output import print_json, write_lines
    from app.verbs.outfile import check_new
    from indexer.bundle import export_bundle
    from indexer.collection import Collection
    from indexer.export import export_passages
    from indexer.search import Searcher

    out = Path(args.out)
    is_bundle = out.suffix.lower() == ".zip"
    if is_bundle and args.vectors:
        raise UsageError(
            "a bundle holds no vectors", "llm2comp export", "leave out --vectors, or name a .parquet file"
        )
    check_new(out, args.force)
    collection = Collection.open(args.collection)
    searcher = Searcher(collection)
    selection = _selection(args, searcher)
    with JobMeter(quiet=args.quiet) as meter:
        if is_bundle:
            written = int(export_bundle(searcher, selection, out, report=meter.report).row_ids.size)
        else:
            written = export_passages(
                collection, out, vectors=args.vectors, selection=selection, report=meter.report
            )
    if args.json:
        print_json({"format": 1, "out": str(out), "passages": written})
    else:
        write_lines([f"{plural(written, 'passage')} in {out}"])
    return 0


def _selection(args: argparse.Namespace, searcher: "Searcher") -> "Selection":
    from indexer.annotations.tags import clean_tag
    from indexer.query.filters.tree import print_value
    from indexer.selection import Selection

    if not args.tag:
        return Selection(where=args.where or "", topics=tuple(args.topic or ()))
    conditions = [f"({searcher.canonical_filter(args.where)})"] if args.where else []
    conditions += [f"derived.tag contains {print_value(clean_tag(tag))}" for tag in args.tag]
    return Selection(where=" and ".join(conditions), topics=tuple(args.topic or ()))

"""`llm2comp export`: a collection as a file."""

import argparse
from pathlib import Path
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp export articles --out articles.parquet
llm2comp export articles --out articles.jsonl --vectors
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "export", "write every passage with its metadata to a file", _EXAMPLES
    )
    options.add_collection(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help=".parquet, .jsonl or .csv")
    parser.add_argument("--vectors", action="store_true", help="with the vectors (.parquet, .jsonl)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exports."""
    from app.job_meter import JobMeter
    from app.output import print_json, write_lines
    from app.verbs.outfile import check_new
    from indexer.collection import Collection

    out = Path(args.out)
    check_new(out, args.force)
    with JobMeter(quiet=args.quiet) as meter:
        written = Collection.open(args.collection).export(out, vectors=args.vectors, report=meter.report)
    if args.json:
        print_json({"format": 1, "out": str(out), "passages": written})
    else:
        write_lines([f"{written:,} passages in {out}"])
    return 0

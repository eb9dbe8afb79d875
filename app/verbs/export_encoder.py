"""`llm2comp export-encoder`: an encoder for those who do not have llm2comp."""

import argparse
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp export-encoder runs/mine --out exported
llm2comp export-encoder runs/mine --out exported --force --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers,
        "export-encoder",
        "write an encoder so that sentence-transformers loads it as it is",
        _EXAMPLES,
    )
    parser.add_argument("encoder", metavar="ENCODER", help="an encoder directory, or default")
    parser.add_argument("--out", metavar="DIR", required=True, help="where the export goes")
    parser.add_argument("--force", action="store_true", help="replace what is at --out")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exports, and tests that the export gives the same vectors."""
    from app.output import print_json, write_lines
    from encoder.export import TOLERANCE, export_encoder

    difference = export_encoder(args.encoder, args.out, replace=args.force)
    if args.json:
        print_json({"format": 1, "out": args.out, "largest_difference": difference, "tolerance": TOLERANCE})
    else:
        write_lines(
            [f"{args.out}: same vectors to {difference:.1e}, loads in sentence-transformers as it is"]
        )
    return 0

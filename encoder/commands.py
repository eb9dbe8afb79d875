"""The verb `export-encoder`: its parser now, its work when it runs."""

import argparse
import json
import sys

_EXAMPLES = """examples:
  llm2comp export-encoder runs/mine --out exported
  llm2comp export-encoder runs/mine --out exported --force --json
"""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this package's verbs to the command."""
    parser = subparsers.add_parser(
        "export-encoder",
        help="write an encoder so that sentence-transformers loads it without llm2comp",
        description="Writes an encoder directory in a form that plain sentence-transformers loads, without "
        "llm2comp and without remote code, and tests that it gives the same vectors.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("encoder", metavar="DIR", help="an encoder directory")
    parser.add_argument("--out", metavar="DIR", required=True, help="where the export goes")
    parser.add_argument("--force", action="store_true", help="replace what is at --out")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=export)


def export(args: argparse.Namespace) -> int:
    """Runs `export-encoder`; 0 when the export agrees with the encoder."""
    from encoder.export import TOLERANCE, export_encoder

    difference = export_encoder(args.encoder, args.out, replace=args.force)
    if args.json:
        result = {"format": 1, "out": args.out, "largest_difference": difference, "tolerance": TOLERANCE}
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write(
            f"{args.out}: same vectors to {difference:.1e}, loads in sentence-transformers as it is\n"
        )
    return 0

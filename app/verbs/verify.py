"""`llm2comp verify`: does everything that a collection says of itself hold?"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.verbs import options

EXIT_CHECK_FAILED = 3
_EXAMPLES = """
llm2comp verify articles
llm2comp verify articles --quick --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "verify", "check every file and row; exit 3 if one is damaged", _EXAMPLES
    )
    options.add_collection(parser)
    parser.add_argument(
        "--quick", action="store_true", help="manifests, sizes and counts; hashes only the files of the index"
    )
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Checks; 3 when something does not hold."""
    from app.job_meter import JobMeter
    from app.output import print_json, write_lines
    from indexer.collection import Collection

    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        findings = Collection.open(args.collection).verify(quick=args.quick, report=meter.report)
    if args.json:
        print_json({"format": 1, "ok": not findings, "findings": [asdict(finding) for finding in findings]})
    elif findings:
        for finding in findings:
            write_lines([f"wrong: {finding.what}", f"where: {finding.where}", f"do:    {finding.fix}"])
    else:
        write_lines(["all is well" + (" as far as a quick look tells" if args.quick else "")])
    return EXIT_CHECK_FAILED if findings else 0

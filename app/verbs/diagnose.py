"""`llm2comp diagnose`: how healthy the vectors of a collection or a file are; as text, JSON, a table, one HTML file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from app.job_meter import JobMeter
    from encoder.spectrum.requirements import Failure
    from indexer.health.examine import Parts
    from indexer.health.report import HealthReport

_EXAMPLES = """
llm2comp diagnose articles --html health.html
llm2comp diagnose vectors.npy --require 'effective_rank>=50' --require 'state!=collapsed'
llm2comp diagnose articles --what-if centre --what-if centre+drop:1
"""
_A_CHECK_SAID_NO = 3
_TABLE_ENDINGS = (".csv", ".parquet")


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "diagnose", "say how healthy vectors are: spectrum, neighbours, duplicates", _EXAMPLES
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        type=options.collection_folder,
        help="a collection (folder or name), or a .npy or .parquet file of vectors",
    )
    parser.add_argument(
        "--column", default="", metavar="NAME", help="of a .parquet file: the column that holds the vectors"
    )
    chosen = parser.add_argument_group("which passages (of a collection; default: all)")
    chosen.add_argument("--where", default="", metavar="FILTER", help="only those that pass it")
    chosen.add_argument(
        "--topic", type=int, action="append", metavar="N", help="only of this topic; repeatable"
    )
    _add_looks(parser.add_argument_group("what else to look at"))
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as 'effective_rank>=50' or 'state!=collapsed'; exit code 3 where it does not hold; repeatable",
    )
    written = parser.add_argument_group("files")
    written.add_argument("--html", metavar="FILE", help="write the report as one HTML file without scripts")
    written.add_argument("--out", metavar="FILE", help="write the spectrum as .csv or .parquet")
    written.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def _add_looks(seen: Any) -> None:
    """Adds the options of what else is looked at to their group."""
    laid_over = seen.add_mutually_exclusive_group()
    laid_over.add_argument(
        "--against", metavar="OTHER", help="a second collection or file, measured and laid over"
    )
    laid_over.add_argument(
        "--against-version",
        type=int,
        metavar="N",
        help="the same with an older version of the collection; the last three are kept, and those of the last hour",
    )
    seen.add_argument("--memory", action="store_true", help="the memory tokens too: encodes 500 passages")
    seen.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="STEPS",
        help="try a transformation: centre, drop:M, whiten, cut:D, pca:D, joined by +; repeatable. "
        "Encodes 500 passages to see what is found then",
    )
    seen.add_argument(
        "--temperatures",
        type=float,
        nargs="+",
        default=[],
        metavar="T",
        help="try these temperatures of attention, 0.1 to 2, beside the first of them: 1 0.95 0.9. "
        "Encodes 200 passages at each",
    )


def run(args: argparse.Namespace) -> int:
    """Examines, writes what was asked for, and holds the measures against the conditions."""
    from app.job_meter import JobMeter
    from encoder.spectrum.requirements import check, parse_requirement

    requirements = [parse_requirement(text) for text in args.require]
    _check(args)
    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        report = _examined(args.target, args, meter)
        other = _other(args, meter)
    failures = check(report.measures(), requirements)
    _write_files(args, report, other)
    _show(args, report, other, failures)
    return _A_CHECK_SAID_NO if failures else 0


def _check(args: argparse.Namespace) -> None:
    """Makes sure that everything asked for is possible, before any work.

    Raises:
        UsageError: options do not go together, or a number is impossible.
    """
    from app.verbs.outfile import check_new
    from encoder.spectrum.transforms import parse_steps
    from indexer.health.temperatures import check_temperatures

    where = f"llm2comp diagnose {args.target}"
    for spec in args.what_if:
        parse_steps(spec)
    check_temperatures(args.temperatures)
    if args.seed < 0:
        raise UsageError(f"the seed is {args.seed}", where, "give a whole number from 0")
    if not Path(args.target).is_dir() and (args.where or args.topic):
        raise UsageError(
            "a file of vectors has no metadata and no topics", where, "leave --where and --topic away"
        )
    _check_version(args, where)
    if args.out and Path(args.out).suffix.lower() not in _TABLE_ENDINGS:
        raise UsageError(f"{args.out} has no ending that is known", where, "use .csv or .parquet")
    if args.force and not (args.html or args.out):
        raise UsageError("--force is for --html and --out", where, "name a file")
    for file in filter(None, (args.html, args.out)):
        check_new(Path(file), args.force)


def _check_version(args: argparse.Namespace, where: str) -> None:
    """Looks for the version that is to be laid over, before minutes of work.

    Raises:
        UsageError: a file has no versions.
        InputError: the collection does not keep it.
    """
    if args.against_version is None or not Path(args.target).exists():  # what is missing is said later
        return
    if not Path(args.target).is_dir():
        raise UsageError("a file of vectors has no versions", where, "use --against with another file")
    from indexer.collection import Collection
    from indexer.health.versions import check_kept

    check_kept(Collection.open(Path(args.target)), args.against_version)


def _examined(
    target: str, args: argparse.Namespace, meter: "JobMeter", *, is_other: bool = False
) -> "HealthReport":
    """The report on a collection or a file; of what is laid over only its vectors are looked at."""
    from indexer.health.examine import Parts, examine, examine_vectors
    from indexer.health.vector_files import ENDINGS, open_vectors

    path = Path(target)
    wanted = Parts(lengths=False) if is_other else _parts(args)
    if path.is_dir():
        from indexer.collection import Collection
        from indexer.search import Searcher
        from indexer.selection import Selection

        chosen = Selection() if is_other else Selection(where=args.where, topics=tuple(args.topic or ()))
        return examine(
            Searcher(Collection.open(path)), chosen, parts=wanted, seed=args.seed, report=meter.report
        )
    if not path.exists() or path.suffix.lower() not in ENDINGS:
        raise InputError(
            "there is no collection and no file of vectors of this name",
            target,
            f"give the folder of a collection, or a file that ends in {' or '.join(ENDINGS)}",
        )
    source = open_vectors(path, "" if is_other else args.column)
    return examine_vectors(source, parts=wanted, seed=args.seed, report=meter.report)


def _parts(args: argparse.Namespace) -> "Parts":
    from indexer.health.examine import Parts

    return Parts(
        memory=args.memory, what_if=tuple(args.what_if), temperatures=tuple(dict.fromkeys(args.temperatures))
    )


def _other(args: argparse.Namespace, meter: "JobMeter") -> "HealthReport | None":
    """The report on what is laid over: another collection, a file, or another version of this collection."""
    if args.against is not None:
        return _examined(args.against, args, meter, is_other=True)
    if args.against_version is None:
        return None
    from indexer.collection import Collection
    from indexer.health.versions import examine_version

    collection = Collection.open(Path(args.target))
    return examine_version(collection, args.against_version, seed=args.seed, report=meter.report)


def _write_files(args: argparse.Namespace, report: "HealthReport", other: "HealthReport | None") -> None:
    if args.html:
        from app.health_html import health_html
        from encoder.atomic import write_bytes

        write_bytes(Path(args.html), health_html(report, other).encode())
    if args.out:
        from app.health_table import write_spectrum

        write_spectrum(Path(args.out), report)


def _show(
    args: argparse.Namespace,
    report: "HealthReport",
    other: "HealthReport | None",
    failures: "list[Failure]",
) -> None:
    from app.health_text import print_report
    from app.output import print_json, write_lines, write_note
    from indexer.health.report import report_to_json

    if args.json:
        told = report_to_json(report) | {"failures": [str(failure) for failure in failures]}
        if other is not None:
            told["against"] = report_to_json(other)
        print_json(told)
    else:
        print_report(report, other, place=str(args.target))
        write_lines(f"written: {file}" for file in (args.html, args.out) if file)
    for failure in failures:
        write_note(str(failure))

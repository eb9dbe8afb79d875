"""`llm2comp eval`: how good encoders are, beside others, on sets on disk or public ones."""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from app.verbs.verify import EXIT_CHECK_FAILED
from encoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from train.evaluation.candidates import Candidate
    from train.evaluation.evaluate import AnyTask, Evaluation
    from train.evaluation.report import Table

_EXAMPLES = """
llm2comp eval runs/contrastive/encoder default --data sets --poolings --baselines lsa bm25 minilm --out scores.md
llm2comp eval runs/contrastive/encoder --mteb paper14 --work runs/contrastive/scores --out scores.json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "eval", "score encoders on sets on disk, or on public tasks", _EXAMPLES
    )
    parser.add_argument(
        "encoders",
        nargs="+",
        metavar="ENCODER",
        help="default (the bundled one), a directory, hf:NAME, or st:NAME for any sentence-transformers model",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of evaluation sets, or one set")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="of the sets in --data (default: all)")
    parser.add_argument(
        "--mteb",
        nargs="+",
        metavar="NAME",
        help="public tasks: paper14, sts7, a benchmark or a task of mteb; needs the network",
    )
    parser.add_argument(
        "--poolings",
        nargs="?",
        const="",
        metavar="BACKBONE",
        help="beside them, the training-free poolings of a backbone, a folder or hf:NAME (no value: that of the encoder)",
    )
    parser.add_argument(
        "--baselines", nargs="+", default=[], metavar="NAME", help="beside them: lsa, bm25, minilm"
    )
    parser.add_argument(
        "--instruction",
        metavar="TEXT",
        help='what queries of retrieval ask for (default: as stored with the encoder; "" for none)',
    )
    parser.add_argument(
        "--own-instructions", action="store_true", help="for public tasks those that mteb has for them"
    )
    parser.add_argument(
        "--at-least", type=float, metavar="MEAN", help="exit 3 if the first encoder's mean is lower"
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: auto)"
    )
    parser.add_argument(
        "--dtype", default="auto", metavar="NAME", help="float32, bfloat16 or auto (default: auto)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="keeps every score, so that the same command goes on after a stop",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the report as well, .md or .json")
    parser.add_argument("--force", action="store_true", help="replace the file of --out if it exists")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scores and shows; 3 when the first encoder is worse than asked for."""
    from app.output import print_json, write_note
    from app.verbs.outfile import check_new

    _check_usage(args)
    if args.out:
        check_new(args.out, args.force)
    from train.evaluation.evaluate import Settings, evaluate
    from train.evaluation.report import to_json

    candidates, tasks = _candidates(args), _tasks(args)
    settings = Settings(
        instruction=args.instruction,
        own_instructions=args.own_instructions,
        device=args.device,
        dtype=args.dtype,
        work=args.work,
    )
    with _Display(quiet=args.quiet) as display:
        evaluation = evaluate(candidates, tasks, settings, display.show)
    provenance = _provenance(args)
    if args.out:
        _write(args.out, evaluation, provenance)
    if args.json:
        print_json(to_json(evaluation, provenance))
    else:
        _print(evaluation, provenance)
    mean = evaluation.columns[0].mean(evaluation.names)
    if args.at_least is None or (mean is not None and mean >= args.at_least):
        return 0
    write_note(f"{args.encoders[0]}: the mean is {mean:.2f}, less than --at-least {args.at_least:g}")
    return EXIT_CHECK_FAILED


def _check_usage(args: argparse.Namespace) -> None:
    """What argparse cannot say.

    Raises:
        InputError: the report's file has no known ending.
        UsageError: there is nothing to score on, or an option lacks the one it belongs to.
    """
    if args.data is None and not args.mteb:
        raise UsageError("there is nothing to score on", "llm2comp eval", "add --data DIR, or --mteb NAME")
    for option, needed in (("--tasks", "--data"), ("--own-instructions", "--mteb")):
        given, base = (getattr(args, name.strip("-").replace("-", "_")) for name in (option, needed))
        if given and not base:
            raise UsageError(f"{option} is for {needed}", "llm2comp eval", f"leave it out, or add {needed}")
    if args.out and args.out.suffix not in (".md", ".json"):
        raise InputError(f"{args.out.name} has no known ending", str(args.out), "end it with .md or .json")


def _candidates(args: argparse.Namespace) -> "list[Candidate]":
    from train.evaluation.candidates import (
        baseline_candidates,
        encoder_candidates,
        own_backbone,
        pooling_candidates,
    )

    candidates = encoder_candidates(args.encoders)
    if args.poolings == "":
        candidates += pooling_candidates(*own_backbone(args.encoders))
    elif args.poolings is not None:
        candidates += pooling_candidates(args.poolings)
    return candidates + baseline_candidates(args.baselines)


def _tasks(args: argparse.Namespace) -> "list[AnyTask]":
    from app.formats import plural
    from app.output import write_note
    from train.evaluation.public_tasks import find_public_tasks
    from train.evaluation.tasks import read_tasks

    tasks: list[AnyTask] = []
    if args.data is not None:
        tasks += read_tasks(args.data, args.tasks)
    if args.mteb:
        public = find_public_tasks(args.mteb)
        tasks += public
        if not args.quiet:
            write_note(f"fetching the data of {plural(len(public), 'public task')}")
    return tasks


class _Display:
    """Progress on stderr: a bar while a task runs, and a line with its score."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *failure: object) -> None:
        self._end_bar()

    def show(self, moment: Any) -> None:
        """Shows a `train.evaluation.evaluate.Moment`."""
        from app.output import Progress, write_note

        if self._quiet:
            return
        label = f"{moment.candidate}, {moment.task} ({moment.number} of {moment.tasks})"
        if moment.is_done:
            self._end_bar()
            write_note(f"{label}: {moment.score:.1f}")
            return
        if self._bar is None:
            self._bar = Progress(label, unit="texts")
        self._bar.update(moment.texts)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.finish(failed=True)  # takes it away; the line with the score says more
            self._bar = None


def _provenance(args: argparse.Namespace) -> dict[str, Any]:
    """What is needed to do it again."""
    from datetime import UTC, datetime
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": sys.version.split()[0]}
    names = ["llm2comp", "torch", "transformers", "sentence-transformers", "scikit-learn", "scipy", "numpy"]
    for name in [*names, "mteb"] if args.mteb else names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that was not installed
            continue
    return {
        "command": _command(args),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": versions,
        "load": _load(),
        "instruction": args.instruction,
        "own_instructions": args.own_instructions,
    }


def _load() -> str:
    """How busy the machine is, without which a speed says little; "" where the system does not tell."""
    if not hasattr(os, "getloadavg"):
        return ""
    return f"load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"


def _command(args: argparse.Namespace) -> str:
    """The command that was given, without what only says where output goes."""
    words = ["llm2comp", "eval", *args.encoders]
    for option in ("data", "tasks", "mteb", "poolings", "baselines", "instruction", "device", "dtype"):
        value = getattr(args, option)
        if value is None or value == [] or value == "auto":
            continue
        words += [f"--{option}", *(value if isinstance(value, list) else [str(value)] if value != "" else [])]
    return shlex.join(words + (["--own-instructions"] if args.own_instructions else []))


def _print(evaluation: "Evaluation", provenance: dict[str, Any]) -> None:
    from app.output import write_lines, write_note
    from train.evaluation.report import measure_table, notes, score_table

    _print_table(score_table(evaluation))
    measures = measure_table(evaluation)
    if measures.rows:
        write_lines([""])
        _print_table(measures)
    for note in notes(evaluation, provenance):
        write_note(note)


def _print_table(table: "Table") -> None:
    from app.output import print_table
    from app.table import Marked, TableColumn

    columns = [
        TableColumn(title, "left" if number < table.words else "right")
        for number, title in enumerate(table.titles)
    ]
    rows = [
        [Marked(cell.text, ((0, len(cell.text)),)) if cell.is_best else cell.text for cell in row]
        for row in table.rows
    ]
    print_table(columns, rows)


def _write(out: Path, evaluation: "Evaluation", provenance: dict[str, Any]) -> None:
    """Writes the report whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    import io

    from app.output import print_json
    from encoder.atomic import write_bytes
    from train.evaluation.report import to_json, to_markdown

    text = io.StringIO()
    if out.suffix == ".md":
        text.write(to_markdown(evaluation, provenance))
    else:
        print_json(to_json(evaluation, provenance), stream=text)
    try:
        write_bytes(out, text.getvalue().encode())
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror or error}",
            str(out),
            "free some space, or name another place",
        ) from error

"""`llm2comp`: collects the verbs, runs one, and turns its outcome into an exit code.

Only the standard library is imported before the verb is known, so that help and mistakes answer at once.
"""

import argparse
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from app import streams
from app.display import clean_for_display, escape_for_json
from encoder.errors import InputError, Llm2CompError, UsageError

# Verb to the module that holds its parser and its work, in the order of the help.
VERBS = {
    "demo": "app.verbs.demo",
    "index": "app.verbs.index",
    "search": "app.verbs.search",
    "info": "app.verbs.info",
    "verify": "app.verbs.verify",
    "rebuild": "app.verbs.rebuild",
    "delete": "app.verbs.delete",
    "export": "app.verbs.export",
    "gc": "app.verbs.gc",
    "diagnose": "app.verbs.diagnose",
    "map": "app.verbs.map",
    "topics": "app.verbs.topics",
    "encode": "app.verbs.encode",
    "export-encoder": "app.verbs.export_encoder",
    "train": "app.verbs.train",
    "eval": "app.verbs.eval",
    "app": "app.verbs.app",
}
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
_READER = "keep open what reads the pipe, or write to a file"

_EXAMPLES = """examples:
  llm2comp demo
  llm2comp index articles.csv --into articles
  llm2comp search articles "who pays for roads" --where "year >= 2020"
  llm2comp app articles

exit codes: 0 done, 1 known failure, 2 wrong usage, 3 a check said no, 70 a bug of ours, 130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Argparse, but its complaints are errors of ours, with the same three lines."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, self.prog, f"{_nearest_verb(message)}see {self.prog} --help")


def _nearest_verb(message: str) -> str:
    wrong = re.match(r"argument VERB: invalid choice: '([^']*)'", message)
    near = get_close_matches(wrong[1], VERBS, n=1) if wrong else []
    return f"did you mean {near[0]}? " if near else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        arguments: without the program's name; those of the process when None.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        # A scheduler or the page that stops us is the same as Ctrl+C: what is finished is kept.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _outcome(arguments)
    finally:  # after help, too
        streams.flush_all()


def program() -> int:
    """`main` as a process of its own: leaves at once where it was one of several that trained together.

    Destroying their group can wait for ever, and leaving the interpreter with the group's threads alive can abort
    a process that has done everything (gloo: "terminate called without an active exception").
    """
    code = main()
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        streams.flush_all()
        os._exit(code)
    return code


def _outcome(arguments: list[str]) -> int:
    """Runs the verb; what it raises becomes a few lines and an exit code."""
    try:
        return _run(arguments)
    except Llm2CompError as error:
        _complain(error, "--json" in arguments)
        return error.exit_code
    except KeyboardInterrupt:
        streams.write(sys.stderr, "\ninterrupted; what was finished is kept, the same command goes on\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError as error:  # a named pipe that was to be written; of stdout nobody need read all
        _complain(InputError(f"nobody reads any more: {error}", "a file of the command", _READER), False)
        return InputError.exit_code
    except Exception:  # noqa: BLE001 - the one place that may see a bug of ours
        streams.write(sys.stderr, clean_for_display(traceback.format_exc()))
        streams.write(sys.stderr, "this is a bug of llm2comp; please report the lines above\n")
        return EXIT_BUG


def _run(arguments: list[str]) -> int:
    verb = next((word for word in arguments if not word.startswith("-")), None)
    parser = build_parser([verb] if verb in VERBS else list(VERBS))
    args, left = parser.parse_known_args(arguments)
    if left:
        raise UsageError(
            f"unrecognized arguments: {' '.join(left)}", f"llm2comp {args.verb}", _for_left(args.verb, left)
        )
    return int(args.run(args))


def _for_left(verb: str, left: Sequence[str]) -> str:
    """What to do about arguments that the verb does not have."""
    see = f"see llm2comp {verb} --help"
    is_query = verb == "search" and left[0].startswith("-") and not left[0].startswith("--")
    return f"{see}; put -- before a query that begins with -" if is_query else see


def build_parser(verbs: Sequence[str] = tuple(VERBS)) -> argparse.ArgumentParser:
    """The parser of the whole command, or of some verbs.

    Args:
        verbs: those whose options are needed.
    """
    parser = _Parser(
        prog="llm2comp",
        description="Find, see and explain what is in a pile of text.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llm2comp {_version()}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in verbs:
        import_module(VERBS[verb]).add_parser(subparsers)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("llm2comp")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0 (not installed)"


def _complain(error: Llm2CompError, is_json: bool) -> None:
    if is_json:
        shown = {"kind": error.kind, "what": error.what, "where": error.where, "fix": error.fix}
        streams.write(sys.stderr, escape_for_json(json.dumps({"error": shown}, ensure_ascii=False)) + "\n")
    else:
        where = error.where.replace("\n", "\n       ")
        lines = f"error: {error.what}\nwhere: {where}\ndo:    {error.fix}\n"
        streams.write(sys.stderr, clean_for_display(lines))


if __name__ == "__main__":
    sys.exit(program())

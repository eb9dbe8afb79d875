"""Options that several verbs share, so that the same thing is called the same everywhere."""

import argparse
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from encoder.errors import CollectionError, UsageError

_LONGEST_COMPARED = 100  # characters of a name: comparing takes the square of it


def add_verb(subparsers: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    """A parser for the verb `name`, with `--json` and two examples at the end of its help.

    Args:
        subparsers: of the whole command.
        name: the verb.
        summary: one line; its first letter small in the list, large as the description.
        examples: command lines, one a line, without indentation.
    """
    shown = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{shown}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def add_collection(parser: argparse.ArgumentParser, *, is_optional: bool = False) -> None:
    """The positional argument: a collection; None where it may be left out and is."""
    parser.add_argument(
        "collection",
        metavar="DIR",
        type=collection_folder,
        nargs="?" if is_optional else None,
        help="folder of the collection, or its name on the page Corpora"
        + (" (left out: all are listed)" if is_optional else ""),
    )


def asked_once(
    args: argparse.Namespace, where: str, actions: Mapping[str, str], builds: Mapping[str, str], *, what: str
) -> list[str]:
    """The one action that is asked for, or none; makes sure that it stands alone.

    Args:
        args: parsed.
        where: the command, for the message.
        actions: option to its name in `args`, of which one may be given.
        builds: the same of the options that decide what is made new.
        what: is made: "map".

    Raises:
        UsageError: two actions, or one with options for something new.
    """
    asked = [option for option, name in actions.items() if getattr(args, name) not in (None, False)]
    if len(asked) > 1:
        raise UsageError(f"{asked[0]} and {asked[1]} exclude each other", where, "give one of them at a time")
    made = [option for option, name in builds.items() if getattr(args, name) is not None]
    if asked and made:
        raise UsageError(
            f"{made[0]} makes a new {what}, {asked[0]} is for one that exists", where, "give one of the two"
        )
    return asked


def collection_folder(text: str) -> str:
    """What is meant by DIR: a folder as given, else the collection that the page Corpora shows by that name.

    Raises:
        UsageError: several have that name.
        CollectionError: none has it, but one that is spelt much like it.
    """
    try:
        if Path(text).name != text or Path(text).exists():
            return text
    except (OSError, ValueError):  # what opens it says why
        return text
    from app import library

    found = library.called(text)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} collections are called {text}",
            "\n".join(str(entry.path) for entry in found),
            "name one by its folder",
        )
    return str(found[0].path) if found else _unless_misspelt(text)


def _unless_misspelt(text: str) -> str:
    from app import library

    keys = {entry.key.casefold(): entry.key for entry in library.known()}
    near = get_close_matches(text[:_LONGEST_COMPARED].casefold(), keys, n=1)
    if near:
        raise CollectionError(
            f"there is no collection called {text}",
            text,
            f"did you mean {keys[near[0]]}? `llm2comp info` lists them all",
        )
    return text


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """`--quiet`: no progress."""
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def add_encoder(parser: argparse.ArgumentParser, default: str | None, *, omitted: str = "") -> None:
    """`--encoder` and `--device`.

    Args:
        parser: gets them.
        default: spec when `--encoder` is left out.
        omitted: what is taken instead, for the help, where that depends.
    """
    parser.add_argument(
        "--encoder",
        default=default,
        metavar="SPEC",
        help="default (the bundled one), a directory, hf:NAME, or st:NAME for any sentence-transformers model"
        + (f" (left out: {omitted})" if omitted else ""),
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: auto)"
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The options that name columns of a source."""
    parser.add_argument("--text", metavar="COLUMN", help="column to search in (default: guessed)")
    parser.add_argument("--title", metavar="COLUMN", help="column of titles (default: guessed; '' for none)")
    parser.add_argument(
        "--id", metavar="COLUMN", help="column that names each row (default: guessed, else none; '' for none)"
    )
    parser.add_argument(
        "--metadata", metavar="COLUMN", nargs="*", help="columns to keep for filters (default: all others)"
    )
    parser.add_argument(
        "--on-bad-row",
        choices=("stop", "skip"),
        default="stop",
        help="what to do at a row that cannot be read or an id that occurs twice (default: stop)",
    )

"""`llm2comp topics`: groups of passages with key phrases; found, shown, compared with metadata, edited."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from indexer.search import Searcher
    from indexer.topics.stored import StoredTopics

_EXAMPLES = """
llm2comp topics articles
llm2comp topics articles --id current
llm2comp topics articles --method kmeans -n 30 --seed 1
llm2comp topics articles --merge 3 8 --version 'for the report'
"""
# Option to what it is called in `args`; at most one of them.
_ACTIONS = {
    "--list": "list",
    "--show": "show",
    "--by": "by",
    "--over-time": "over_time",
    "--rename": "rename",
    "--merge": "merge",
    "--split": "split",
    "--assign-noise": "assign_noise",
    "--choose": "choose",
    "--remove": "remove",
}
_BUILDS = {"--method": "method", "-n": "count", "--min-size": "min_size", "--map": "map"}
_EDITS = ("rename", "merge", "split", "assign_noise")
_CURRENT = "current"  # instead of an id


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "topics", "find topics, show them, edit them", _EXAMPLES)
    options.add_collection(parser)
    made = parser.add_argument_group("a new run (without any of the options further below)")
    made.add_argument(
        "--method",
        choices=("hdbscan", "kmeans"),
        help="hdbscan: dense regions of the map, the rest is noise; kmeans: every passage gets a topic "
        "(default: hdbscan where there is a map by umap)",
    )
    made.add_argument("-n", "--count", type=int, metavar="N", help="topics of kmeans (default: by size)")
    made.add_argument(
        "--min-size", type=int, metavar="N", help="fewest passages of an hdbscan topic (default: by size)"
    )
    made.add_argument("--map", metavar="ID", help="map for hdbscan (default: the newest by umap)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    seen = parser.add_argument_group("what there is")
    seen.add_argument("--list", action="store_true", help="the runs and their versions")
    seen.add_argument(
        "--id",
        metavar="ID",
        help="the run meant; by itself it shows that run; current means the current one",
    )
    seen.add_argument("--version", metavar="NAME", help="the edited version meant, or to begin")
    seen.add_argument("--show", metavar="TOPIC", help="one topic, by number or label: phrases and passages")
    seen.add_argument("--by", metavar="COLUMN", help="topics by the values of a column")
    seen.add_argument("--over-time", metavar="COLUMN", help="topics by date")
    edited = parser.add_argument_group("edits (the automatic run stays as it is; they go to a version)")
    edited.add_argument("--rename", nargs=2, metavar=("TOPIC", "LABEL"), help="give a topic a name")
    edited.add_argument("--merge", nargs="+", metavar="TOPIC", help="make one topic of several")
    edited.add_argument("--split", nargs=2, metavar=("TOPIC", "PARTS"), help="split a topic")
    edited.add_argument(
        "--assign-noise", type=float, metavar="COSINE", help="give noise that is so near to the nearest topic"
    )
    edited.add_argument("--choose", action="store_true", help="make --id (and --version) the current one")
    edited.add_argument("--remove", metavar="ID", help="delete a run with its versions")
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Does what was asked; without an action makes a run, or shows the one that is named."""
    from indexer.collection import Collection

    _check(args)
    collection = Collection.open(args.collection)
    if args.list:
        return _list(args, collection)
    if args.remove is not None:
        return _remove(args, collection)
    if args.id == _CURRENT:
        from indexer.topics.versions import current_run

        args.id, version = current_run(collection)
        args.version = args.version or version or None
    from indexer.search import Searcher

    searcher = Searcher(collection).held()
    if args.show is not None or args.by is not None or args.over_time is not None:
        return _look(args, searcher)
    if any(getattr(args, name) is not None for name in _EDITS):
        return _show(args, searcher, *_edited(args, searcher))
    if args.id is None and args.version is None:
        return _new(args, searcher)
    return _show(args, searcher, _chosen(args, searcher))


def _check(args: argparse.Namespace) -> None:
    """Makes sure that one thing is asked for.

    Raises:
        UsageError: two actions, or options that belong to another one.
    """
    where = f"llm2comp topics {args.collection}"
    asked = options.asked_once(args, where, _ACTIONS, _BUILDS, what="run")
    if not asked:
        options.asked_once(args, where, {"--id": "id"}, _BUILDS, what="run")
        options.asked_once(args, where, {"--version": "version"}, _BUILDS, what="run")
    if args.choose and args.id is None:
        raise UsageError("--choose needs --id", where, "see the runs: --list")


def _new(args: argparse.Namespace, searcher: "Searcher") -> int:
    """Makes a run; where there was one, says before how to look at it, and after how to go back to it."""
    from app.output import write_note
    from indexer.topics.versions import current_run, list_runs

    collection = searcher.collection
    former = current_run(collection) if list_runs(collection) else None
    says = former is not None and not (args.quiet or args.json)
    if former and says:
        write_note(
            f"topics {_called(*former)} are there and current; to look at them: {_command(args)} --id {_CURRENT}; "
            "now new ones are made"
        )
    topics = _made(args, searcher)
    code = _show(args, searcher, topics)
    if former and says and current_run(collection) == (topics.id, topics.version):
        write_note(
            f"{topics.id} is now the current run; back to the former: "
            f"{_command(args)} --choose --id {former[0]}{_version_option(former[1])}"
        )
    return code


def _command(args: argparse.Namespace) -> str:
    from app.program import command

    return f"{command()} topics {shlex.quote(str(args.collection))}"


def _called(identifier: str, version: str) -> str:
    return f"{identifier} ({version})" if version else identifier


def _version_option(version: str) -> str:
    return f" --version {shlex.quote(version)}" if version else ""


def _chosen(args: argparse.Namespace, searcher: "Searcher") -> "StoredTopics":
    """The run that is named, made the current one where that is asked for."""
    if args.choose:
        from indexer.topics.versions import choose

        choose(searcher.collection, args.id, args.version or "")
    return _opened(args, searcher)


def _opened(args: argparse.Namespace, searcher: "Searcher") -> "StoredTopics":
    from indexer.topics.versions import open_topics

    return open_topics(searcher.collection, args.id or "", args.version or "")


def _made(args: argparse.Namespace, searcher: "Searcher") -> "StoredTopics":
    from app.job_meter import JobMeter
    from indexer.topics.build import build_topics

    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        return build_topics(
            searcher,
            method=args.method or "",
            count=args.count,
            min_size=args.min_size,
            map_id=args.map or "",
            seed=args.seed,
            report=meter.report,
        )


def _edited(args: argparse.Namespace, searcher: "Searcher") -> tuple["StoredTopics", list[str]]:
    """The topics after an edit, and what it made of those it touched."""
    from app.output import write_note
    from app.topic_names import named_elsewhere, number_of
    from app.topic_tables import edit_lines
    from indexer.topics.edits import DEFAULT_NAME, Editor
    from indexer.topics.versions import current_run, open_topics, read_version

    collection = searcher.collection
    base, version = (args.id, "") if args.id else current_run(collection)
    name = args.version or version or DEFAULT_NAME
    begun = read_version(collection, base, name).edits
    before = open_topics(collection, base, name if begun else "")
    named = (args.rename or ())[:1] or args.merge or (args.split or ())[:1]
    numbers = [number_of(text, before, collection) for text in named]
    if not args.quiet:
        for note in named_elsewhere(numbers, before, collection):
            write_note(note)
    editor = Editor(searcher, before, name)
    if args.rename is not None:
        return editor.rename(numbers[0], args.rename[1]), []
    if args.merge is not None:
        after = editor.merge(numbers)
    elif args.split is not None:
        after = editor.split(numbers[0], _parts(args.split[1]), seed=args.seed)
    else:
        return editor.assign_noise(args.assign_noise), []
    return after, edit_lines(before, after, numbers)


def _parts(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{text[:40]!r} is no number of parts", "--split", "write --split TOPIC PARTS")
    return int(text)


def _show(
    args: argparse.Namespace, searcher: "Searcher", topics: "StoredTopics", told: Sequence[str] = ()
) -> int:
    from app import topic_tables
    from app.output import print_json, print_table, write_lines
    from indexer.topics.current import current_topics

    current = current_topics(topics, searcher.snapshot)
    if args.json:
        print_json(topic_tables.as_json(current))
        return 0
    print_table(*topic_tables.overview(current))
    write_lines([*topic_tables.summary(current), *told])
    _note_if_not_current(args, searcher, topics)
    return 0


def _note_if_not_current(args: argparse.Namespace, searcher: "Searcher", topics: "StoredTopics") -> None:
    """Says that pages, filters and exports mean another run or version than the one shown, and how to change that."""
    from app.output import write_note
    from indexer.topics.versions import current_run

    if current_run(searcher.collection) == (topics.id, topics.version):
        return
    write_note(
        "pages, filters and exports mean another run; make this one current: "
        f"{_command(args)} --choose --id {topics.id}{_version_option(topics.version)}"
    )


def _look(args: argparse.Namespace, searcher: "Searcher") -> int:
    from app import topic_tables
    from app.output import print_json, print_table
    from indexer.topics.current import current_topics
    from indexer.topics.tables import topics_by_value, topics_over_time

    current = current_topics(_opened(args, searcher), searcher.snapshot)
    if args.show is not None:
        return _show_one(args, searcher, current)
    if args.by is not None:
        values = topics_by_value(searcher.snapshot, current, args.by)
        shown, table = topic_tables.values_json(values), topic_tables.by_value(values, current)
    else:
        times = topics_over_time(searcher.snapshot, current, args.over_time)
        shown, table = topic_tables.times_json(times), topic_tables.over_time(times, current)
    if args.json:
        print_json(shown)
    else:
        print_table(*table)
    return 0


def _show_one(args: argparse.Namespace, searcher: "Searcher", current: Any) -> int:
    from app import topic_tables
    from app.output import print_json, print_table, write_lines
    from app.topic_names import number_of

    number = number_of(args.show, current.stored, searcher.collection)
    shown = topic_tables.one_topic(current, number, searcher.snapshot)
    if args.json:
        print_json({"format": 1, **shown})
        return 0
    write_lines(topic_tables.one_topic_lines(shown))
    print_table(*topic_tables.passages_table(shown))
    return 0


def _list(args: argparse.Namespace, collection: Any) -> int:
    from app import topic_tables
    from app.output import print_json, print_table, write_lines

    runs = topic_tables.runs(collection)
    if args.json:
        print_json({"format": 1, "runs": runs})
    elif runs:
        print_table(*topic_tables.runs_table(runs))
    else:
        write_lines([f"no topics yet; make them: {_command(args)}"])
    return 0


def _remove(args: argparse.Namespace, collection: Any) -> int:
    from app.formats import plural
    from app.output import print_json, write_lines
    from indexer.topics.edits import remove_topics

    removed = remove_topics(collection, args.remove)
    if args.json:
        print_json({"format": 1, "removed": args.remove, "builds": removed})
    else:
        write_lines(
            [
                f"removed topics {args.remove}"
                + (f" with {plural(removed - 1, 'edit')}" if removed > 1 else "")
            ]
        )
    return 0

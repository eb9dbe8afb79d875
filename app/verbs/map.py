"""`llm2comp map`: a map of a collection, built, listed, removed, or written as a picture or a table."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import UsageError

if TYPE_CHECKING:
    from indexer.collection import Collection
    from indexer.derived import Build
    from indexer.maps.stored import StoredMap
    from indexer.search import Searcher

_EXAMPLES = """
llm2comp map articles
llm2comp map articles --method pca --where "year >= 2020"
llm2comp map articles --id 3f2a91c0 --out articles.html --colour topic
"""
# Options that decide a new map; None where they were left out.
_BUILDS = {
    "--method": "method",
    "--neighbours": "neighbours",
    "--min-dist": "min_dist",
    "--seed": "seed",
    "--where": "where",
    "--most": "most",
}
_ACTIONS = {"--list": "list", "--remove": "remove", "--id": "id"}
_MOST_FACT = 10**15


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "map", "draw a map of a collection, list or export maps", _EXAMPLES)
    options.add_collection(parser)
    made = parser.add_argument_group("a new map (without --list, --remove, --id)")
    made.add_argument(
        "--method",
        choices=("umap", "pca"),
        help="umap keeps neighbours together and takes minutes; pca is there at once (default: umap)",
    )
    made.add_argument(
        "--neighbours", type=int, metavar="N", help="that umap looks at, 2 to 200 (default: 15)"
    )
    made.add_argument(
        "--min-dist", type=float, metavar="X", help="how close points may lie, 0 to 0.99 (default: 0.1)"
    )
    made.add_argument("--seed", type=int, metavar="N", help="of everything random (default: 0)")
    made.add_argument("--where", metavar="FILTER", help="only passages that pass it (default: all)")
    made.add_argument(
        "--most",
        type=int,
        metavar="N",
        help="passages that are laid out; the others are placed among them (default: 300 000)",
    )
    seen = parser.add_argument_group("maps that there are")
    seen.add_argument("--list", action="store_true", help="the maps, newest first")
    seen.add_argument("--remove", metavar="ID", help="delete a map")
    seen.add_argument(
        "--id", metavar="ID", help="export this map instead of a new one; newest for the newest"
    )
    written = parser.add_argument_group("files")
    written.add_argument("--out", metavar="FILE", help="write it: .svg, .png, .html, .parquet or .csv")
    written.add_argument(
        "--colour",
        metavar="COLUMN",
        default="",
        help="a metadata column, topic, or trust, also as derived.topic (default: none)",
    )
    written.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Builds a map, or does what else was asked."""
    from app.verbs.outfile import check_new
    from indexer.collection import Collection

    _check(args)
    collection = Collection.open(args.collection)
    if args.list:
        return _list(args, collection)
    if args.remove is not None:
        return _remove(args, collection)
    if args.out:
        from app.map_table import check_ending

        check_ending(Path(args.out))
        check_new(Path(args.out), args.force)
    from indexer.search import Searcher

    searcher = Searcher(collection)
    stored = _stored(args, searcher)
    if args.out:
        from app.map_table import write_map

        write_map(searcher.held(), stored, Path(args.out), colour=args.colour)
    return _show(args, collection, stored)


def _check(args: argparse.Namespace) -> None:
    """Makes sure that one thing is asked for.

    Raises:
        UsageError: two actions, or options that belong to another one.
    """
    where = f"llm2comp map {args.collection}"
    asked = options.asked_once(args, where, _ACTIONS, _BUILDS, what="map")
    if args.out and asked and asked[0] != "--id":
        raise UsageError(f"{asked[0]} writes no file", where, "leave --out away, or name a map: --id ID")
    if (args.colour or args.force) and not args.out:
        raise UsageError("--colour and --force are for --out", where, "name a file: --out map.svg")


def _stored(args: argparse.Namespace, searcher: "Searcher") -> "StoredMap":
    """The map that is meant: an existing one, or a new one."""
    from app.job_meter import JobMeter
    from indexer.maps.build import MapRecipe, build_from
    from indexer.maps.layouts import LEAST_UMAP_POINTS
    from indexer.maps.stored import open_map

    if args.id is not None:
        return open_map(searcher.collection, "" if args.id == "newest" else args.id)
    if args.colour:
        from app.column_colours import check_column

        check_column(searcher, args.colour)  # not after minutes of work
    given = {name: getattr(args, name) for name in _BUILDS.values() if getattr(args, name) is not None}
    if "most" in given:
        given["most_rows"] = given.pop("most")
    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        if given.get("method", "umap") == "umap" and searcher.snapshot.rows >= LEAST_UMAP_POINTS:
            meter.note("the first map of an installation takes half a minute longer: its code is compiled")
        return build_from(searcher, MapRecipe(**given), report=meter.report)


def _list(args: argparse.Namespace, collection: "Collection") -> int:
    from app.output import print_json, write_lines
    from app.program import command
    from indexer.maps.stored import list_maps

    builds = list_maps(collection)
    if args.json:
        print_json({"format": 1, "collection": str(collection.path), "maps": [_told(b) for b in builds]})
    elif builds:
        write_lines(_line(build) for build in builds)
    else:
        write_lines([f"no map yet; make one: {command()} map {shlex.quote(str(collection.path))}"])
    return 0


def _remove(args: argparse.Namespace, collection: "Collection") -> int:
    from app.output import print_json, write_lines
    from indexer.derived import remove_build
    from indexer.maps.stored import KIND

    remove_build(collection, KIND, args.remove)
    if args.json:
        print_json({"format": 1, "removed": args.remove})
    else:
        write_lines([f"map {args.remove} is deleted; links that name it show the newest map instead"])
    return 0


def _show(args: argparse.Namespace, collection: "Collection", stored: "StoredMap") -> int:
    from app.output import print_json, write_lines
    from app.program import command

    if args.json:
        told = {"format": 1, "collection": str(collection.path), **_told(stored.build)}
        print_json({**told, "out": args.out} if args.out else told)
        return 0
    lines = [_line(stored.build), *_remarks(stored.build)]
    if args.out:
        lines.append(f"written: {args.out}")
    if args.id is None:
        lines += _place_among(collection, stored)
    path = shlex.quote(str(collection.path))
    lines.append(f"next: {command()} app {path}   or   {command()} topics {path}")
    write_lines(lines)
    return 0


def _place_among(collection: "Collection", stored: "StoredMap") -> list[str]:
    """What a new map changes for the pages, and for topics; nothing where it is the only one."""
    from app.program import command
    from indexer.maps.stored import list_maps, neighbour_map

    others = [build.id for build in list_maps(collection) if build.id != stored.id]
    if not others:
        return []
    path = shlex.quote(str(collection.path))
    lines = [
        f"the page Map opens with it from now on; the one before, {others[0]}, is in its list, and is the first again "
        f"after: {command()} map {path} --remove {stored.id}"
    ]
    if (umap := neighbour_map(collection)) not in ("", stored.id):
        lines.append(f"new topics are still found on {umap}, the newest map by umap")
    return lines


def _told(build: "Build") -> dict[str, Any]:
    return {
        "id": build.id,
        "created_at": build.created_at,
        "version": build.version,
        "recipe": build.recipe,
        "facts": build.facts,
    }


def _line(build: "Build") -> str:
    recipe, facts = build.recipe, build.facts
    trust = facts.get("mean_trust")
    where = f", where {recipe.get('where')}" if recipe.get("where") else ""
    return (
        f"map {build.id}: {facts.get('points')} points by {facts.get('drawn_by') or recipe.get('method')}, seed {recipe.get('seed')}{where}; "
        f"version {build.version}, {build.created_at[:16].replace('T', ' ')}; "
        + ("trust not known" if trust is None else f"mean trust {trust} of 1")
    )


def _remarks(build: "Build") -> list[str]:
    """What a reader of this map must know, one sentence each; nothing where all is as expected.

    Facts come from a file that may be anybody's: one that is missing or no number says nothing.
    """
    from app.formats import percent, plural

    numbers = {name: value for name, value in build.facts.items() if isinstance(value, int | float)}
    facts = {name: value for name, value in numbers.items() if abs(value) <= _MOST_FACT}
    remarks = {
        "placed": ("point", "not laid out but placed by neighbours: {}"),
        "unusable": ("passage", "without a point, for the vector has no direction: {}"),
        "duplicates": ("passage", "with the vector of another one, and so at its point: {}"),
        "on_rim": ("point", "far outside and so drawn on the rim: {}"),
    }
    found = [
        text.format(plural(facts[name], noun)) for name, (noun, text) in remarks.items() if facts.get(name)
    ]
    if facts.get("is_single_place"):
        found.insert(0, "all points have the same position")
    if build.recipe.get("method") == "umap" and build.facts.get("drawn_by") == "pca":
        found.insert(0, "too few different passages for umap: pca")
    elif build.facts.get("drawn_by") == "pca" or build.recipe.get("method") == "pca":
        found.append("two directions show little of many; --method umap sets subjects apart")
    if facts.get("share", 1) < 1:
        found.append(f"a sample: {percent(facts['share'])} of {plural(facts.get('rows', 0), 'passage')}")
    return found

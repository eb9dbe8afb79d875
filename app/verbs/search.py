"""`llm2comp search`: the best documents for a query, as a table or JSON."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from indexer.hits import SearchResult
    from indexer.search import Searcher

_EXAMPLES = """
llm2comp search articles "who pays for roads" -k 5
llm2comp search articles '"toll roads" -bridge' --mode keyword --where "year >= 2020 and country = France"
"""
_BATCH = 64


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "search", "find the best documents for a query", _EXAMPLES)
    options.add_collection(parser)
    parser.add_argument(
        "query", nargs="?", metavar="QUERY", help='words, a question; "phrase", -without, a OR b'
    )
    parser.add_argument(
        "-k", type=int, default=10, metavar="N", help="number of hits, 1 to 10000 (default: 10)"
    )
    parser.add_argument("--where", metavar="FILTER", help="for example: year >= 2020 and topic = 'open data'")
    parser.add_argument(
        "--mode",
        choices=("hybrid", "semantic", "keyword"),
        default="hybrid",
        help="by meaning and words (default), by meaning, by words",
    )
    parser.add_argument("--exact", action="store_true", help="compare every row, whatever the index")
    parser.add_argument("--by", choices=("document", "passage"), default="document", help="what a hit is")
    parser.add_argument(
        "--show", nargs="*", metavar="COLUMN", help="metadata to show (default: the first three)"
    )
    parser.add_argument("--queries", metavar="FILE", help="many queries, one a line, instead of QUERY")
    parser.add_argument(
        "--out", metavar="FILE", help="where the answers to --queries go, one JSON object a line"
    )
    parser.add_argument("--force", action="store_true", help="replace the file of --out if it exists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Searches and shows."""
    if (args.query is None) == (args.queries is None):
        raise UsageError(
            "give a QUERY, or a file of them", "llm2comp search", 'add "the words" or --queries FILE'
        )
    if args.out and not args.queries:
        raise UsageError(
            "--out is for the answers to --queries", "llm2comp search", "leave it out, or add --json > FILE"
        )
    from app.verbs.outfile import check_new
    from indexer.collection import Collection
    from indexer.search import Searcher
    from indexer.segments.faiss_module import check_faiss

    check_faiss()
    if args.out:
        check_new(Path(args.out), args.force)
    searcher = Searcher(Collection.open(args.collection))
    if args.queries:
        return _search_many(args, searcher)
    result = searcher.search(
        args.query, args.k, where=args.where, mode=args.mode, exact=args.exact, by=args.by
    )
    if args.json:
        from app.output import print_json

        print_json(_as_json(result))
    else:
        _show(args, result, searcher)
    return 0


def _as_json(result: "SearchResult") -> dict[str, Any]:
    hits = [asdict(hit) for hit in result.hits]
    return {"format": 1, "query": result.query, "hits": hits, "provenance": asdict(result.provenance)}


def _show(args: argparse.Namespace, result: "SearchResult", searcher: "Searcher") -> None:
    from app.nothing_found import nothing_found
    from app.output import print_table, write_lines, write_note
    from app.provenance import provenance_line
    from app.result_table import result_table

    if result.hits:
        columns, rows = result_table(result, args.show)
        print_table(columns, rows)
    else:
        write_lines(nothing_found(result, args.where, searcher))
    write_note(" · ".join([provenance_line(result.provenance, str), *_load_time(result)]))
    for note in result.provenance.notes:
        write_note(note)


def _load_time(result: "SearchResult") -> list[str]:
    """A part of the line for an encoder that took long to load; the total leaves that out."""
    from app.formats import duration

    seconds = result.provenance.milliseconds.get("load", 0.0) / 1000
    return [f"encoder loaded in {duration(seconds)}"] if seconds > 1 else []


def _search_many(args: argparse.Namespace, searcher: "Searcher") -> int:
    from app.formats import plural
    from app.output import print_json, write_lines

    queries = _read_queries(Path(args.queries))
    answers = _answers(args, searcher, queries)
    if not args.out:
        for answer in answers:
            print_json(answer, indent=None)
        return 0
    try:
        with Path(args.out).open("w", encoding="utf-8") as stream:
            for answer in answers:
                print_json(answer, stream=stream, indent=None)
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror or error}",
            args.out,
            "free some space, or name another place",
        ) from error
    write_lines([f"{plural(len(queries), 'answer')} in {args.out}"])
    return 0


def _answers(
    args: argparse.Namespace, searcher: "Searcher", queries: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for start in range(0, len(queries), _BATCH):
        some = queries[start : start + _BATCH]
        yield from map(
            _as_json,
            searcher.search_batch(
                some, args.k, where=args.where, mode=args.mode, exact=args.exact, by=args.by
            ),
        )


def _read_queries(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the queries cannot be read: {error}", str(file), "give a UTF-8 text file"
        ) from error
    queries = [line for line in lines if line.strip()]
    if not queries:
        raise InputError("the file holds no query", str(file), "write one query a line")
    return queries

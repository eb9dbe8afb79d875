"""`llm2comp demo`: something real to search on every machine."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp demo
llm2comp demo --no-app
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "demo", "index the documentation of the installed Python packages and open it", _EXAMPLES
    )
    parser.add_argument(
        "--no-app", action="store_true", help="open no page, and make no map and no topics beside it"
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="of the page (default: the first free one from 8501)"
    )
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Makes the corpus and the collection where they are missing, asks a first question, opens the page."""
    from app.demo_corpus import EXAMPLES
    from app.formats import plural
    from app.output import print_json, write_lines
    from app.program import command
    from indexer.search import Searcher
    from indexer.segments.faiss_module import check_faiss

    check_faiss()
    collection = _demo_collection(args)
    searcher = Searcher(collection)
    result = searcher.search(EXAMPLES[0], 3)
    if args.json:
        print_json({"format": 1, "collection": str(collection.path), **collection.info()})
    else:
        documents = collection.info()["documents"]
        write_lines(
            [f"{plural(documents, 'docstring')} in {collection.path}", f"first answers to {EXAMPLES[0]!r}:"]
        )
        write_lines([f"  {hit.rank}. {hit.title}  ({hit.score:.3f})" for hit in result.hits])
    if args.no_app:
        if not args.json:
            path = shlex.quote(str(collection.path))
            write_lines([f'next: {command()} search {path} "{EXAMPLES[1]}"   or   {command()} app'])
        return 0
    from app.server import serve

    _start_overviews(collection)
    return serve([collection.path], port=args.port)


def _start_overviews(collection: Any) -> None:
    """Topics and a map, made beside the page while somebody reads it; each page says how far its own is."""
    from importlib.util import find_spec

    from app import jobs
    from indexer.derived import list_builds

    if not list_builds(collection, "topics"):
        jobs.start_once("topics", collection.path)
    if not list_builds(collection, "map") and find_spec("umap"):  # by PCA the page makes one itself
        jobs.start_once("map", collection.path)


def _demo_collection(args: argparse.Namespace) -> Any:
    from app import library
    from app.demo_corpus import write_demo_corpus
    from app.job_meter import JobMeter
    from encoder.checkpoint import load_encoder
    from indexer.collection import Collection
    from indexer.sources import open_sources
    from indexer.storage.manifest import SETTINGS_FILE

    home = library.home()
    corpus, into = home / "demo.parquet", library.collections_folder() / "demo"
    into.parent.mkdir(parents=True, exist_ok=True)
    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        if not corpus.exists():
            meter.note("collecting docstrings of the installed Python packages")
            write_demo_corpus(corpus)
        source = open_sources([corpus], text="text", title="title", id="id")
        encoder = load_encoder("default")
        if (into / SETTINGS_FILE).exists():
            collection = Collection.open(into)
        else:
            collection = Collection.create(into, encoder=encoder, columns=source.columns)
        if collection.settings.text_fingerprint != encoder.fingerprint:
            meter.note("the bundled encoder is a newer one: embedding the demo again")
            collection.rebuild(encoder=encoder, report=meter.report)
        collection.add(source, encoder=encoder, report=meter.report)
    return collection

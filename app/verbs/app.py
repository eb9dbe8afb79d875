"""`llm2comp app`: the front end in the browser."""

import argparse
from pathlib import Path
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp app
llm2comp app articles reports --port 8600
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "app", "open the front end in the browser", _EXAMPLES)
    parser.add_argument(
        "collections", nargs="*", metavar="DIR", help="collections to show beside the known ones"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="NAME", help="address to listen on (loopback only)"
    )
    parser.add_argument("--port", type=int, metavar="N", help="port (default: the first free one from 8501)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted."""
    from app.server import serve
    from indexer.collection import Collection
    from indexer.segments.faiss_module import check_faiss

    check_faiss()
    paths = [Path(name) for name in args.collections]
    for path in paths:
        Collection.open(path)  # a wrong folder is said before the server starts
    return serve(paths, host=args.host, port=args.port, open_browser=not args.no_browser)

"""`llm2comp app`: the front end in the browser."""

import argparse
from pathlib import Path
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp app
llm2comp app articles reports --port 8600
llm2comp app articles --host 0.0.0.0 --auth auth.toml --read-only
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "app", "open the front end in the browser", _EXAMPLES)
    parser.add_argument(
        "collections",
        nargs="*",
        metavar="DIR",
        type=options.collection_folder,
        help="collections to show beside the known ones",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="address to listen on (others than loopback: only with sign-in)",
    )
    parser.add_argument("--port", type=int, metavar="N", help="port (default: the first free one from 8501)")
    parser.add_argument(
        "--auth", metavar="FILE", help="TOML with the OpenID Connect settings by which people sign in"
    )
    parser.add_argument("--read-only", action="store_true", help="start no jobs, save and tag nothing")
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
    return serve(
        paths,
        host=args.host,
        port=args.port,
        open_browser=not args.no_browser,
        is_read_only=args.read_only,
        auth=Path(args.auth) if args.auth else None,
    )

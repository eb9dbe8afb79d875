"""`llm2comp rebuild`: a new index over the same vectors, or every vector with another encoder."""

import argparse
from typing import Any

from app.verbs import options

_EXAMPLES = """
llm2comp rebuild articles --index rabitq
llm2comp rebuild articles --encoder runs/better
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "rebuild", "build the index anew, or embed all again with another encoder", _EXAMPLES
    )
    options.add_collection(parser)
    parser.add_argument("--index", choices=("auto", "flat", "rabitq", "ivf-sq8"), help="index kind")
    options.add_encoder(parser, None)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuilds."""
    from app.job_meter import JobMeter
    from app.output import print_json, write_lines
    from indexer.collection import Collection
    from indexer.segments.faiss_module import check_faiss

    check_faiss()
    collection = Collection.open(args.collection)
    encoder = None
    if args.encoder:
        from encoder.checkpoint import load_encoder

        encoder = load_encoder(args.encoder, device=args.device)
    with JobMeter(quiet=args.quiet) as meter:
        collection.rebuild(encoder=encoder, index=args.index, report=meter.report)
    info = collection.info()
    if args.json:
        print_json(info)
    else:
        write_lines(
            [
                f"version {info['version']}: {info['passages']:,} passages, {info['index']}, recall {info['recall']}"
            ]
        )
    return 0

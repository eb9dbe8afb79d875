"""`llm2comp rebuild`: a new index over the same vectors, all vectors transformed, or all with another encoder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options

if TYPE_CHECKING:
    from app.job_meter import JobMeter
    from encoder.embedder import Embedder
    from indexer.collection import Collection

_EXAMPLES = """
llm2comp rebuild articles --index rabitq
llm2comp rebuild articles --encoder runs/better
llm2comp rebuild articles --transform centre+drop:1
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "rebuild", "build the index anew, transform all vectors, or embed all again", _EXAMPLES
    )
    options.add_collection(parser)
    parser.add_argument("--index", choices=("auto", "flat", "rabitq", "ivf-sq8"), help="index kind")
    parser.add_argument(
        "--transform",
        metavar="STEPS",
        help="transform all vectors: centre, drop:M, whiten, whiten:S, cut:D, pca:D, joined by + in this order; "
        "none gives the encoder's own vectors back, by embedding all again",
    )
    options.add_encoder(parser, None)
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
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
    with JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None) as meter:
        encoder = _encoder(args, collection, meter)
        collection.rebuild(encoder=encoder, transform=args.transform, index=args.index, report=meter.report)
    info = collection.info()
    if args.json:
        print_json(info)
    else:
        write_lines(
            [
                f"version {info['version']}: {info['passages']:,} passages, {info['index']}, recall {info['recall']}",
                *([f"vectors are transformed: {info['transform']}"] if info["transform"] else []),
            ]
        )
    return 0


def _encoder(args: argparse.Namespace, collection: "Collection", meter: "JobMeter") -> "Embedder | None":
    """The encoder to embed with; None where the stored vectors will do."""
    from encoder.checkpoint import load_encoder
    from encoder.spectrum.transforms import parse_steps

    settings = collection.settings
    wanted = None if args.transform is None else str(parse_steps(args.transform))
    if args.encoder:
        encoder = load_encoder(args.encoder, device=args.device)
        if settings.transform and wanted is None and encoder.fingerprint != settings.text_fingerprint:
            meter.note(
                f"the transformation {settings.transform} belongs to the encoder before, and goes with it"
            )
        return encoder
    if settings.transform and wanted not in (None, settings.transform):
        meter.note("a transformation cannot be undone: every passage is embedded again")
        return load_encoder(settings.encoder_spec, device=args.device, only_cached=True)
    return None

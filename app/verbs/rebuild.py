"""`llm2comp rebuild`: a new index over the same vectors, all vectors transformed, or all with another encoder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.formats import count
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
        gone = _of_old_vectors(args, collection, encoder)
        if gone:
            meter.note(f"all vectors change, and {_counted(gone)} of the old ones will be gone")
        collection.rebuild(encoder=encoder, transform=args.transform, index=args.index, report=meter.report)
    info = collection.info()
    if args.json:
        print_json({**info, "gone": gone})
    else:
        write_lines(
            [
                f"version {info['version']}: {count(info['passages'])} passages, {info['index']}, recall {info['recall']}",
                *([f"vectors are transformed: {info['transform']}"] if info["transform"] else []),
                *_what_went(args.collection, gone),
            ]
        )
    return 0


def _of_old_vectors(
    args: argparse.Namespace, collection: "Collection", encoder: "Embedder | None"
) -> dict[str, int]:
    """How many maps and runs of topics the rebuild will end, kind to number; empty where it ends none."""
    from indexer.maps.stored import list_maps
    from indexer.retransform import changes_vectors
    from indexer.topics.versions import list_runs

    if not changes_vectors(collection, encoder=encoder, transform=args.transform):
        return {}
    found = {"map": len(list_maps(collection)), "topics": len(list_runs(collection))}
    return {kind: number for kind, number in found.items() if number}


def _counted(gone: dict[str, int]) -> str:
    words = {"map": "map", "topics": "run of topics"}
    plurals = {"map": "maps", "topics": "runs of topics"}
    return " and ".join(f"{count(n)} {words[kind] if n == 1 else plurals[kind]}" for kind, n in gone.items())


def _what_went(path: Path, gone: dict[str, int]) -> list[str]:
    """What the rebuild ended, what it kept, and how to make the first anew; nothing where it ended nothing."""
    if not gone:
        return []
    verb = "was" if sum(gone.values()) == 1 else "were"
    again = " and ".join(f"llm2comp {kind} {path}" for kind in gone)
    return [
        f"{_counted(gone)} {verb} of the old vectors and {'is' if verb == 'was' else 'are'} gone; make anew: {again}",
        "tags, notes, sets and saved searches are kept",
    ]


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

"""`llm2comp encode`: texts to vectors, in a file that other programs read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import InputError

if TYPE_CHECKING:
    from app.job_meter import JobMeter
    from encoder.embedder import Embedder
    from encoder.stats import EncodingStats
    from indexer.sources.source import Source

_EXAMPLES = """
llm2comp encode articles.csv --out articles.npy
llm2comp encode questions.jsonl --out questions.parquet --as query
"""


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(subparsers, "encode", "turn texts into vectors, one a document", _EXAMPLES)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="as for `llm2comp index`")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help=".npy (float32 rows) or .parquet (id, vector)"
    )
    parser.add_argument(
        "--as", dest="role", choices=("document", "query"), default="document", help="what they are"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    options.add_columns(parser)
    options.add_encoder(parser, "default")
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encodes; a text longer than the encoder's window is cut off at its end."""
    from app.formats import plural
    from app.job_meter import JobMeter
    from app.output import print_json, write_lines
    from app.verbs.outfile import check_new
    from encoder.checkpoint import load_encoder
    from encoder.stats import EncodingStats
    from indexer.sources import open_sources

    out = Path(args.out)
    if out.suffix not in (".npy", ".parquet"):
        raise InputError(f"{out.name} has no known ending", str(out), "end it with .npy or .parquet")
    check_new(out, args.force)
    source = open_sources(
        args.sources,
        text=args.text,
        title=args.title,
        id=args.id,
        metadata=args.metadata or [],
        on_bad_row=args.on_bad_row,
    )
    encoder = load_encoder(args.encoder, device=args.device)
    stats = EncodingStats()
    with JobMeter(quiet=args.quiet) as meter:
        written = _encode(source, encoder, args.role, out, meter, stats)
    if args.json:
        shown = {"vectors": written, "dimension": encoder.dimension, "truncated": stats.truncated}
        print_json({"format": 1, "out": str(out), **shown})
    else:
        write_lines(
            [
                f"{plural(written, 'vector')} of {plural(encoder.dimension, 'number')} in {out}",
                stats.describe(),
            ]
        )
    return 0


def _encode(
    source: "Source", encoder: "Embedder", role: str, out: Path, meter: "JobMeter", stats: "EncodingStats"
) -> int:
    """Vectors go to a raw file first, so that memory does not grow with their number."""
    import numpy as np

    from indexer.progress import JobProgress

    encode: Any = encoder.encode_query if role == "query" else encoder.encode_document
    raw = out.with_name(f".{out.name}.part")
    ids: list[str] = []
    try:
        with raw.open("wb") as stream:
            for documents in source.batches():
                texts = [f"{d.title}\n{d.text}" if d.title else d.text for d in documents]
                stream.write(np.ascontiguousarray(encode(texts, stats=stats), "<f4").tobytes())
                ids += [d.id or str(len(ids) + n) for n, d in enumerate(documents)]
                meter.report(
                    JobProgress("encoding", len(ids), len(ids), stats.tokens, source.fraction_read())
                )
        if not ids:
            raise InputError(
                "the source holds no text", source.name, "check the file, or name its column: --text COLUMN"
            )
        _write(out, ids, np.memmap(raw, "<f4", "r", shape=(len(ids), encoder.dimension)))
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror or error}",
            str(out),
            "free some space, or name another place",
        ) from error
    finally:
        raw.unlink(missing_ok=True)
    return len(ids)


def _write(out: Path, ids: list[str], vectors: Any) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = out.with_name(f".{out.name}.whole")
    try:
        if out.suffix == ".npy":
            with temporary.open("wb") as stream:
                np.save(stream, vectors, allow_pickle=False)
        else:
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
            pq.write_table(pa.table({"id": ids, "vector": column}), temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)

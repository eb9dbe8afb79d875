"""`llm2comp index`: sources into a collection, new or existing."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.verbs import options
from encoder.errors import InputError

if TYPE_CHECKING:
    from indexer.collection import Collection
    from indexer.ingest.job import AddReport
    from indexer.sources.source import Source

_EXAMPLES = """
llm2comp index articles.csv --into articles
llm2comp index 'reports/*.parquet' --into all-reports --text body --title headline --id report_id
"""
# A smaller share is not worth a line.
_NOTABLE = 0.01


def add_parser(subparsers: Any) -> None:
    """Adds the verb to the command."""
    parser = options.add_verb(
        subparsers, "index", "put sources into a collection; the same command again goes on", _EXAMPLES
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="files or patterns (parquet, csv, tsv, json, jsonl, also .gz and .zst), a folder of "
        "txt, md, html and pdf, a saved Hugging Face dataset, or - for standard input",
    )
    parser.add_argument("--into", required=True, metavar="DIR", help="the collection, made when it is new")
    options.add_columns(parser)
    parser.add_argument(
        "--window", type=int, metavar="N", help="tokens of a passage (default: the encoder's limit)"
    )
    parser.add_argument(
        "--overlap", type=int, metavar="N", help="tokens that neighbours share (default: 1/8 of it)"
    )
    parser.add_argument(
        "--words",
        choices=("english", "plain", "ngram2"),
        help="how words are cut for keywords (default: english)",
    )
    parser.add_argument(
        "--index", choices=("auto", "flat", "rabitq", "ivf-sq8"), help="index kind (default: auto)"
    )
    parser.add_argument(
        "--mirror", action="store_true", help="delete what an earlier run took and is gone now"
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="replace documents of the same id that came from another source",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be read and how long it would take"
    )
    options.add_encoder(parser, None, omitted="the collection's own; the bundled one for a new collection")
    parser.add_argument("--progress-file", metavar="FILE", help=argparse.SUPPRESS)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Indexes, or says what indexing would do."""
    from app.job_meter import JobMeter
    from indexer.segments.faiss_module import check_faiss
    from indexer.sources import open_sources

    check_faiss()
    existing = _existing(args)
    meter = JobMeter(quiet=args.quiet, file=Path(args.progress_file) if args.progress_file else None)
    with meter:
        meter.note("reading the first rows")
        source = open_sources(
            args.sources,
            text=args.text,
            title=args.title,
            id=args.id,
            metadata=args.metadata,
            on_bad_row=args.on_bad_row,
        )
        meter.note(_what_was_chosen(source))
        for note in source.notes:
            meter.note(note)
        if existing and (
            unknown := [name for name in source.columns if name not in existing.settings.columns]
        ):
            meter.note(f"the collection cannot be filtered by {', '.join(unknown)}: it was made without")
        encoder = _encoder(args, existing)
        if args.dry_run:
            return _plan(args, source, encoder, existing)
        collection = existing or _create(args, source, encoder)
        done = collection.add(
            source,
            encoder=encoder,
            mirror=args.mirror,
            take_over=args.take_over,
            index=args.index,
            report=meter.report,
        )
    if existing and done.added and source.guessed and "id" not in source.guessed:
        meter.note(
            "no id column: a changed row counts as a new one and its earlier state stays; "
            "--mirror removes what this source no longer has, --id COLUMN names rows"
        )
    _remember(collection.path)
    _show(args, collection, source, done)
    return 0


def _remember(path: Path) -> None:
    """Lets the page offer a collection that lies outside its own folder."""
    from app import library

    if library.collections_folder() not in path.resolve().parents:
        library.remember([path])


def _what_was_chosen(source: "Source") -> str:
    kept = ", ".join(f"{name} ({kind})" for name, kind in source.columns.items()) or "none"
    if not source.guessed:
        return f"{source.name}: whole files; metadata: {kept}"
    roles = {role: source.guessed.get(role, f"none (--{role} COLUMN)") for role in ("text", "title", "id")}
    chosen = ", ".join(f"{role} = {column}" for role, column in roles.items())
    return f"{source.name}: {chosen}; metadata: {kept}"


def _existing(args: argparse.Namespace) -> "Collection | None":
    """The collection, None for a new one.

    Raises:
        InputError: it was made in another way than asked for.
    """
    from indexer.collection import Collection
    from indexer.storage.manifest import SETTINGS_FILE

    into = Path(args.into)
    if not (into / SETTINGS_FILE).exists():
        return None
    collection = Collection.open(into)
    for name in ("window", "overlap", "words"):
        asked, made = getattr(args, name), getattr(collection.settings, name)
        if asked is not None and asked != made:
            raise InputError(
                f"the collection was made with --{name} {made}, not {asked}",
                str(into),
                f"leave the option out, or index into a new collection: --into {into}-{name}{asked}",
            )
    return collection


def _encoder(args: argparse.Namespace, existing: "Collection | None") -> Any:
    from encoder.checkpoint import load_encoder

    if existing and args.encoder is None:
        return existing.load_encoder(device=args.device)
    encoder = load_encoder(args.encoder or "default", device=args.device)
    return existing.dressed(encoder) if existing else encoder


def _create(args: argparse.Namespace, source: "Source", encoder: Any) -> "Collection":
    from indexer.collection import Collection

    return Collection.create(
        Path(args.into),
        encoder=encoder,
        columns=source.columns,
        window=args.window,
        overlap=args.overlap,
        words=args.words or "english",
    )


def _plan(args: argparse.Namespace, source: "Source", encoder: Any, existing: "Collection | None") -> int:
    from app.estimate import estimate
    from app.output import print_json

    cut = existing.settings if existing else args
    plan = estimate(source, encoder, window=cut.window, overlap=cut.overlap)
    if args.json:
        print_json({"format": 1, "source": source.name, "guessed": source.guessed, **plan})
    else:
        from app.formats import count
        from app.output import write_lines

        shown = {name: count(value) if type(value) is int else value for name, value in plan.items()}
        write_lines([f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()])
    return 0


def _show(args: argparse.Namespace, collection: "Collection", source: "Source", done: "AddReport") -> None:
    from dataclasses import asdict

    from app.formats import count, duration, plural
    from app.output import print_json, write_lines
    from app.program import command

    if args.json:
        print_json(
            {"format": 1, "collection": str(collection.path), **asdict(done), "bad_rows": source.bad_rows}
        )
        return
    lines = [
        f"{plural(done.read, 'document')} read: {count(done.added)} new, {count(done.changed)} changed, "
        f"{count(done.metadata_changed)} with new metadata, {count(done.unchanged)} unchanged"
        + (f", {count(done.removed)} removed" if done.removed else "")
    ]
    left_out = {name: n for name, n in done.counts.items() if n and name not in ("read", "documents")}
    if left_out:
        lines.append("left out: " + ", ".join(f"{count(n)} {name}" for name, n in left_out.items()))
    lines += source.bad_rows[:5]
    if done.passages:
        rate = done.tokens / done.encode_s if done.encode_s else 0
        lines.append(
            f"{plural(done.passages, 'passage')} encoded in {duration(done.total_s)} ({count(rate)} tokens/s in the "
            f"encoder); "
            f"version {done.version} published"
        )
        lines += unknown_writing(done.unknown, done.passages)
    else:
        lines.append(f"nothing had to be encoded; the newest version is {done.version}")
    path = shlex.quote(str(collection.path))
    lines.append(f'next: {command()} search {path} "..."   or   {command()} app {path}')
    write_lines(lines)


def unknown_writing(unknown: int, passages: int) -> list[str]:
    """One sentence where a notable share of the passages is in writing that the encoder hardly knows."""
    from app.formats import count, percent

    if not passages or unknown / passages < _NOTABLE:
        return []
    return [
        f"{percent(unknown / passages)} of the passages ({count(unknown)}) are in writing that this encoder hardly "
        f"knows; search by words finds them, search by meaning does not"
    ]

"""What the page Health keeps for all sessions, by version and by what is looked at: the first look, the rest, trials."""

from collections.abc import Callable, Hashable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from app import library, session
from app.curves import Layer
from app.formats import count

if TYPE_CHECKING:
    from encoder.embedder import Embedder
    from encoder.spectrum.diagnosis import Diagnosis
    from encoder.spectrum.length_bias import SameTextLength
    from encoder.spectrum.reference import Reference
    from encoder.spectrum.verdict import Verdict
    from encoder.spectrum.what_if import WhatIf
    from encoder.temperature import Sweep
    from indexer.health.memory import MemoryLook
    from indexer.health.report import HealthReport
    from indexer.query.embedded import Embedded

MOST_ROWS = 100_000  # the command looks at all; a page must not keep people waiting
MEMORY_TEXTS = 200
CUT_TEXTS = 60
TEMPERATURE_TEXTS = 60
KNOWN_ITEMS = 200
_FIRST_PAIR_ROWS = 2_000  # for the first word
_PAIR_ROWS = 10_000
_Made = TypeVar("_Made")


class _Looker:
    """A searcher whose encoder waits for its turn at every call, so that a look of half a minute holds up no query."""

    def __init__(self, searcher: "Embedded") -> None:
        self.snapshot = searcher.snapshot
        self._searcher = searcher

    @property
    def embedder(self) -> "Embedder":
        """The encoder of the collection, one call at a time in this process."""
        return cast("Embedder", _InTurn(self._searcher.embedder))


class _InTurn:
    """An encoder that encodes when no other does."""

    def __init__(self, encoder: "Embedder") -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._encoder, name)
        if not name.startswith("encode_"):
            return found
        return lambda *args, **options: session.encode_alone(lambda: found(*args, **options))


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What a pass over the vectors tells at once.

    Attributes:
        chosen: passages that are looked at by the view.
        examined: of these, those that were measured.
        sentence: which they are; hostile.
        diagnosis: of the measured ones.
        verdict: as far as the spectrum tells.
        reference: of as many random directions.
    """

    chosen: int
    examined: int
    sentence: str
    diagnosis: "Diagnosis"
    verdict: "Verdict"
    reference: "Reference"


def _looker(opened: session.Opened) -> "Embedded":
    """What the looks of `indexer.health` take for a searcher, without its search."""
    return _Looker(opened.searcher)


def _kept(opened: session.Opened, name: str, key: Hashable, make: Callable[[], _Made]) -> _Made:
    return session.derived(opened, name, key, make, place="health")


def scope_key(opened: session.Opened) -> Hashable:
    """What decides which passages are looked at."""
    chosen = session.selection()
    beside = () if chosen.is_everything else session.state_beside(opened.collection.path)
    return (astuple(chosen), beside)


def rows_of(opened: session.Opened) -> NDArray[np.uint64]:
    """Row ids uint64 [n] that are measured, ascending: those of the view, or a sample of very many."""
    from indexer.health.passages import drawn

    return drawn(session.selected(opened).row_ids, MOST_ROWS, 0)


def first_look(opened: session.Opened) -> FirstLook:
    """The spectrum and what it tells; a second for a hundred thousand passages.

    Raises:
        Llm2CompError: the filter cannot be used, or the map, the topics or the set are gone.
    """
    return _kept(opened, "health first", scope_key(opened), lambda: _first_look(opened))


def _first_look(opened: session.Opened) -> FirstLook:
    from encoder.spectrum.diagnosis import diagnose
    from encoder.spectrum.reference import isotropic
    from encoder.spectrum.verdict import judge

    selected, rows = session.selected(opened), rows_of(opened)
    snapshot = opened.searcher.snapshot
    blocks = [np.zeros((0, snapshot.collection.settings.dimension), np.float32)]
    found = diagnose(
        (vectors for _, vectors in snapshot.vector_blocks(rows)) if rows.size else blocks,
        most_pair_rows=_FIRST_PAIR_ROWS,
    )
    return FirstLook(
        chosen=int(selected.row_ids.size),
        examined=int(rows.size),
        sentence=selected.sentence,
        diagnosis=found,
        verdict=judge(found),
        reference=isotropic(found.n, found.dimension),
    )


def full_report(opened: session.Opened) -> "HealthReport":
    """Everything that needs no encoder: intervals, neighbours, duplicates, outliers."""
    from indexer.health.examine import Parts, examine_chosen

    def make() -> "HealthReport":
        parts = Parts(lengths=False, pair_rows=_PAIR_ROWS)
        return examine_chosen(
            opened.searcher, rows_of(opened), session.selected(opened).sentence, parts=parts
        )

    return _kept(opened, "health report", scope_key(opened), make)


def lengths(opened: session.Opened) -> Any:
    """What the length of passages does; counts tokens, so it loads the encoder.

    Raises:
        CheckpointError: the encoder is gone.
    """
    from indexer.health.lengths import length_report

    rows = rows_of(opened)
    return _kept(opened, "health lengths", scope_key(opened), lambda: length_report(_looker(opened), rows))


def cut_lengths(opened: session.Opened) -> "list[SameTextLength]":
    """What length alone does, by encoding the same texts cut to several lengths.

    Raises:
        CheckpointError: the encoder is gone.
    """
    from indexer.health.lengths import cut_report

    rows = rows_of(opened)
    return _kept(
        opened, "health cut", scope_key(opened), lambda: cut_report(_looker(opened), rows, most=CUT_TEXTS)
    )


def temperatures(opened: session.Opened) -> "Sweep":
    """What sharper attention would do, by encoding passages at each temperature; no query is encoded meanwhile.

    Raises:
        Llm2CompError: there are too few passages, the encoder is gone, or it takes no temperature.
    """
    from encoder.temperature import TEMPERATURES
    from indexer.health.temperatures import temperature_report

    rows = rows_of(opened)

    def make() -> "Sweep":
        return session.encode_alone(
            lambda: temperature_report(opened.searcher, rows, TEMPERATURES, most=TEMPERATURE_TEXTS)
        )

    return _kept(opened, "health temperatures", scope_key(opened), make)


def memory(opened: session.Opened) -> "MemoryLook":
    """What the memory tokens say, by encoding passages again.

    Raises:
        InputError: the encoder has none, or there is no passage.
        CheckpointError: the encoder is gone.
    """
    from indexer.health.memory import look_at_memory

    rows = rows_of(opened)
    return _kept(
        opened,
        "health memory",
        scope_key(opened),
        lambda: look_at_memory(_looker(opened), rows, most=MEMORY_TEXTS),
    )


def trials(opened: session.Opened, specs: tuple[str, ...], *, has_known_items: bool) -> "tuple[WhatIf, ...]":
    """The space as it is and under each transformation.

    Raises:
        UsageError: a transformation is not understood.
        ShapeError: there are fewer than two passages.
        InputError: no known items can be made.
        CheckpointError: they need the encoder, and it is gone.
    """
    from encoder.spectrum.what_if import what_if
    from indexer.health.examine import TRIAL_ROWS
    from indexer.health.passages import drawn
    from indexer.known_items import known_items

    def make() -> "tuple[WhatIf, ...]":
        pairs = None
        if has_known_items:
            pairs = _kept(
                opened, "known items", KNOWN_ITEMS, lambda: known_items(_looker(opened), most=KNOWN_ITEMS)
            ).pairs
        sample = opened.searcher.snapshot.vectors(drawn(rows_of(opened), TRIAL_ROWS // 2, 0))
        return tuple(what_if(sample, specs, pairs=pairs))

    key = (scope_key(opened), specs, has_known_items)
    return _kept(opened, "health trials", key, make)


def other_layer(key: str) -> Layer:
    """The spectra of a whole other collection of the library, under its name.

    Raises:
        InputError: the library does not know it.
        Llm2CompError: it cannot be opened.
    """
    from encoder.errors import InputError

    found = library.find(key)
    if found is None:
        raise InputError(
            f"no corpus is called {key!r} here", "link, c2", "choose another one to compare with"
        )
    opened = session.open_collection(found.path)

    return _kept(opened, "health layer", key, lambda: _layer(opened.searcher.snapshot, key))


def version_key(number: int) -> str:
    """What stands for another version of this corpus in the view; no corpus has a slash in its key."""
    return f"/{number}"


def version_of(key: str) -> int:
    """The version that a key of the view stands for; 0 for another corpus."""
    digits = key.removeprefix("/")
    return int(digits) if key != digits and digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def older_versions(opened: session.Opened) -> list[int]:
    """Numbers of the kept versions before the one that is looked at, newest first."""
    from indexer.health.versions import kept_versions

    return sorted((each for each in kept_versions(opened.collection) if each < opened.version), reverse=True)


def version_layer(opened: session.Opened, number: int) -> Layer:
    """The spectra of the whole of an older version of this collection.

    Raises:
        InputError: it is not kept.
        CollectionError: it is damaged.
    """
    from indexer.health.versions import open_version

    def make() -> Layer:
        return _layer(open_version(opened.collection, number), f"version {count(number)}")

    return _kept(opened, "health version", number, make)


def _layer(snapshot: Any, name: str) -> Layer:
    """The spectra of an opened version, of a sample of very many rows."""
    from encoder.spectrum.diagnosis import diagnose
    from indexer.health.passages import drawn

    rows = drawn(snapshot.row_ids(), MOST_ROWS, 0)
    empty = np.zeros((0, snapshot.collection.settings.dimension), np.float32)
    blocks = (vectors for _, vectors in snapshot.vector_blocks(rows))
    made = diagnose(blocks if rows.size else empty, most_pair_rows=2)
    return Layer(name, made.singular_values, made.eigenvalues)


def is_dark() -> bool:
    """Whether the page is drawn dark."""
    import streamlit as st

    return st.context.theme.type == "dark"

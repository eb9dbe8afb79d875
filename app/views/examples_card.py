"""More like these, less like those: the examples as chips, and the buttons that collect them from the picked hit."""

from typing import Literal

import numpy as np
import streamlit as st

from app import session
from app.display import esc_md, one_line
from app.formats import plural
from app.link import MOST_EXAMPLES
from app.rows import TITLE_CHARS, shorten
from encoder.errors import Llm2CompError
from indexer.hits import Hit
from indexer.storage.row_schema import WORD_COLUMN

Side = Literal["more", "less"]
_OTHER: dict[Side, Side] = {"more": "less", "less": "more"}
_WORDS: dict[Side, str] = {"more": "More like", "less": "Less like"}
_ICONS: dict[Side, str] = {"more": ":material/thumb_up:", "less": ":material/thumb_down:"}
_HELP: dict[Side, str] = {
    "more": "Moves the query towards this passage, and searches again.",
    "less": "Moves the query away from this passage, and searches again.",
}
_CHIP_CHARS = 48


def draw_examples(opened: session.Opened) -> None:
    """Draws the examples of the search, each with a click to take it out; nothing without any."""
    view = session.view()
    if not (view.more or view.less):
        return
    titles = _titles(opened, (*view.more, *view.less))
    words = "the query's meaning and these examples" if view.query.strip() else "these examples"
    with st.container(horizontal=True, vertical_alignment="center", key="examples"):
        st.markdown(f":material/tune: **Hits by {words}**")
        for side in ("more", "less"):
            for place, passage in enumerate(getattr(view, side)):
                st.button(
                    f"{_WORDS[side]}: {esc_md(shorten(titles.get(passage, '(deleted)'), _CHIP_CHARS))}",
                    icon=":material/close:",
                    key=f"{side}_{place}",
                    on_click=_take_out,
                    args=(side, passage),
                    help="Take this example out",
                )
        st.button(
            "Without examples",
            key="no_examples",
            on_click=session.change,
            kwargs={"more": (), "less": ()},
            type="tertiary",
        )


def draw_example_buttons(hit: Hit) -> None:
    """Draws the two buttons of a hit; less like this only where something is left to be like."""
    view = session.view()
    for side in ("more", "less"):
        is_full = len(getattr(view, side)) >= MOST_EXAMPLES
        has_direction = bool(view.query.strip() or view.more or view.like)
        st.button(
            f"{_WORDS[side]} this",
            icon=_ICONS[side],
            key=f"{side}_like",
            on_click=_add,
            args=(side, hit.id),
            disabled=is_full or (side == "less" and not has_direction),
            help=f"{plural(MOST_EXAMPLES, 'example')} are the most." if is_full else _HELP[side],
        )


def _add(side: Side, passage: str) -> None:
    view = session.view()
    more = (*view.more, view.like) if view.like and view.like not in view.more else view.more
    kept = {"more": more, "less": view.less}
    kept[_OTHER[side]] = tuple(each for each in kept[_OTHER[side]] if each != passage)
    kept[side] = tuple(dict.fromkeys((*kept[side], passage)))[:MOST_EXAMPLES]
    session.change(**kept, like="")


def _take_out(side: Side, passage: str) -> None:
    session.change(**{side: tuple(each for each in getattr(session.view(), side) if each != passage)})


def _titles(opened: session.Opened, passages: tuple[str, ...]) -> dict[str, str]:
    """Passage id to the title of its document, or the beginning of its text; without those that are gone."""
    searcher = opened.searcher
    try:
        rows = searcher.row_ids_of(passages)
        names = sorted(rows, key=rows.__getitem__)
        taken = searcher.snapshot.store.take(
            np.array([rows[name] for name in names], np.uint64), ["title", WORD_COLUMN]
        ).to_pylist()
    except Llm2CompError:
        return {}  # the search below says what is wrong
    return {
        name: shorten(one_line(row["title"] or row[WORD_COLUMN] or ""), TITLE_CHARS) or "(no title)"
        for name, row in zip(names, taken, strict=True)
    }

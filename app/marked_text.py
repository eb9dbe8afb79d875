"""A widget that shows a document's title or text with the found passage and the query's words marked.

The text travels as data and is put into the page with `textContent` only, so no part of it is ever read as markup.
"""

from collections.abc import Sequence

import streamlit as st

from app.rows import Piece, pieces
from app.theme import TEXT_HEIGHT_PX

_CSS = """
.text {
  position: relative; max-height: __HEIGHT__px; overflow-y: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  font-family: var(--st-font); font-size: 1rem; line-height: 1.55; color: var(--st-text-color);
  padding: 0.9rem 1.1rem; border: 1px solid var(--st-border-color); border-radius: 0.5rem;
}
.text:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.text.title { border: none; padding: 0.2rem 0; font-size: 1.35rem; font-weight: 600; line-height: 1.25; max-height: none;
  overflow: hidden; }
.around { opacity: 0.72; }
.passage { display: block; border-left: 3px solid var(--st-primary-color); padding: 0.15rem 0 0.15rem 0.7rem;
  margin: 0.35rem 0; }
mark { background: color-mix(in srgb, var(--st-primary-color) 26%, transparent); color: inherit; font-weight: 600;
  border-radius: 3px; padding: 0 0.12em; }
.text.title mark { background: none; border-radius: 0; padding: 0;
  border-bottom: 3px solid color-mix(in srgb, var(--st-primary-color) 45%, transparent); }
""".replace("__HEIGHT__", str(TEXT_HEIGHT_PX))

_HTML = '<div class="text"></div>'

_JS = """
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".text");
  const shown = JSON.stringify(data);
  if (box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  box.classList.toggle("title", data.isTitle);
  box.setAttribute("role", data.isTitle ? "heading" : "document");
  if (data.isTitle) {
    box.setAttribute("aria-level", "2");
  } else {
    box.tabIndex = 0;  // what scrolls must be reachable by keyboard
    box.setAttribute("aria-label", "Text of the document");
  }
  box.replaceChildren();
  let passage = null;
  for (const [text, inPassage, isMatch] of data.pieces) {
    const node = document.createElement(isMatch ? "mark" : "span");
    const followsPassage = passage !== null && !inPassage && passage === box.lastChild;
    node.textContent = followsPassage ? text.trimStart() : text;
    if (inPassage) {
      if (passage === null) {
        passage = document.createElement("span");
        passage.className = data.whole ? "" : "passage";
        box.append(passage);
      }
      passage.append(node);
    } else {
      node.className = "around";
      box.append(node);
    }
  }
  if (passage !== null) box.scrollTop = Math.max(0, passage.offsetTop - 48);
}
"""

_component = st.components.v2.component("llm2comp.marked_text", html=_HTML, css=_CSS, js=_JS)


def marked_title(title: str, words: Sequence[str], *, key: str) -> None:
    """Shows a title as a heading of the page; unlike in a Markdown heading, what is copied is what was written."""
    shown = pieces(title, (0, len(title)), words) or [Piece("(no title)", True, False)]
    _mount(shown, key=key, is_title=True)


def marked_text(shown: list[Piece], *, key: str) -> None:
    """Shows the pieces in order; the passage stands out only where there is text around it."""
    _mount(shown, key=key, is_title=False)


def _mount(shown: list[Piece], *, key: str, is_title: bool) -> None:
    whole = all(piece.in_passage for piece in shown)
    rows = [[piece.text, piece.in_passage, piece.is_match] for piece in shown]
    _component(key=key, data={"isTitle": is_title, "whole": whole, "pieces": rows})

"""A widget without a look that presses a button when "?" is typed, but not into a field and not on the map."""

import streamlit as st

# Streamlit's own shortcuts know no "?", and fire inside fields.
_JS = """
export default function ({ data }) {
  const isTaken = (element) => element && (element.isContentEditable
    || element.closest("input, textarea, select, [role=application], [role=dialog]"));
  const onKey = (event) => {
    if (event.key !== "?" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.composedPath().some((element) => element instanceof Element && isTaken(element))) return;
    const button = document.querySelector("." + data.button + " button");
    if (button) { event.preventDefault(); button.click(); }
  };
  window.llm2compQuestionKey?.();
  document.addEventListener("keydown", onKey);
  window.llm2compQuestionKey = () => document.removeEventListener("keydown", onKey);
  return window.llm2compQuestionKey;
}
"""

_component = st.components.v2.component("llm2comp.question_key", js=_JS)


def question_key(button_key: str) -> None:
    """Serves the button whose widget key is `button_key`."""
    _component(key="question_key", data={"button": f"st-key-{button_key}"}, height=1)

"""A widget without a look that puts the cursor into the search field: when the page opens, and by Ctrl+K."""

import streamlit as st

_JS = """
export default function ({ data, parentElement }) {
  const field = () => document.querySelector("." + data.field + " input");
  const onKey = (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      const input = field();
      if (input) { event.preventDefault(); input.focus(); input.select(); }
    }
  };
  // The export runs again at each rerun: whatever an earlier run left is taken down first.
  window.llm2compSearchFocus?.();
  document.addEventListener("keydown", onKey);
  let timer = 0;
  if (!parentElement.hasFocused) {  // once a page: later the cursor belongs to the user
    parentElement.hasFocused = true;
    let tries = 0;
    timer = setInterval(() => {  // widgets arrive in chunks of their own: the field may come later
      const input = field();
      if (input || ++tries > 50) clearInterval(timer);
      if (input && document.activeElement === document.body) input.focus();
    }, 100);
  }
  window.llm2compSearchFocus = () => { document.removeEventListener("keydown", onKey); clearInterval(timer); };
  return window.llm2compSearchFocus;
}
"""

_component = st.components.v2.component("llm2comp.search_focus", js=_JS)


def search_focus(field_key: str) -> None:
    """Serves the text field whose widget key is `field_key`."""
    _component(key="search_focus", data={"field": f"st-key-{field_key}"}, height=1)

"""The script that Streamlit runs: the navigation, the link, and nothing else."""

import streamlit as st

from app import session
from app.theme import FAVICON, PAGE_STYLE
from app.views import corpora, search
from app.views.messages import guarded, show_bad_keys


def main() -> None:
    """Draws the page that is asked for, with the address bar kept true to it."""
    st.set_page_config(page_title="llm2comp", page_icon=FAVICON, layout="wide")
    st.html(PAGE_STYLE)
    pages = {
        "search": st.Page(
            guarded(search.page), title="Search", icon=":material/search:", url_path="search", default=True
        ),
        "corpora": st.Page(
            guarded(corpora.page), title="Corpora", icon=":material/database:", url_path="corpora"
        ),
    }
    st.session_state[session.PAGES] = pages
    session.view()  # the link is read before anything can change it
    page = st.navigation(list(pages.values()), position="top")
    session.push()
    if wanted := st.session_state.pop(session.GO_TO, None):  # a callback cannot switch pages itself
        st.switch_page(pages[wanted])
    show_bad_keys()
    page.run()
    session.push()


if __name__ == "__main__":
    main()

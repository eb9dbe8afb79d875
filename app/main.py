"""The script that Streamlit runs: who may see it, the navigation, the link, the parts of every page."""

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app import session
from app.theme import FAVICON, PAGE_STYLE
from app.views import corpora, health, search, sign_in, topics
from app.views import map as map_page
from app.views.messages import guarded, linked, show_link_notes
from app.views.scope import draw_bar


def main() -> None:
    """Draws the page that is asked for, with the address bar kept true to it."""
    st.set_page_config(page_title="llm2comp", page_icon=FAVICON, layout="wide")
    st.html(PAGE_STYLE)
    if not sign_in.is_let_in():
        sign_in.page()
        return
    pages = _pages()
    st.session_state[session.PAGES] = pages
    session.view()  # the link is read before anything can change it
    page = st.navigation(list(pages.values()), position="top")
    session.push()
    if wanted := st.session_state.pop(session.GO_TO, None):  # a callback cannot switch pages itself
        st.switch_page(pages[wanted])
    st.session_state[session.SHOWN] = page.url_path  # empty for the first page, which has no other path
    guarded(_draw_around)()
    page.run()
    session.push()


def _draw_around() -> None:
    show_link_notes()
    draw_bar()


def _pages() -> dict[str, StreamlitPage]:
    """The pages by name, in the order of the navigation; all but the corpora are about one corpus of the link."""
    return {
        "search": st.Page(
            guarded(linked(search.page)),
            title="Search",
            icon=":material/search:",
            url_path="search",
            default=True,
        ),
        "map": st.Page(
            guarded(linked(map_page.page)), title="Map", icon=":material/scatter_plot:", url_path="map"
        ),
        "topics": st.Page(
            guarded(linked(topics.page)), title="Topics", icon=":material/category:", url_path="topics"
        ),
        "health": st.Page(
            guarded(linked(health.page)),
            title="Health",
            icon=":material/monitor_heart:",
            url_path="health",
        ),
        "corpora": st.Page(
            guarded(corpora.page), title="Corpora", icon=":material/database:", url_path="corpora"
        ),
    }


if __name__ == "__main__":
    main()

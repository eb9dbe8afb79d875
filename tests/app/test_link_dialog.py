"""The address in front of a shared link."""

import pytest

from app.view_state import ViewState
from app.views import link_dialog
from app.views.link_dialog import page_address


@pytest.mark.parametrize(
    ("url", "page", "address"),
    [
        ("http://h:1", "", "http://h:1/"),
        ("http://h:1/", "", "http://h:1/"),
        ("http://h:1/", "topics", "http://h:1/topics"),
        ("http://h:1/topics", "topics", "http://h:1/topics"),  # what Streamlit tells on that page
        ("https://h/behind/a/proxy/map/", "map", "https://h/behind/a/proxy/map"),
        ("https://h/behind/a/proxy", "map", "https://h/behind/a/proxy/map"),
        ("", "map", "/map"),
    ],
)
def test_the_page_is_named_once(url, page, address):
    assert page_address(url, page) == address


@pytest.mark.parametrize(("rows", "is_linked"), [(2, True), (0, False)])
def test_a_tray_too_large_for_a_link_has_none(monkeypatch, rows, is_linked):
    # A tray of more rows than a link takes leaves the view's own list empty.
    view = ViewState(corpus="roads", scope="tray", tray=tuple(range(rows)))
    monkeypatch.setattr(link_dialog, "pinned", lambda opened, state: state)
    found = link_dialog.link_here(None, view)
    assert ("sc=tray" in found) == is_linked
    assert bool(found) == is_linked

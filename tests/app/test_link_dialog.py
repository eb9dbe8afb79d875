"""The address in front of a shared link."""

import pytest

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

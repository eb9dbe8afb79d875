"""Hundreds of hostile texts as tags, and a dozen in every other place, in a real browser: read as text, nothing fetched."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from app.display import one_line
from app.rows import shorten
from indexer.annotations.notes import write_note
from indexer.annotations.searches import save_search
from indexer.annotations.sets import SetItem, save_set
from indexer.annotations.tags import add_tag, list_tags
from indexer.search import Searcher
from indexer.topics import build_topics
from indexer.topics.edits import Editor
from indexer.topics.versions import choose
from tests.browser.test_hostile_text import no_markup
from tests.browser.walking import plant, settle
from tests.payloads import DOZEN, PAYLOADS

_TAG_CHARS = 40  # of a chip
PAGES = {"search": "", "map": "map", "topics": "topics", "health": "health", "corpora": "corpora"}


@pytest.fixture(scope="module")
def payloads(home):
    """A dozen documents, topics, tags, notes, sets and searches of hostile names."""
    rows = [
        {"id": text, "title": text, "text": f"{text} river", "kind": text, text: text, "n": number}
        for number, text in enumerate(DOZEN)
    ]
    collection = plant(home / "collections" / "zz_payloads", rows)
    searcher = Searcher(collection)
    seen = build_topics(searcher, method="kmeans", count=4)
    run = seen.id
    for topic, label in zip(seen.topics, DOZEN, strict=False):
        seen = Editor(searcher, seen, DOZEN[0], "<b>me</b>").rename(topic.number, label)
    choose(collection, run, seen.version)
    for text in PAYLOADS:
        if one_line(text) and text.isprintable():
            add_tag(collection, text[:100], [DOZEN[0]])
    passage = searcher.snapshot.store.take(searcher.snapshot.row_ids()[:1], ["id"])["id"].to_pylist()[0]
    for text in DOZEN:
        write_note(collection, DOZEN[0], text, author=text)
        save_set(collection, text, [SetItem(int(searcher.snapshot.row_ids()[0]), passage)], version=1)
        save_search(collection, text, {"q": text})
    return collection


def test_every_tag_is_read_as_it_was_written(payloads, open_page):
    page = open_page("/?c=zz_payloads&" + urlencode({"q": DOZEN[0]}))
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    settle(page)
    page.locator(".st-key-annotations summary").click()
    tags = sorted(list_tags(payloads))
    chips = page.locator(".st-key-tags [class*=st-key-tag_]")
    expect(chips).to_have_count(len(tags))
    assert len(tags) > 200
    shown = page.evaluate(
        "() => [...document.querySelectorAll('.st-key-tags [class*=st-key-tag_]')]"
        ".map(chip => [...chip.querySelectorAll('p')].map(p => p.textContent)[0] || '')"
    )
    wanted = {readable(shorten(tag, _TAG_CHARS)) for tag, _ in tags}
    assert {readable(text) for text in shown} == wanted
    no_markup(page)


def readable(text):
    """What the eye reads: without the joiners that keep a browser from reading markup, white space as one space."""
    return one_line(text.replace("\u2060", ""))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_them_as_text(payloads, open_page, name):
    link = urlencode({"c": "zz_payloads", "q": DOZEN[1], "cb": "topic", "t": "0.1", "f": "n >= 0"})
    page = open_page(f"/{PAGES[name]}?{link}")
    expect(page.get_by_role("heading", name=name.capitalize(), exact=True)).to_be_visible()
    settle(page)
    page.wait_for_timeout(1_000)
    no_markup(page)
    page.locator("[class*=st-key-open_tray] button").first.click()
    expect(page.locator(".st-key-tray_panel")).to_be_visible()
    no_markup(page)


@pytest.mark.parametrize("text", DOZEN)
def test_a_link_full_of_one_of_them_opens(payloads, open_page, text):
    keys = ("r", "l", "xm", "cb", "tv", "s", "wi", "c2", "tr", "pl", "vw", "view", "e")
    page = open_page(
        "/topics?" + urlencode({"c": "zz_payloads", "q": text, "f": text} | dict.fromkeys(keys, text))
    )
    expect(page.get_by_role("heading", name="Topics", exact=True)).to_be_visible()
    settle(page)
    no_markup(page)

"""Two people in one corpus at once: what one changes or takes away is a sentence for the other, never a broken page."""

import shutil

import pytest
from playwright.sync_api import expect

from indexer.search import Searcher
from indexer.topics import build_topics
from tests.browser.walking import plant, planted_rows, settle


@pytest.fixture
def shared(home):
    """A corpus of its own for each test, gone afterwards."""
    path = home / "collections" / "zz_shared"
    collection = plant(path, planted_rows(6))
    build_topics(Searcher(collection), method="kmeans", count=5)
    yield collection
    shutil.rmtree(path, ignore_errors=True)


def ask(page, query):
    field = page.get_by_role("searchbox", name="Search")
    field.fill(query)
    field.press("Enter")


def titled(page, name):
    title = page.locator(".st-key-title .title")
    expect(title.filter(has_text=name)).to_be_visible()
    settle(page)
    expect(title).to_have_count(1)


def test_both_search_and_each_gets_his_own_answer(shared, open_page):
    pages = [open_page("/?c=zz_shared"), open_page("/?c=zz_shared")]
    for page in pages:
        expect(page.locator(".st-key-facts")).to_be_visible()
    for _ in range(2):
        for page, words in zip(pages, ("flour yeast", "comet orbit"), strict=True):
            ask(page, words)  # without waiting for the other
        titled(pages[0], "bread")
        titled(pages[1], "stars")
        for page in pages:
            ask(page, "guitar chord")
        for page in pages:
            titled(page, "music")


def test_a_topic_that_another_renamed_is_not_renamed_over(shared, open_page):
    first, second = open_page("/topics?c=zz_shared&t=0"), open_page("/topics?c=zz_shared&t=0")
    for page in (first, second):
        expect(page.locator(".st-key-topic h3").first).to_be_visible(timeout=60_000)
        settle(page)
        page.get_by_role("tab", name="Edit").click()
    for page, name in ((first, "The first one's"), (second, "The second one's")):
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Rename", exact=True).first.click()
        settle(page)
    expect(first.locator(".st-key-topic h3").first).to_have_text("The first one's")
    expect(second.get_by_text("Not done:")).to_be_visible()
    expect(second.locator(".st-key-topic h3").first).not_to_have_text("The second one's")


@pytest.mark.parametrize("name", ["", "map", "topics", "health", "corpora"])
def test_a_corpus_deleted_under_an_open_page_is_a_sentence(shared, open_page, name):
    page = open_page(f"/{name}?c=zz_shared")
    heading = (name or "search").capitalize()
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    settle(page)
    shutil.rmtree(shared.path)
    page.reload()
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    settle(page)
    if name != "corpora":
        expect(page.get_by_text("no corpus is called 'zz_shared' here").first).to_be_visible()
    expect(page.get_by_text("could not be drawn")).to_have_count(0)
    page.get_by_role("link", name="Corpora").click()  # alive: the other corpora are there
    expect(page.get_by_role("heading", name="places", exact=True)).to_be_visible()


def test_a_corpus_replaced_under_an_open_page_is_searched_as_it_is_now(shared, open_page):
    page, other = open_page("/?c=zz_shared&q=flour+yeast"), open_page("/?c=zz_shared")
    titled(page, "bread")
    shutil.rmtree(shared.path)
    rows = [{"id": "n", "title": "A new one", "text": "flour and yeast, written anew", "kind": "new"}]
    plant(shared.path, rows)
    ask(other, "flour yeast")
    titled(other, "A new one")
    ask(page, "yeast flour")
    titled(page, "A new one")
    expect(page.get_by_text("could not be drawn")).to_have_count(0)


def test_deleted_documents_leave_the_hits_of_an_open_page(shared, open_page):
    page = open_page("/?c=zz_shared&q=flour+yeast&k=1")
    titled(page, "bread")
    before = page.locator(".st-key-title .title").inner_text()
    shared.delete(ids=[f"bread{number}" for number in range(6)])
    ask(page, "yeast flour")
    expect(page.locator(".st-key-title .title")).not_to_have_text(before)
    settle(page)
    expect(page.locator(".st-key-title .title")).not_to_contain_text("bread")

"""The topics page in a real browser: found by a job, picked, renamed in two tabs, searched, compared."""

import re
from datetime import date
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from indexer.collection import Collection
from indexer.search import Searcher
from indexer.topics import build_topics
from tests.browser.conftest import make_collection

SUBJECTS = {
    "water": "river flood bridge boat",
    "bread": "flour oven yeast dough",
    "music": "guitar chord drum melody",
}


@pytest.fixture(scope="module")
def songs(home):
    """A collection of three subjects, without topics."""
    path = home / "collections" / "zz_songs"
    rows = [
        {
            "id": f"s{number}",
            "title": f"About {name} {number}",
            "text": f"{words} and {words.split()[number // 3 % 4]}",
            "kind": name,
            "day": date(2010 + number % 9, 5, 1),
        }
        for number in range(36)
        for name, words in [list(SUBJECTS.items())[number % 3]]
    ]
    make_collection(path, rows)
    return path


def settle(page):
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def title(page):
    return page.locator(".st-key-topic h3").first  # for a moment the one before stands below the new


def rename(page, name):
    page.get_by_role("tab", name="Edit").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Rename").click()
    settle(page)


def test_topics_are_found_picked_renamed_and_searched(songs, open_page):
    page = open_page("/topics?c=zz_songs")
    expect(page.get_by_text("No topics yet")).to_be_visible()
    page.get_by_role("button", name="Find topics").click()
    expect(page.get_by_text("4 topics of 36 passages")).to_be_visible(timeout=90_000)
    settle(page)
    first = title(page).inner_text()
    grid = page.locator("[class*=st-key-topics_table] canvas").first.bounding_box()
    page.mouse.click(grid["x"] + 150, grid["y"] + 36 + 35 + 17)  # the label of the second line
    expect(title(page)).not_to_have_text(first)
    expect(
        page.locator(".st-key-scope").get_by_role("button", name=re.compile("Topic:.*1")).first
    ).to_be_visible()
    settle(page)
    rename(page, "My topic")
    expect(title(page)).to_have_text("My topic")
    expect(page.get_by_text("Found as:")).to_be_visible()

    query = urlsplit(page.url).query
    stranger = open_page(f"/topics?{query}")
    expect(title(stranger)).to_have_text("My topic")
    settle(stranger)
    rename(page, "Mine again")
    expect(title(page)).to_have_text("Mine again")
    rename(stranger, "The stranger's")
    expect(stranger.get_by_text("Not done:")).to_be_visible()
    expect(title(stranger)).to_have_text("Mine again")

    page.get_by_role("button", name="Search in it").click()
    expect(page.get_by_role("heading", name="Search")).to_be_visible()
    expect(
        page.locator(".st-key-scope").get_by_role("button", name=re.compile("Topic:.*1")).first
    ).to_be_visible()


def test_topics_are_drawn_over_time(songs, open_page):
    if not list((songs / "derived").glob("topics-*")):
        build_topics(Searcher(Collection.open(songs)), method="kmeans")
    page = open_page("/topics?c=zz_songs")
    page.get_by_role("tab", name="Over time").click()
    expect(page.locator(".st-key-topics_time .js-plotly-plot")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("From the first third of the time to the last")).to_be_visible()

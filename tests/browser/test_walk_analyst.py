"""The walk of an analyst: from the corpus to a topic, to the map, to an outline, to a file and a link."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from indexer.search import Searcher
from indexer.topics import build_topics
from tests.browser.walking import bundle, canvas, lasso, plant, press, saved, settle


@pytest.fixture(scope="module")
def walk(home):
    collection = plant(home / "collections" / "zz_walk")
    build_topics(Searcher(collection), method="kmeans", count=5)
    return collection


def export(page, key):
    page.locator(f".st-key-{key} button").first.click()
    content = saved(page, page.locator(f".st-key-{key}_zip button").first)
    page.keyboard.press("Escape")
    return bundle(content)


def test_from_the_corpus_to_a_file_and_a_link_that_give_the_same(walk, open_page):
    page = open_page("/?c=zz_walk")
    expect(page.locator(".st-key-facts")).to_contain_text("120")
    labels = page.locator("[class*=st-key-topic_] button")
    expect(labels).to_have_count(5)
    water = labels.filter(has_text="river").or_(labels.filter(has_text="boat")).or_(
        labels.filter(has_text="harbour")
    ).first  # fmt: skip
    water.click()

    expect(page.get_by_role("heading", name="Topics", exact=True)).to_be_visible()
    expect(page.locator(".st-key-scope").get_by_text("24 passages")).to_be_visible()
    settle(page)
    in_topic, readme = export(page, "topic_export")
    assert sorted(in_topic) == sorted(f"water{number}" for number in range(24))
    assert "zz_walk" in readme and "version      1" in readme and '"seed"' in readme

    page.locator(".st-key-topic_map button").first.click()
    expect(page.get_by_role("heading", name="Map", exact=True)).to_be_visible()
    expect(canvas(page)).to_have_attribute("data-ready", "true", timeout=60_000)
    settle(page)
    lasso(page, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)])
    expect(page.get_by_text("24 passages inside the outline")).to_be_visible()
    settle(page)
    expect(page.get_by_text("Said more often here than elsewhere")).to_be_visible()
    in_outline, _ = export(page, "map_export")
    assert sorted(in_outline) == sorted(in_topic)
    outline = urlsplit(page.url)
    assert "pl=" in outline.query
    stranger = open_page(f"{outline.path}?{outline.query}")
    expect(stranger.get_by_text("24 passages inside the outline")).to_be_visible(timeout=60_000)
    settle(stranger)
    assert export(stranger, "map_export")[0] == in_outline

    press(page, "Add to tray")
    page.get_by_role("button", name="Tray · 24").click()
    settle(page)
    page.locator(".st-key-tray_search button").first.click()
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    settle(page)
    # Only the tray is left to look at.
    for chip in ("chip_polygon", "chip_topics"):
        page.locator(f".st-key-{chip} button").first.click()
        settle(page)
    field = page.get_by_role("searchbox", name="Search")
    field.fill("flour and a boat")
    field.press("Enter")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    settle(page)
    hits, _ = export_hits(page)
    assert set(hits) <= set(in_topic) and len(hits) == 24

    page.get_by_role("button", name="Share", exact=True).click()
    shown = page.get_by_role("dialog").get_by_test_id("stCode")
    expect(shown).to_contain_text("sc=tray")
    link = urlsplit(shown.inner_text().strip())
    other = open_page(f"{link.path}?{link.query}")
    expect(other.locator(".st-key-text mark").first).to_be_visible()
    settle(other)
    assert export_hits(other)[0] == hits


def export_hits(page):
    import csv
    import io

    if not page.locator(".st-key-export_csv button").first.is_visible():
        page.get_by_role("button", name="Export", exact=True).last.click()
    content = saved(page, page.locator(".st-key-export_csv button").first).decode("utf-8-sig")
    page.keyboard.press("Escape")
    return [row["document_id"] for row in csv.DictReader(io.StringIO(content))], content


def test_a_topic_is_named_and_its_name_goes_with_the_file_and_the_link(walk, open_page):
    page = open_page("/topics?c=zz_walk")
    expect(page.locator(".st-key-topic h3").first).to_be_visible()
    settle(page)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_label("Name", exact=True).fill("A name of mine")
    press(page, "Rename")
    expect(page.locator(".st-key-topic h3").first).to_have_text("A name of mine")
    settle(page)
    ids, _ = export(page, "topic_export")
    assert len(ids) == 24 and len({"".join(filter(str.isalpha, name)) for name in ids}) == 1
    page.get_by_role("button", name="Share", exact=True).click()
    shown = page.get_by_role("dialog").get_by_test_id("stCode")
    expect(shown).to_contain_text("tv=")
    link = urlsplit(shown.inner_text().strip())
    other = open_page(f"{link.path}?{link.query}")
    expect(other.locator(".st-key-topic h3").first).to_have_text("A name of mine")
    settle(other)
    assert export(other, "topic_export")[0] == ids

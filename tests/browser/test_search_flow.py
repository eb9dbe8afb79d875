"""The search page in a real browser: question, filter, similar, export, link."""

import csv
import io
import json
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect


def ask(page, query):
    field = page.locator(".st-key-query input")
    field.fill(query)
    field.press("Enter")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    settle(page)


def settle(page):
    # Not wait_for_function: it needs eval, which the app's own policy forbids.
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def wait_for_link(page, is_there):
    page.wait_for_url(
        lambda url: is_there({key: values[0] for key, values in parse_qs(urlsplit(url).query).items()})
    )
    settle(page)


def link(page):
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def exported(page, kind):
    if not page.locator(f".st-key-export_{kind} button").first.is_visible():
        page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.locator(f".st-key-export_{kind} button").first.click()
    return download.value.path().read_bytes()


def ids(page):
    return [
        row["document_id"] for row in csv.DictReader(io.StringIO(exported(page, "csv").decode("utf-8-sig")))
    ]


def test_a_question_typed_is_answered_and_put_into_the_link(open_page):
    page = open_page("/?c=places")
    expect(page.locator(".st-key-query input")).to_be_focused()
    ask(page, "bridge near the sea")
    assert {mark.lower() for mark in page.locator(".st-key-text mark").all_inner_texts()} <= {
        "bridge",
        "near",
        "sea",
    }
    assert (
        link(page) == {"c": "places", "q": "bridge near the sea"} or link(page)["q"] == "bridge near the sea"
    )


def test_ctrl_k_leads_to_the_search_field(open_page):
    page = open_page("/?q=river&c=places")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    page.get_by_role("button", name="Export").click()
    page.keyboard.press("Control+k")
    expect(page.locator(".st-key-query input")).to_be_focused()


def test_a_condition_is_built_by_clicking(open_page, choose):
    page = open_page("/?q=near&c=places")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    page.locator(".st-key-filters summary").click()
    choose(page, "Column", "topic")
    choose(page, "Any of", "train")
    page.keyboard.press("Escape")
    press(page, "Add condition")
    wait_for_link(page, lambda link: link.get("f") == "topic = 'train'")
    assert sorted(ids(page)) == ["d10", "d16", "d22", "d28", "d34", "d4"]
    press(page, "Undo")
    wait_for_link(page, lambda link: "f" not in link)


def test_similar_documents_are_one_click_away(open_page):
    page = open_page("/?q=sea&c=places")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    title = page.locator(".st-key-title .title").inner_text()
    press(page, "Similar to this")
    wait_for_link(page, lambda link: "l" in link)
    expect(page.locator(".st-key-title .title")).not_to_have_text(title)  # the document itself is no answer
    expect(page.locator(".st-key-title .title")).to_contain_text("The sea")
    press(page, "Back to the query")
    wait_for_link(page, lambda link: "l" not in link)


def test_a_picked_hit_is_shown_and_linked(open_page):
    page = open_page("/?q=sea&c=places")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    first = page.locator(".st-key-title .title").inner_text()
    grid = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(grid["x"] + 16, grid["y"] + 38 + 72 * 2 + 36)
    wait_for_link(page, lambda link: "r" in link)
    expect(page.locator(".st-key-title .title")).not_to_have_text(first)
    picked = page.locator(".st-key-title .title").inner_text()
    again = open_page("/?" + urlsplit(page.url).query)
    expect(again.locator(".st-key-title .title")).to_have_text(picked)


def test_a_link_opened_elsewhere_gives_the_same_hits(open_page):
    page = open_page("/?c=places&q=river+near+the+city&m=h&k=12&f=year+%3E%3D+1995")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    before = ids(page)
    assert len(before) == 12
    page.reload()
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    assert ids(page) == before
    other = open_page("/?" + urlsplit(page.url).query)
    expect(other.locator(".st-key-text mark").first).to_be_visible()
    assert ids(other) == before


def test_hits_are_exported_in_three_formats(open_page):
    page = open_page("/?c=places&q=road&k=5")
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    wanted = ids(page)
    lines = [json.loads(line) for line in exported(page, "jsonl").decode().splitlines()]
    table = pq.read_table(io.BytesIO(exported(page, "parquet"))).to_pylist()
    assert len(wanted) == 5
    assert [line["document_id"] for line in lines] == wanted
    assert [row["document_id"] for row in table] == wanted
    assert lines[0]["version"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_theme_of_the_system(open_page, scheme):
    page = open_page("/?c=places&q=road", color_scheme=scheme)
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    brightness = sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3
    assert (brightness > 128) == (scheme == "light")


def test_bad_values_of_a_link_are_said(open_page):
    page = open_page("/?c=places&q=road&k=many&m=x")
    expect(page.get_by_text("Not understood in this link: m, k")).to_be_visible()
    expect(page.locator(".st-key-text mark").first).to_be_visible()

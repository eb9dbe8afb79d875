"""Facets, reasons, tags and saved searches in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect


def settle(page):
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def wait_for_link(page, is_there):
    page.wait_for_url(
        lambda url: is_there({key: values[0] for key, values in parse_qs(urlsplit(url).query).items()})
    )
    settle(page)


def ready(page):
    expect(page.locator(".st-key-text mark").first).to_be_visible()
    settle(page)


def test_a_click_on_a_value_narrows_the_hits(open_page):
    page = open_page("/?c=written&q=city")
    ready(page)
    page.locator(".st-key-facets summary").click()
    page.get_by_role("radio", name="river · 4").or_(
        page.get_by_role("button", name="river · 4")
    ).first.click()
    wait_for_link(page, lambda link: link.get("f") == "kind = 'river'")
    expect(page.locator(".st-key-title .title")).to_contain_text("The river")
    expect(page.locator(".st-key-facets")).to_have_count(0)  # nothing left that tells the hits apart


def test_reasons_follow_the_picked_hit(open_page):
    page = open_page("/?c=written&q=river+city")
    ready(page)
    page.locator(".st-key-why label").click()
    expect(page.get_by_text("By meaning it is number 1 of 12 passages")).to_be_visible()
    settle(page)
    grid = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(grid["x"] + 16, grid["y"] + 38 + 72 * 2 + 36)
    wait_for_link(page, lambda link: "r" in link)
    expect(page.get_by_text("By meaning it is number 1 of 12 passages")).to_have_count(0)
    expect(page.get_by_text("By meaning it is number")).to_be_visible()


def test_a_tag_that_is_typed_is_found_by_another_browser(open_page):
    page = open_page("/?c=written&q=road")
    ready(page)
    title = page.locator(".st-key-title .title").inner_text()
    page.locator(".st-key-annotations summary").click()
    field = page.get_by_role("combobox", name="Add a tag")
    field.fill("to <b>read</b>")
    field.press("Enter")
    expect(page.locator(".st-key-annotations summary")).to_have_text(re.compile("Tags: to .*read.*notes: 0"))
    settle(page)
    other = open_page("/?c=written&q=city&f=tag+is+not+null")
    ready(other)
    expect(other.locator(".st-key-title .title")).to_have_text(title)


def test_a_saved_search_is_opened_by_another_browser(open_page, choose):
    page = open_page("/?c=written&q=bridge&m=w")
    ready(page)
    page.locator(".st-key-saved button").first.click()
    page.locator(".st-key-saved_name input").fill("crossings")
    page.locator(".st-key-saved_name input").press("Enter")
    settle(page)
    page.locator(".st-key-save_search button").first.click()
    expect(page.get_by_text("Saved as “crossings”")).to_be_visible()
    other = open_page("/?c=written")
    other.locator(".st-key-saved button").first.click()
    choose(other, "Saved searches", "crossings")
    settle(other)
    other.locator(".st-key-open_saved button").first.click()
    wait_for_link(other, lambda link: link.get("q") == "bridge" and link.get("m") == "w")
    ready(other)


def test_examples_are_chips_that_another_browser_sees(open_page):
    page = open_page("/?c=written&q=city")
    ready(page)
    page.locator(".st-key-more_like button").first.click()
    wait_for_link(page, lambda link: "xm" in link)
    ready(page)
    shown = page.locator(".st-key-title .title").inner_text()
    other = open_page("/?" + urlsplit(page.url).query)
    ready(other)
    expect(other.locator(".st-key-title .title")).to_have_text(shown)
    other.locator(".st-key-more_0 button").first.click()
    wait_for_link(other, lambda link: "xm" not in link)

"""The keys, the link and the tray in a real browser."""

import re

from playwright.sync_api import expect


def test_a_question_mark_lists_the_keys_but_not_while_typing(open_page):
    page = open_page("/?c=places")
    field = page.get_by_role("searchbox", name="Search")
    expect(field).to_be_visible()
    expect(page.get_by_role("button", name="Keys")).to_be_visible()
    field.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    field.evaluate("field => field.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")


def test_the_shared_link_opens_the_same_in_another_browser(open_page):
    page = open_page("/?c=places&q=river&f=year+%3E+2000&tr=AgQ")
    expect(page.locator(".st-key-chip_filter button").first).to_be_visible()
    page.get_by_role("button", name="Share").click()
    shown = page.get_by_role("dialog").get_by_test_id("stCode")
    expect(shown).to_contain_text("tr=AgQ")
    link = shown.inner_text().strip()
    assert re.search(r"^http://[^/]+/\?c=places&v=\d+&e=[0-9a-f]{8}&q=river&f=", link)
    other = open_page(link[link.index("/?") :])
    expect(other.locator(".st-key-chip_filter button").first).to_be_visible()
    expect(other.get_by_role("searchbox", name="Search")).to_have_value("river")
    expect(other.get_by_role("button", name="Tray · 2")).to_be_visible()

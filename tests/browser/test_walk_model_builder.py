"""The walk of a model builder: a collapsed space, what would mend it, why, beside another, and the report to take along."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.walking import click_line, plant, planted_rows, press, saved, settle


@pytest.fixture(scope="module")
def spaces(home):
    """The same texts by an encoder that says nearly nothing but one thing, and by one that says what they say."""
    rows = planted_rows()
    for place, row in enumerate(rows):  # each has words of its own, in its title and in its text
        own = f"item{place} piece{place} part{place}"
        row |= {"title": f"{own} on {row['kind']}", "text": f"{row['text']} {own} {own} {own}"}
    plant(home / "collections" / "zz_one_way", rows, encoder="one way")
    plant(home / "collections" / "zz_wide", rows)


def look_closer(page, name):
    page.locator(".st-key-health_closer").get_by_text(name, exact=True).click()
    settle(page)


def table(page, key, columns):
    """Texts of a table's last columns by rows, as a screen reader finds them, once it has drawn itself."""
    grid = page.locator(f"[class*=st-key-{key}] canvas").first
    expect(grid).to_be_visible(timeout=60_000)
    for _ in range(100):
        rows = grid.evaluate(
            "grid => [...grid.querySelectorAll('tbody tr')].map(row => "
            "[...row.querySelectorAll('td')].map(cell => cell.textContent))"
        )
        if rows and all(len(row) >= columns and all(row[-columns:]) for row in rows):
            return [row[-columns:] for row in rows]
        page.wait_for_timeout(100)
    raise AssertionError(rows)


def number(text):
    return float(text.split()[0].replace("\u2212", "-").strip("+%"))


def test_from_the_verdict_to_a_change_that_helps_and_a_report(spaces, open_page, choose):
    page = open_page("/health?c=zz_one_way")
    verdict = page.locator(".st-key-verdict")
    expect(verdict).to_contain_text("Collapsed", timeout=60_000)
    expect(verdict).to_contain_text("The first direction carries 75% (healthy:")
    expect(verdict).to_contain_text("What to do")
    settle(page)
    expect(page.get_by_text("neighbours and duplicates follow")).to_have_count(0)

    look_closer(page, "What if")
    page.get_by_text("Also see what is found").click()
    settle(page)
    press(page, "Try")
    rows = {row[0]: row[1:] for row in table(page, "trials_", 8)}
    now, after = rows["as it is"], rows["centre+drop:1"]
    assert number(after[1]) > 1.3 * number(now[1])  # the effective rank
    assert number(after[5]) > number(now[5])  # known items found first
    assert after[6].startswith("+")
    click_line(page, "trials_", 2)
    expect(page.get_by_role("button", name="Save with the corpus and rebuild", exact=True)).to_be_visible()
    page.wait_for_url(lambda url: "wi=centre" in url)
    settle(page)

    look_closer(page, "Memory tokens")
    page.locator(".st-key-health_memory button").first.click()
    expect(page.locator(".st-key-health_slots .js-plotly-plot")).to_be_visible(timeout=60_000)
    settle(page)
    expect(page.get_by_text("Memory tokens 1-6 carry the same direction")).to_be_visible()
    expect(page.get_by_text("Merging memory states")).to_be_visible()

    choose(page, "Lay over", "zz_wide")
    page.wait_for_url(lambda url: "c2=zz_wide" in url)
    settle(page)
    expect(page.locator(".st-key-health_spectrum")).to_contain_text("zz_wide")

    page.locator(".st-key-health_files button").first.click()
    found = json.loads(saved(page, page.locator(".st-key-health_json button").first))
    assert found["state"] == "collapsed" and found["verdict"]["advice"]
    html = saved(page, page.locator(".st-key-health_html button").first).decode()
    assert "ollapsed" in html and "<script" not in html and "src=" not in html and "href=" not in html

    query = page.url.partition("?")[2]
    other = open_page(f"/health?{query}")
    expect(other.locator(".st-key-health_spectrum")).to_contain_text("zz_wide", timeout=60_000)


def test_the_same_texts_in_a_wide_space_are_no_collapse(spaces, open_page):
    page = open_page("/health?c=zz_wide")
    verdict = page.locator(".st-key-verdict")
    expect(verdict).to_be_visible(timeout=60_000)
    settle(page)
    expect(verdict).not_to_contain_text("Collapsed")

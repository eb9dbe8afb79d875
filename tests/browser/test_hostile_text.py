"""A corpus full of markup is shown as text, in every widget, and fetches nothing."""

import pytest
from playwright.sync_api import expect

SHOWN = "<script>alert(2)</script> ![i](http://evil.example/b.png) [l](javascript:alert(3)) $x^2$ :smile: :red[red]"


def no_markup(page):
    """Nothing of the text became an element; the page's own images and links are Streamlit's."""
    page.wait_for_timeout(500)  # time for an image to be asked for; the page's guard would see it
    found = page.evaluate(
        """() => {
          const roots = [document, ...[...document.querySelectorAll('*')].map(n => n.shadowRoot).filter(Boolean)];
          const all = (query) => roots.flatMap(root => [...root.querySelectorAll(query)]);
          return {
            images: all('img').filter(n => n.src.includes('evil')).length,
            links: all('a').filter(n => n.protocol === 'javascript:' || n.hostname.includes('evil')).length,
            scripts: all('script').filter(n => n.textContent.includes('alert')).length,
            bold: all('b, strong, del').filter(n => /^(tag|bold|gone)$/.test(n.textContent)).length,
            formulas: all('.katex').length,
          };
        }"""
    )
    assert found == {"images": 0, "links": 0, "scripts": 0, "bold": 0, "formulas": 0}


def test_the_text_and_the_title_are_shown_as_written(open_page):
    page = open_page("/?c=evil&q=river")
    expect(page.locator(".st-key-text mark")).to_have_text("river")
    for key in ("text", "title"):
        shown = page.locator(f".st-key-{key} .text").inner_text()
        assert SHOWN in shown
        assert "user⟨RLO⟩txt.exe" in shown
        assert "\u202e" not in shown
    no_markup(page)


def test_values_are_shown_as_written_in_the_filter(open_page, choose):
    page = open_page("/?c=evil&q=river")
    expect(page.locator(".st-key-text mark")).to_be_visible()
    page.locator(".st-key-filters summary").click()
    choose(page, "Column", "**col**")
    no_markup(page)
    choose(page, "Any of", "<script>")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add condition").click()
    page.wait_for_url(lambda url: "f=" in url)
    summary = page.locator(".st-key-filters summary")
    expect(summary).to_contain_text("Filter: `**col**`")
    assert "= '**bold** <b>tag</b>" in summary.inner_text().replace("\u2060", "")
    no_markup(page)


@pytest.mark.parametrize("part", ["f", "c", "q", "r", "l"])
def test_a_hostile_link_is_shown_as_text(open_page, part):
    payload = (
        "%3Cimg+src%3Dhttp%3A%2F%2Fevil.example%2Fz.png%3E+!%5Bi%5D(http%3A%2F%2Fevil.example%2Fy.png)+**x**"
    )
    link = {"c": "evil", "q": "river"} | {part: payload}
    page = open_page("/?" + "&".join(f"{key}={value}" for key, value in link.items()))
    expect(page.locator(".st-key-hit, [class*=st-key-error_], .st-key-no_hits").first).to_be_visible()
    no_markup(page)


def test_hostile_names_are_shown_as_text_among_the_corpora(open_page):
    page = open_page("/corpora")
    expect(page.get_by_text("Documents", exact=True).first).to_be_visible()
    no_markup(page)

"""The map page in a real browser: the hand on the map, the list beside it, and two browsers with one link."""

import json
import re

import pytest
from playwright.sync_api import expect


def canvas(page):
    return page.locator("canvas.over")


def ready(page):
    expect(canvas(page)).to_have_attribute("data-ready", "true")
    settle(page)
    return page


def settle(page):
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def place(page, across, down):
    box = canvas(page).bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def draw_box(page, start, end):
    page.get_by_role("button", name="Box", exact=True).click()
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=4)
    page.mouse.up()
    expect(heading(page)).to_contain_text("inside the outline")
    settle(page)


def heading(page):
    return page.locator(".st-key-map_list h3").first


def inside(page):
    """The sentences of the map and of the page on how many passages are inside."""
    line = page.locator(".map .line").inner_text()
    return int(re.match(r"(\d+) of 36 points inside", line)[1]), int(heading(page).inner_text().split()[0])


def chosen(page):
    page.get_by_role("button", name="Export").last.click()
    with page.expect_download() as download:
        page.locator(".st-key-map_export_jsonl button").first.click()
    lines = download.value.path().read_text().splitlines()
    return sorted(json.loads(line)["document_id"] for line in lines)


@pytest.fixture
def open_map(open_page):
    return lambda path="/map?c=places", **options: ready(open_page(path, **options))


def test_a_stranger_with_the_link_sees_the_same_passages(open_map):
    page = open_map()
    expect(canvas(page)).to_have_attribute("data-n", "36")
    draw_box(page, (0.1, 0.05), (0.55, 0.95))
    on_map, listed = inside(page)
    assert on_map == listed > 0
    page.wait_for_url(re.compile(r"pl=.*"))
    assert "map=" in page.url
    mine = chosen(page)
    assert len(mine) == listed
    other = open_map(page.url[page.url.index("/map?") :])
    expect(heading(other)).to_have_text(heading(page).inner_text())
    assert canvas(other).get_attribute("data-polygon") == canvas(page).get_attribute("data-polygon")
    assert inside(other) == (on_map, listed)
    assert chosen(other) == mine


def test_the_outline_goes_when_its_chip_is_taken_off_and_comes_back_by_hand(open_map):
    page = open_map()
    draw_box(page, (0.05, 0.05), (0.95, 0.95))
    page.locator(".st-key-chip_polygon button").first.click()
    expect(heading(page)).to_have_text("All 36 passages")
    expect(canvas(page)).to_have_attribute("data-polygon", "[]")
    assert "pl=" not in page.url
    draw_box(page, (0.05, 0.05), (0.95, 0.95))
    page.get_by_role("button", name="Clear outline").click()
    expect(heading(page)).to_have_text("All 36 passages")


def test_moving_the_map_goes_into_the_link_and_draws_nothing_else_anew(open_map):
    page = open_map()
    heading(page).evaluate("node => node.dataset.mine = 'yes'")
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(re.compile(r"vw=\d+\.\d+\.150"))
    expect(heading(page)).to_have_attribute("data-mine", "yes")
    other = open_map(page.url[page.url.index("/map?") :])
    expect(canvas(other)).to_have_attribute("data-zoom", "1.50")
    page.get_by_role("button", name="Reset").click()
    page.wait_for_url(lambda url: "vw=" not in url)


def test_a_point_by_key_shows_its_passage_and_goes_into_the_tray(open_map):
    page = open_map("/map?c=places&q=river&k=3")
    canvas(page).focus()
    page.keyboard.press("n")
    expect(page.locator(".map .line")).to_contain_text("Hit 1 of 3")
    page.keyboard.press("Enter")
    panel = page.locator(".st-key-map_passage")
    expect(panel).to_contain_text("Nearest in meaning")
    expect(panel.locator(".st-key-map_title")).to_contain_text("river")
    expect(canvas(page)).not_to_have_attribute("data-current", "-1")
    page.wait_for_url(re.compile(r"[?&]r=d"))
    canvas(page).focus()
    page.keyboard.press("t")
    page.wait_for_url(re.compile(r"[?&]tr="))
    expect(page.get_by_role("button", name="Tray · 1")).to_be_visible()


def test_the_list_is_a_way_without_the_mouse(open_map):
    page = open_map("/map?c=places&f=topic+%3D+%27sea%27")
    expect(heading(page)).to_have_text("6 passages chosen")
    expect(page.locator(".map .line")).to_contain_text("30 grey points are left out by the filter.")
    table = page.locator(".st-key-map_list [data-testid=stDataFrame]").first
    table.click(position={"x": 20, "y": 70})
    panel = page.locator(".st-key-map_passage")
    expect(panel.locator(".st-key-map_title")).to_contain_text("The sea")
    expect(canvas(page)).to_have_attribute("data-current", re.compile(r"\d+"))
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_have_count(0)
    expect(canvas(page)).to_have_attribute("data-current", "-1")


def test_colours_and_their_legend(open_map, choose):
    page = open_map()
    choose(page, "Colour by", "topic")
    legend = page.locator(".map .legend")
    expect(legend).to_contain_text("topic")
    expect(legend).to_contain_text("bridge")
    page.wait_for_url(re.compile("cb=topic"))
    page.get_by_role("button", name="Legend").click()
    expect(legend).to_be_hidden()


def test_on_a_phone_the_legend_waits_to_be_asked_for(open_map):
    page = open_map("/map?c=places&cb=topic")
    page.set_viewport_size({"width": 420, "height": 900})
    page.reload()
    ready(page)
    legend, button = page.locator(".map .legend"), page.get_by_role("button", name="Legend")
    expect(legend).to_be_hidden()
    button.click()
    expect(legend).to_contain_text("bridge")
    expect(legend).to_be_visible()
    button.click()
    expect(legend).to_be_hidden()


def test_hostile_texts_are_texts_on_the_map_and_beside_it(open_map):
    page = open_map("/map?c=evil&q=river&cb=topic")
    canvas(page).focus()
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-map_passage")).to_contain_text("<b>tag</b>")
    expect(page.locator(".map .legend")).to_contain_text("**bold** <b>tag</b>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_stand_out_in_both_themes(open_map, scheme):
    page = open_map(color_scheme=scheme)
    shown = canvas(page)
    expect(shown).to_have_attribute("data-n", "36")
    colours = page.locator("canvas.points").evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set();"
        " for (let i = 0; i < d.length; i += 4) s.add(`${d[i]},${d[i + 1]},${d[i + 2]},${d[i + 3]}`); return s.size; }"
    )
    assert colours > 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_is_sent_once_at_opening(open_page, scheme):
    page = open_page("/corpora", color_scheme=scheme)
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    page.goto(page.url.replace("/corpora", "/map?c=places"))
    ready(page)
    page.wait_for_timeout(1_000)  # for a run that comes late
    assert sum(isinstance(frame, bytes) and b'"titles":["The river 0"' in frame for frame in received) == 1

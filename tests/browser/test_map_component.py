"""The map in a real browser: what is drawn, what the hand does, what comes back to Python."""

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from app.map_component.mount import script
from app.map_payload import Start, pack
from indexer.maps.polygon import inside

HERE = Path(__file__).parent
N = 20_000

_spec = importlib.util.spec_from_file_location("map_page", HERE / "map_page.py")
_map_page = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_map_page)
EVIL, drawing, points = _map_page.EVIL, _map_page.drawing, _map_page.points


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """In place of the app: the page that holds nothing but a map."""
    log = tmp_path_factory.mktemp("map") / "server.log"
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_map.py")],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
        stdout=subprocess.PIPE,
        stderr=log.open("w"),
        text=True,
        start_new_session=True,
    )
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), log.read_text()
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def open_map(open_page):
    def open_map(case="plain", n=N, polygon=(), **options):
        page = open_page(f"/?case={case}&n={n}&polygon={json.dumps(list(polygon))}", **options)
        expect(canvas(page)).to_have_attribute("data-ready", "true")
        expect(page.locator(".st-key-event code")).to_be_visible()
        return page

    return open_map


def canvas(page):
    return page.locator("canvas.over")


def event(page):
    return json.loads(page.locator(".st-key-event code").inner_text())


def wait_for(page, is_there):
    """The event, once it is as it should be; the page polls nothing, so we do."""
    for _ in range(200):
        now = event(page)
        if is_there(now):
            return now
        page.wait_for_timeout(50)
    raise AssertionError(now)


def again(page):
    """One more run of the fragment with nothing changed."""
    runs = event(page)["runs"]
    page.get_by_role("button", name="Again").click()
    wait_for(page, lambda now: now["runs"] > runs)


def drag(page, places, *, shift=False):
    box = canvas(page).bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=8)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


def press(page, name):
    page.locator(".map").get_by_role("button", name=name, exact=True).click()


def pixels(page):
    return np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("RGB")).astype(int)


def agrees_with_python(page, n=N):
    """The browser's own count of the points inside is Python's for the polygon that came back."""
    polygon = wait_for(page, lambda now: now["polygon"])["polygon"]
    x, y = points(n)
    selected = int(inside(x, y, tuple(polygon)).sum())
    assert canvas(page).get_attribute("data-polygon") == json.dumps(polygon, separators=(",", ":"))
    assert canvas(page).get_attribute("data-inside") == str(selected)
    return polygon, selected


LASSO = [(0.35, 0.1), (0.65, 0.15), (0.7, 0.6), (0.5, 0.85), (0.38, 0.5)]


def test_it_draws_all_points_and_says_so(open_map):
    page = open_map("full")
    over = canvas(page)
    expect(over).to_have_attribute("data-n", str(N))
    label = over.get_attribute("aria-label")
    assert "20\u202f000 points" in label and "12 hits" in label and "20 in the tray" in label
    expect(page.locator(".line")).to_contain_text("4\u202f000 grey points are left out by the filter")
    expect(page.locator(".legend .title")).to_have_text("year")
    assert len(np.unique(pixels(page).reshape(-1, 3), axis=0)) > 100
    assert float(over.get_attribute("data-draw-ms")) > 0


def test_a_lasso_selects_in_python_what_the_browser_shows(open_map):
    page = open_map()
    drag(page, LASSO, shift=True)
    polygon, selected = agrees_with_python(page)
    assert 3 <= len(polygon) // 2 <= 64 and 0 < selected < N
    assert event(page)["told"] == polygon  # a callback saw it before the run
    expect(page.locator(".line")).to_contain_text("points inside the outline")


def test_the_points_under_the_fill_are_the_selected_ones(open_map):
    page = open_map()
    before = pixels(page)
    drag(page, [(0.2, 0.1), (0.8, 0.9), (0.8, 0.1), (0.2, 0.9)], shift=True)  # crosses itself: even-odd
    polygon, selected = agrees_with_python(page)
    assert 0 < selected < N
    page.mouse.move(1, 1)
    changed = np.abs(pixels(page) - before).sum(axis=2) > 6
    height, width = changed.shape
    # Middles of the four parts of the hourglass: top and bottom lie outside, left and right inside.
    left, right = changed[height // 2, width // 3], changed[height // 2, 2 * width // 3]
    top, bottom = changed[height // 4, width // 2], changed[3 * height // 4, width // 2]
    assert [left, right, top, bottom] == [False, False, True, True] or [left, right, top, bottom] == [
        True,
        True,
        False,
        False,
    ]


def test_a_lasso_beyond_the_edge_is_cut_to_the_grid(open_map):
    page = open_map()
    drag(page, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)], shift=True)
    polygon, selected = agrees_with_python(page)
    assert min(polygon) == 0 and max(polygon) == 65_535
    assert selected == N


def test_a_box_and_its_removal(open_map):
    page = open_map()
    press(page, "Box")
    drag(page, [(0.4, 0.2), (0.6, 0.7)])
    polygon, selected = agrees_with_python(page)
    assert len(polygon) == 8 and len(set(polygon[::2])) == len(set(polygon[1::2])) == 2 and selected > 0
    expect(canvas(page)).to_have_attribute("data-mode", "move")
    press(page, "Clear outline")
    wait_for(page, lambda now: not now["polygon"])
    expect(canvas(page)).to_have_attribute("data-polygon", "[]")


def test_place_zoom_and_outline_outlive_a_rerun(open_map):
    page = open_map()
    drag(page, LASSO, shift=True)
    polygon, _ = agrees_with_python(page)
    box = canvas(page).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    page.mouse.wheel(0, -400)
    drag(page, [(0.5, 0.5), (0.6, 0.55)])
    shown = canvas(page).get_attribute("data-centre"), canvas(page).get_attribute("data-zoom")

    def is_told(now):  # on a busy machine the wheel is told before the drag
        view = now["view"]
        return view and view[2] > 1 and f"{view[0]:.0f},{view[1]:.0f}" == shown[0]

    view = wait_for(page, is_told)["view"]
    again(page)
    assert event(page)["view"] == view and event(page)["polygon"] == polygon
    assert (canvas(page).get_attribute("data-centre"), canvas(page).get_attribute("data-zoom")) == shown
    assert shown == (f"{view[0]:.0f},{view[1]:.0f}", f"{view[2]:.2f}")
    canvas(page).dblclick(position={"x": 5, "y": 5})
    wait_for(page, lambda now: now["view"][2] == 1)


def test_a_start_outline_is_drawn_and_a_command_brings_it_back(open_map):
    square = [10_000, 10_000, 50_000, 10_000, 50_000, 50_000, 10_000, 50_000]
    page = open_map(polygon=square)
    assert agrees_with_python(page)[0] == square
    drag(page, LASSO, shift=True)
    wait_for(page, lambda now: now["polygon"] != square)
    page.get_by_role("button", name="Command").click()
    wait_for(page, lambda now: now["polygon"] == square)
    expect(canvas(page)).to_have_attribute("data-polygon", json.dumps(square, separators=(",", ":")))


def test_a_click_picks_the_point_under_it(open_map):
    page = open_map(n=2)
    x, y = points(2)
    box = canvas(page).bounding_box()
    side = min(box["width"], box["height"]) * 0.92
    place = [
        box["x"] + box["width"] / 2 + (int(x[1]) / 65_535 - 0.5) * side,
        box["y"] + box["height"] / 2 - (int(y[1]) / 65_535 - 0.5) * side,
    ]
    page.mouse.move(place[0] + 3, place[1] + 2)
    expect(page.locator(".tip")).to_have_text("Point 2")
    page.mouse.click(place[0] + 3, place[1] + 2)
    wait_for(page, lambda now: now["picks"] == [1])
    expect(canvas(page)).to_have_attribute("data-pick", "1")
    page.mouse.click(place[0] + 12, place[1])
    again(page)
    assert event(page)["picks"] == [1]


def test_everything_by_keyboard(open_map):
    page = open_map("full")
    over = canvas(page)
    over.focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    expect(page.locator(".line")).to_contain_text("Hit 2 of 12.")
    page.keyboard.press("Enter")
    wait_for(page, lambda now: now["picks"] == [74])
    page.keyboard.press("p")
    page.keyboard.press("t")
    wait_for(page, lambda now: now["tray"] == [37])
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    view = wait_for(page, lambda now: now["view"])["view"]
    assert view[0] > 32_768 and view[1] > 32_768 and view[2] == 1.4
    page.keyboard.press("0")
    wait_for(page, lambda now: now["view"][2] == 1)
    page.keyboard.press("?")
    expect(page.locator(".help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".help")).to_be_hidden()
    drag(page, LASSO, shift=True)
    wait_for(page, lambda now: now["polygon"])
    page.keyboard.press("Escape")
    wait_for(page, lambda now: not now["polygon"])
    shadow = over.evaluate("node => getComputedStyle(node).boxShadow")
    assert "inset" in shadow  # the ring that shows where the keys go


def test_hostile_words_are_shown_as_words(open_map):
    page = open_map("evil", n=400)
    shown = EVIL.replace("\u202e", "\u27e8RLO\u27e9").strip()
    expect(page.locator(".legend .title")).to_have_text(shown)
    expect(page.locator(".legend .words").first).to_have_text(shown)
    canvas(page).focus()
    page.keyboard.press("Enter")
    picked = wait_for(page, lambda now: now["picks"])["picks"][0]
    x, y = points(400)
    box = canvas(page).bounding_box()
    side = min(box["width"], box["height"]) * 0.92
    page.mouse.move(
        box["x"] + box["width"] / 2 + (int(x[picked]) / 65_535 - 0.5) * side,
        box["y"] + box["height"] / 2 - (int(y[picked]) / 65_535 - 0.5) * side,
    )
    expect(page.locator(".tip")).to_contain_text("<img src=x onerror=alert(1)> **bold** </script>")
    assert page.locator(".map img, .map script").count() == 0  # nor did a dialog open: see open_page


def test_light_and_dark_both_draw_and_a_change_redraws(open_map):
    page = open_map("full", color_scheme="light")
    light = pixels(page)
    page.emulate_media(color_scheme="dark")
    for _ in range(100):
        dark = pixels(page)
        if dark[2, 2].sum() < 150:
            break
        page.wait_for_timeout(50)
    assert light[2, 2].sum() > 600 and dark[2, 2].sum() < 150
    for picture in (light, dark):
        far = np.abs(picture - picture[2, 2]).sum(axis=2) > 60
        assert 0.02 < far.mean() < 0.6
    side = dark.shape[1] // 2
    assert np.abs(light[:, side] - dark[:, side]).mean() > 20


@pytest.mark.parametrize(
    ("case", "n", "sentence"),
    [
        ("empty", 0, "Nothing is on this map yet."),
        ("one", 1, "One point: a map needs more to show what lies near what."),
        ("equal", 2_000, "All 2\u202f000 points have the same position."),
        ("plain", 500, ""),
    ],
)
def test_maps_with_little_to_see_say_why(open_map, case, n, sentence):
    page = open_map(case, n=n)
    expect(canvas(page)).to_have_attribute("data-sentence", sentence)
    expect(canvas(page)).to_have_attribute("data-n", str(n))
    canvas(page).focus()
    for key in ("n", "Enter", "t", "+", "0"):
        page.keyboard.press(key)
    drag(page, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)], shift=True)
    wait_for(page, lambda now: now["polygon"])
    expect(canvas(page)).to_have_attribute("data-inside", str(n))


def test_points_on_the_rim_and_notes_are_said(open_map):
    page = open_map("rim", n=500)
    expect(page.locator(".line")).to_have_text(
        "7 points lie farther out and are drawn on the rim. 3 passages have no vector."
    )


def test_many_points_get_a_density_until_one_zooms_in(open_map):
    page = open_map(n=60_000)
    expect(canvas(page)).to_have_attribute("data-density", "true")
    for _ in range(3):
        press(page, "Zoom in")
    expect(canvas(page)).to_have_attribute("data-density", "false")


def test_an_unchanged_map_is_not_sent_again(open_map):
    page = open_map(n=50_000)
    page.reload()
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.reload()
    expect(canvas(page)).to_have_attribute("data-ready", "true")
    expect(page.locator(".st-key-event code")).to_be_visible()
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_timeout(500)
    # Streamlit runs a page again once it knows the browser's theme, often before the first answer counts as kept.
    assert 300_000 < sum(received) < 800_000
    for _ in range(2):
        before = sum(received)
        again(page)
        assert 0 < sum(received) - before < 10_000


def test_the_picture_is_saved_as_shown(open_map):
    page = open_map("full")
    with page.expect_download() as download:
        press(page, "PNG")
    assert download.value.suggested_filename == "map-0123abcd.png"
    picture = Image.open(download.value.path())
    box = canvas(page).bounding_box()
    assert picture.size == (round(box["width"]), round(box["height"]))
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 100


def test_two_fingers_zoom(open_map):
    page = open_map(n=500, has_touch=True)
    box = canvas(page).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind, far):
        spots = (
            [{"x": middle[0] + sign * far, "y": middle[1], "id": i} for i, sign in enumerate((-1, 1))]
            if far
            else []
        )
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    touch("touchStart", 50)
    for far in (60, 80, 100):
        touch("touchMove", far)
    touch("touchEnd", 0)
    view = wait_for(page, lambda now: now["view"])["view"]
    assert view[2] == pytest.approx(2, abs=0.01)


@pytest.fixture
def functions(chromium):
    """The component's functions alone, on an empty page."""
    page = chromium.new_page()
    page.add_script_tag(content=script().replace("export default function", "function mount"))
    yield page
    page.close()


def test_the_browser_reads_what_python_packs(functions):
    sent = drawing("full", 3_000)
    payload = pack(sent, Start((1, 2, 3, 4, 5, 65_535), (7.0, 8.0, 2.5), 11))
    for shift in (0, 1):  # the bytes may begin at an odd place of a message
        read = functions.evaluate(
            """([bytes, shift]) => {
                const whole = new Uint8Array([...Array(shift).fill(0), ...bytes]);
                const map = decodePayload(whole.subarray(shift));
                return Object.fromEntries(Object.entries(map).map(([k, v]) => [k, ArrayBuffer.isView(v) ? [...v] : v]));
            }""",
            [list(payload), shift],
        )
        assert read["x"] == sent.x.tolist() and read["y"] == sent.y.tolist()
        assert read["colour"] == sent.colouring.numbers.tolist() and read["flags"] == sent.flags.tolist()
        assert read["hits"] == [number for pair in sent.hits for number in pair]
        assert read["palettes"] == np.array([sent.colouring.light, sent.colouring.dark]).ravel().tolist()
        assert (read["n"], read["mapId"], read["command"]) == (3_000, "0123abcd", 11)
        assert read["startPolygon"] == [1, 2, 3, 4, 5, 65_535] and read["startView"] == [7, 8, 2.5]
        assert read["words"]["title"] == "year" and len(read["words"]["labels"]) == 2


@pytest.mark.parametrize("cut", [0, 100, 336, 400, -4])
def test_bytes_that_are_no_map_are_refused(functions, cut):
    payload = list(pack(drawing("full", 500)))[: cut or None]
    damaged = payload if cut else [9, *payload[1:]]
    said = functions.evaluate(
        "bytes => { try { decodePayload(new Uint8Array(bytes)); return ''; } catch (e) { return String(e); } }",
        damaged,
    )
    assert "Error" in said


def test_any_drawn_line_becomes_few_corners_that_select_alike(functions):
    random = np.random.default_rng(4)
    x, y = points(4_000)
    for trial in range(12):
        steps = 4 + 150 * trial
        angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
        radius = 30_000 * (0.6 + 0.3 * np.sin(3 * angle)) + random.normal(0, 20, steps)
        drawn = np.stack(
            [32_000 + 1.2 * radius * np.cos(angle), 32_000 + 1.2 * radius * np.sin(angle)], axis=1
        )
        sent = functions.evaluate("drawn => finishPolygon(drawn, 60)", drawn.ravel().tolist())
        assert 3 <= len(sent) // 2 <= 64 and all(type(v) is int and 0 <= v <= 65_535 for v in sent)
        counted = functions.evaluate(
            "([x, y, polygon]) => countInside({ n: x.length, x, y }, polygon)", [x.tolist(), y.tolist(), sent]
        )
        assert counted == inside(x, y, tuple(sent)).sum()
        whole = np.clip(np.rint(drawn), 0, 65_535).astype(int)[:: max(1, -(-steps // 64))]
        assert abs(counted - inside(x, y, tuple(whole.ravel().tolist())).sum()) < 120


def test_what_is_no_area_is_no_outline(functions):
    for drawn in (
        [],
        [5, 5],
        [5, 5, 9, 9],
        [7, 7] * 10,
        [-9, -9, -5, -9, -5, -5],
        [70_000, 0, 80_000, 0, 70_000, 9],
    ):
        assert functions.evaluate("drawn => finishPolygon(drawn, 1)", drawn) == []

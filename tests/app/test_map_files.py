"""Maps as SVG, PNG and HTML: what is drawn where, and that no text of a corpus becomes more than text."""

import base64
import hashlib
import html
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.map_colours import by_category, by_number, one_colour
from app.map_files import Picture, _drawable, to_html, to_png, to_svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "]]>",
    "@DATA@ @TITLE@ @POLICY@ DATA",
    "\u2028\u202e\x00\x1b[31m\ud800",
    "&amp;",
]


def picture(count=6, colouring=None, **options):
    places = (
        np.linspace(0, 65_535, count).astype(np.uint16) if count > 1 else np.full(count, 32_768, np.uint16)
    )
    return Picture(
        places, places[::-1].copy(), colouring or one_colour(count), options.pop("title", "A map"), **options
    )


def data_of(page):
    text = page.decode()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_svg_has_a_point_for_every_point_in_its_colour():
    drawn = picture(colouring=by_category(["b", "a", "b", None, "b", "a"], "kind"), notes=("seed 0",))
    root = ElementTree.fromstring(to_svg(drawn))
    paths = {path.get("stroke"): path.get("d").count("M") for path in root.iter(f"{SVG}path")}
    light = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in drawn.colouring.light]
    assert paths == {light[0]: 1, light[1]: 3, light[2]: 2}
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert words[0] == "A map"
    assert {"kind", "b (3)", "a (2)", "seed 0"} <= set(words)


def test_svg_puts_up_up():
    path = next(ElementTree.fromstring(to_svg(picture(2))).iter(f"{SVG}path"))
    assert path.get("d") == "M0 0h0M1000 1000h0"  # x 0 with y 65,535: left and on top


@pytest.mark.parametrize("hostile", HOSTILE)
def test_svg_keeps_texts_texts(hostile):
    drawn = picture(3, by_category([hostile, "x", hostile], hostile), title=hostile, notes=(hostile,))
    root = ElementTree.fromstring(to_svg(drawn))
    assert {element.tag for element in root.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "rect", "text", "g", "path", "circle")
    }
    assert not re.search(rb"<script|onerror=\w+\(1\)\"|href|url\(", to_svg(drawn))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_html_keeps_texts_texts(hostile):
    calm = to_html(picture(2, by_category("ab", "kind"), titles=["one", "two"])).decode()
    drawn = picture(
        2, by_category([hostile, "x"], hostile), title=hostile, notes=(hostile,), titles=[hostile] * 2
    )
    page = to_html(drawn).decode()
    for tag in ("<script", "</script", "<img", "<style", "<!--", "<meta"):
        assert page.count(tag) == calm.count(tag)
    head = re.search(r"<title>(.*?)</title>", page, re.S)[1]
    data = data_of(page.encode())
    assert html.unescape(head) == data["title"]
    assert "alert" not in hostile or data["titles"][0] == hostile


@given(st.text(max_size=60))
def test_any_title_arrives_without_what_commands_a_screen(title):
    data = data_of(to_html(picture(1, titles=[title])))
    assert len(data["titles"]) == 1
    assert not re.search("[\x00-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", data["titles"][0])


def test_html_allows_only_its_own_script_and_style():
    page = to_html(picture()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        source = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|src=|href|@import|url\(|innerHTML|eval\(|fetch\(|<link|style=\"", page)


def test_html_holds_the_points():
    drawn = picture(5, by_number(np.arange(5.0), "year"), titles=list("abcde"))
    data = data_of(to_html(drawn))
    assert np.frombuffer(base64.b64decode(data["x"]), "<u2").tolist() == drawn.x.tolist()
    assert np.frombuffer(base64.b64decode(data["y"]), "<u2").tolist() == (65_535 - drawn.y).tolist()
    assert np.frombuffer(base64.b64decode(data["numbers"]), "u1").tolist() == drawn.colouring.numbers.tolist()
    assert (data["legend"]["title"], data["legend"]["ends"], data["titles"]) == (
        "year",
        ["0", "4"],
        list("abcde"),
    )


def test_html_wants_all_titles_or_none():
    with pytest.raises(ValueError, match="a title for every point"):
        to_html(picture(3, titles=["one"]))


@pytest.mark.parametrize("write", [to_svg, to_png, to_html])
@pytest.mark.parametrize("count", [0, 1])
def test_next_to_no_points(write, count):
    assert len(write(picture(count))) > 100


def test_png_shows_each_colour_where_it_is():
    drawn = picture(2, by_category("ab", "kind"), notes=("seed 0",))
    image = Image.open(io.BytesIO(to_png(drawn, 500)))
    pixels = np.asarray(image.convert("RGB"))[32:532, 12:512]
    assert tuple(pixels[1, 1].tolist()) == drawn.colouring.light[1]
    assert tuple(pixels[498, 498].tolist()) == drawn.colouring.light[2]
    assert pixels[250, 250].tolist() == [255, 255, 255]
    assert (image.text["Title"], image.text["Description"]) == ("A map", "seed 0")


def test_png_of_a_crowd_is_paler_where_few_are():
    x = np.concatenate([np.full(60_000, 20_000), [50_000]]).astype(np.uint16)
    drawn = Picture(x, np.full(x.size, 32_768, np.uint16), one_colour(x.size), "A crowd")
    pixels = np.asarray(Image.open(io.BytesIO(to_png(drawn, 500))).convert("RGB")).astype(int)[32:532, 12:512]
    dark, pale = pixels[249, 152], pixels[249, 380]
    assert tuple(dark.tolist()) == drawn.colouring.light[1]
    assert (pale >= dark).all()
    assert pale.sum() > dark.sum() + 100
    assert pale.sum() < 3 * 255


def test_pictures_write_thousands_with_a_sign_that_their_font_has():
    assert _drawable("other topics (7\u202f143)") == "other topics (7 143)"

"""Every page in light and dark: the theme's own colours, something drawn, nothing cut off, text that can be read."""

import numpy as np
import pytest
from playwright.sync_api import expect

from indexer.search import Searcher
from indexer.topics import build_topics
from tests.browser.walking import picture, plant, settle

# Page, link, what must be there, and the least share of its pixels that are not background: half of the emptiest, with its tables not yet drawn.
PAGES = {
    "Search": ("/?c=zz_pictures&q=river+boat", ".st-key-text mark", 0.005),
    "first look": ("/?c=zz_pictures", ".st-key-facts", 0.005),
    "Map": ("/map?c=zz_pictures&q=river+boat", "canvas.over[data-ready=true]", 0.005),
    "Topics": ("/topics?c=zz_pictures", ".st-key-topic h3", 0.005),
    "Health": ("/health?c=zz_pictures", ".st-key-health_spectrum .js-plotly-plot", 0.005),
    "Corpora": ("/corpora?c=zz_pictures", "[class*=st-key-card_]", 0.005),
}
_READABLE, _LARGE = (
    4.5,
    3.0,
)  # contrast of text to what lies behind it, as WCAG asks; large is 24 px, or 18.7 px bold

_MEASURE = """() => {
  const parsed = colour => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) => [0, 1, 2].map(i => (top[i] * top[3] + under[i] * (255 - top[3])) / 255);
  const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    const layers = [];
    for (let n = node; n; n = n.parentElement || (n.getRootNode() && n.getRootNode().host)) {
      const colour = parsed(getComputedStyle(n).backgroundColor);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 255) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const roots = [document, ...[...document.querySelectorAll('*')].map(n => n.shadowRoot).filter(Boolean)];
  const found = [];
  for (const node of roots.flatMap(root => [...root.querySelectorAll('*')])) {
    const words = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent).join('').trim();
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    if (!words || !box.width || !box.height || style.visibility === 'hidden' || node.closest('canvas, svg')) continue;
    if (node.closest('[disabled], [aria-disabled=true]') || /Material/.test(style.fontFamily)) continue;
    let opacity = 1;
    for (let n = node; n; n = n.parentElement) opacity *= Number(getComputedStyle(n).opacity);
    const under = behind(node), colour = parsed(style.color);
    colour[3] *= opacity;
    const [a, b] = [light(over(colour, under)), light(under)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), isBold = Number(style.fontWeight) >= 700;
    found.push({words: words.slice(0, 60), contrast: (a + 0.05) / (b + 0.05), isLarge: size >= 24 || (isBold && size >= 18.7)});
  }
  return found;
}"""

_CUT_OFF = """() => [...document.querySelectorAll('button p, label p, h1, h2, h3, [data-testid=stMetricValue] > div')]
  .filter(n => n.getBoundingClientRect().width && n.scrollWidth > n.clientWidth + 1 && getComputedStyle(n).overflow !== 'visible')
  .map(n => n.textContent)"""


@pytest.fixture(scope="module")
def pictures(home):
    collection = plant(home / "collections" / "zz_pictures")
    build_topics(Searcher(collection), method="kmeans", count=5)
    return collection


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_it_looks_like_itself(pictures, open_page, name, scheme):
    link, there, least = PAGES[name]
    page = open_page(link, color_scheme=scheme)
    expect(page.locator(there).first).to_be_visible(timeout=60_000)
    settle(page)
    page.wait_for_timeout(700)  # tables draw themselves a moment after they are there
    seen = picture(page)
    assert seen.shape == (1000, 1440, 3)
    colours, counts = np.unique(seen.reshape(-1, 3), axis=0, return_counts=True)
    background = colours[counts.argmax()].astype(int)
    assert (background.mean() > 200) == (scheme == "light") and (background.mean() < 60) == (scheme == "dark")
    drawn = (np.abs(seen.astype(int) - background).sum(axis=2) > 60).mean()
    assert least < drawn < 0.5
    texts = page.evaluate(_MEASURE)
    assert len(texts) > 10
    faint = [text for text in texts if text["contrast"] < (_LARGE if text["isLarge"] else _READABLE)]
    assert faint == []
    assert page.evaluate(_CUT_OFF) == []
    # Nothing is wider than the window.
    assert page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_narrow_window(pictures, open_page, name):
    link, there, _ = PAGES[name]
    page = open_page(link)
    page.set_viewport_size({"width": 480, "height": 900})
    expect(page.locator(there).first).to_be_attached(timeout=60_000)
    settle(page)
    page.wait_for_timeout(500)
    assert page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")

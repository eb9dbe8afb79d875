"""What the walks through the app share: a corpus with planted topics, and the hands that do a step."""

import importlib.util
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image
from playwright.sync_api import expect

from indexer.collection import Collection
from indexer.sources import open_sources

HERE = Path(__file__).parent
SUBJECTS = {
    "water": "river flood harbour boat delta tide canal ferry",
    "bread": "flour oven yeast dough bakery crust rye loaf",
    "music": "guitar chord drum melody violin opera singer rhythm",
    "stars": "planet comet orbit galaxy telescope eclipse moon nebula",
    "plants": "flower root seed leaf garden forest pollen moss",
}


def planted_rows(a_subject=24):
    """Documents in five subjects that share few words, with a kind and a day each."""
    random = np.random.default_rng(5)
    rows = []
    for name, words in SUBJECTS.items():
        for number in range(a_subject):
            some = " ".join(random.permutation(words.split() * 2)[:14])
            rows.append(
                {
                    "id": f"{name}{number}",
                    "title": f"On {name} {number}",
                    "text": f"{some} and number {number}",
                    "kind": name,
                    "day": f"20{10 + number % 12}-05-01",
                }
            )
    return rows


def encoders():
    """The encoders that the server of the tests knows, by name."""
    spec = importlib.util.spec_from_file_location("serve_words", HERE / "serve_words.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ENCODERS


def plant(path, rows=None, encoder="words"):
    """Indexes the rows into a new collection."""
    source = open_sources([pd.DataFrame(rows or planted_rows())], text="text", title="title", id="id")
    embedder = encoders()[encoder]()
    collection = Collection.create(path, encoder=embedder, columns=source.columns)
    collection.add(source, encoder=embedder)
    return collection


def settle(page):
    """Waits until the app has drawn everything."""
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def press(page, name, **rest):
    page.get_by_role("button", name=name, exact=True, **rest).first.click()
    settle(page)


def saved(page, button):
    """The bytes of the file that a button of the page gives."""
    with page.expect_download() as download:
        button.click()
    return download.value.path().read_bytes()


def bundle(content):
    """Files of a bundle: the ids of its two tables, and its README."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    table = pq.read_table(io.BytesIO(files["passages.parquet"])).to_pylist()
    lines = [json.loads(line) for line in files["passages.jsonl"].decode().splitlines()]
    assert [row["id"] for row in table] == [line["id"] for line in lines]
    return [row["document_id"] for row in table], files["README.txt"].decode()


def click_line(page, key, line, header=38, height=35):
    """Clicks a line of a table, from 0; what lies over its canvas takes the click as a hand's would be taken."""
    grid = page.locator(f"[class*=st-key-{key}] canvas").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + header + height * line + height / 2)


def canvas(page):
    return page.locator("canvas.over")


def lasso(page, places):
    """Draws an outline on the map through places given as shares of its width and height."""
    canvas(page).scroll_into_view_if_needed()
    box = canvas(page).bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.keyboard.down("Shift")
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=8)
    page.mouse.up()
    page.keyboard.up("Shift")


def picture(locator):
    """What a part of the page looks like, uint8 [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))

"""One app process and one Chromium for all browser tests; a page that notices every error and every request out."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from playwright.sync_api import TimeoutError, expect, sync_playwright

from indexer.collection import Collection
from indexer.sources import open_sources

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE_MS = 12_000

EVIL = (
    "**bold** <b>tag</b> <img src=http://evil.example/a.png onerror=alert(1)> <script>alert(2)</script> "
    "![i](http://evil.example/b.png) [l](javascript:alert(3)) $x^2$ :smile: :red[red] :material/home: ~~gone~~ "
    "http://evil.example/c user\u202etxt.exe river"
)


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.browser)


def word_embedder():
    spec = importlib.util.spec_from_file_location("serve_words", HERE / "serve_words.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WordEmbedder()


def make_collection(path, rows):
    table = pd.DataFrame(rows)
    source = open_sources([table], text="text", title="title", id="id")
    embedder = word_embedder()
    Collection.create(path, encoder=embedder, columns=source.columns).add(source, encoder=embedder)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("library")
    (home / "collections").mkdir()
    subjects = ["river", "bridge", "road", "sea", "train", "city"]
    rows = [
        {
            "id": f"d{number}",
            "title": f"The {subjects[number % 6]} {number}",
            "text": f"A {subjects[number % 6]} near the {subjects[number // 6 % 6]}, number {number}. " * 3,
            "topic": subjects[number % 6],
            "year": 1990 + number,
        }
        for number in range(36)
    ]
    make_collection(home / "collections" / "places", rows)
    # One in which tests may write things down, so that the others find what they expect.
    make_collection(
        home / "collections" / "written",
        [
            {
                "id": f"d{n}",
                "title": f"The {word} {n}",
                "text": f"A {word} near the city, number {n}.",
                "kind": word,
            }
            for n, word in enumerate(subjects[:3] * 4)
        ],
    )
    evil = {"id": EVIL[:40], "title": EVIL, "text": EVIL, "topic": EVIL, "=cmd": EVIL, "**col**": EVIL}
    make_collection(home / "collections" / "evil", [evil])
    return home


@pytest.fixture(scope="session")
def server(home):
    environment = os.environ | {"LLM2COMP_HOME": str(home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_words.py")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=(home / "server.log").open("w"),
        text=True,
        start_new_session=True,
    )
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), (home / "server.log").read_text()
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def chromium():
    executable = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    with sync_playwright() as playwright:
        expect.set_options(timeout=_PATIENCE_MS)
        yield playwright.chromium.launch(executable_path=executable, args=["--disable-gpu", "--no-sandbox"])


@pytest.fixture
def open_page(chromium, server):
    """Opens a path of the app in a fresh browser profile; at the end nothing may have complained or gone out."""
    contexts, faults = [], []

    def open_page(path="/", **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.on("request", lambda request: faults.extend(_gone_out(request.url, server)))
        page.on("console", lambda message: faults.extend(_complaint(message)))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(server + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def choose():
    """Picks an option of a list; a list that opens while the page still moves closes again, so it is opened anew."""

    def choose(page, box_name, option_name):
        expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
        option = page.get_by_role("option", name=option_name)
        for _ in range(4):
            page.get_by_role("combobox", name=box_name).click()
            with contextlib.suppress(TimeoutError):
                option.first.wait_for(timeout=3_000)
                break
        option.first.click()

    return choose


def _gone_out(url, server):
    outside = not url.startswith(("data:", "blob:")) and urlsplit(url).netloc != urlsplit(server).netloc
    return [f"request to {url}"] if outside else []


def _complaint(message):
    # On a page below "/", Streamlit first asks for its own files below that page; the 404 is its way to find them.
    is_probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
    return [f"console: {message.text}"] if message.type == "error" and not is_probe else []

"""Takes the pictures of the documentation from a real collection, with the Chromium of this machine.

    python benchmarks/pictures.py COLLECTION OUT [--query TEXT] [--filter TEXT]

Writes OUT/<page>.png for every page. The collection should have a map (`llm2comp map`) and topics (`llm2comp topics`).
The pages show the folder of a collection and every collection that is known, so it is first copied into a library of its
own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SERVE = "from app.server import serve; serve([], port=0, open_browser=False)"
_WIDTH_PX, _HEIGHT_PX = 1440, 1000


def main() -> int:
    """Takes the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--query", default="how do language models learn to use tools")
    parser.add_argument("--filter", default="date >= 2025-06-01 and categories contains 'cs.CL'")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="library") as home:
        _copy_collection(arguments.collection, Path(home) / "collections")
        with _server(Path(home)) as process:
            try:
                _take(process.stdout.readline().strip(), arguments)
            finally:
                process.terminate()
    return 0


def _copy_collection(collection: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copytree(collection, folder / collection.resolve().name)


def _server(home: Path) -> subprocess.Popen:
    environment = os.environ | {"LLM2COMP_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE], env=environment, stdout=subprocess.PIPE, text=True
    )


def _take(address: str, arguments: argparse.Namespace) -> None:
    executable = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--disable-gpu", "--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": _WIDTH_PX, "height": _HEIGHT_PX}, color_scheme=arguments.scheme
        )
        page.set_default_timeout(180_000)  # the first question loads the encoder
        for name, path, sign in _pages(arguments):
            page.goto(address + path)
            page.locator(sign).first.wait_for()
            _shoot(page, arguments.out / f"{name}.png")
        browser.close()


def _pages(arguments: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Of each picture: its name, the path of the page, and what is there once the page is."""
    question = {"q": arguments.query, "f": arguments.filter}
    return [
        ("search", f"/?{urlencode(question)}", ".st-key-text mark"),
        ("map", f"/map?{urlencode({'cb': 'topic', 'q': arguments.query})}", "canvas[data-ready]"),
        ("topics", "/topics", "[data-testid=stDataFrame]"),
        ("health", "/health", ".st-key-verdict"),
        ("corpora", "/corpora", "[data-testid=stMetric]"),
    ]


def _shoot(page: Page, file: Path) -> None:
    app = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    app.wait_for()
    page.wait_for_timeout(3_000)  # tables and charts draw themselves a moment after they are there
    page.screenshot(path=file, full_page=True)
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    raise SystemExit(main())

"""Takes the pictures of the README from a real collection, with the Chromium of this machine.

    python benchmarks/pictures.py COLLECTION OUT [--query TEXT] [--filter TEXT]

Writes OUT/search.png and OUT/corpora.png. The pages show the folder of a collection and every collection that is known,
so the collection is first copied into a library of its own.
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
    """Takes both pictures; returns the exit code."""
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
        page.goto(f"{address}/?{urlencode({'q': arguments.query, 'f': arguments.filter})}")
        page.locator(".st-key-text mark").first.wait_for()
        _shoot(page, arguments.out / "search.png")
        page.goto(f"{address}/corpora")
        page.get_by_text("Documents").first.wait_for()
        _shoot(page, arguments.out / "corpora.png")
        browser.close()


def _shoot(page: Page, file: Path) -> None:
    page.wait_for_timeout(2_000)  # tables draw themselves a moment after they are there
    page.screenshot(path=file, full_page=True)
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    raise SystemExit(main())

"""Bad days in a real browser: the encoder gone, a job killed, a disk full, a link gone stale; always a sentence."""

import errno
import json
import os
import shutil
import signal

import pytest
from playwright.sync_api import expect

from app import library
from encoder.errors import InputError
from indexer.bundle import export_bundle
from indexer.search import Searcher
from indexer.selection import Selection
from indexer.topics import build_topics
from tests.browser.walking import plant, planted_rows, press, settle

PAGES = ["", "map", "topics", "health", "corpora"]


@pytest.fixture
def shared(home):
    path = home / "collections" / "zz_bad_days"
    yield plant(path, planted_rows(6))
    shutil.rmtree(path, ignore_errors=True)


def heading(page, name):
    expect(page.get_by_role("heading", name=(name or "search").capitalize(), exact=True)).to_be_visible()
    settle(page)
    expect(page.get_by_text("could not be drawn")).to_have_count(0)


@pytest.mark.parametrize("name", PAGES)
def test_the_encoder_is_gone(shared, open_page, name):
    file = shared.path / "collection.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"encoder_spec": "/gone/encoder"}))
    page = open_page(f"/{name}?c=zz_bad_days&q=flour")
    heading(page, name)
    if name == "":
        expect(page.get_by_text("This did not work").first).to_be_visible()
        press(page, "Search by words instead, without the encoder")
        expect(page.locator(".st-key-text mark").first).to_be_visible()


def test_a_job_that_is_killed_says_so_and_can_be_tried_again(shared, home, open_page):
    page = open_page("/topics?c=zz_bad_days")
    page.get_by_role("button", name="Find topics").first.click()
    folder = None
    for _ in range(300):
        folder = next(
            (path for path in (home / "jobs").glob("*/job.json") if "zz_bad_days" in path.read_text()), None
        )
        pid = json.loads(folder.read_text()).get("pid") if folder else None
        if pid:
            break
        page.wait_for_timeout(20)
    os.killpg(pid, signal.SIGKILL)
    expect(page.get_by_text("Topics could not be found")).to_be_visible(timeout=30_000)
    settle(page)
    page.locator(".st-key-retry_finding button").first.click()
    expect(page.locator(".st-key-topic h3").first).to_be_visible(timeout=90_000)


@pytest.mark.parametrize("name", PAGES)
def test_a_stale_link_says_what_is_gone(shared, open_page, name):
    run = build_topics(Searcher(shared), method="kmeans", count=3)
    shutil.rmtree(shared.path / "derived" / f"topics-{run.id}")
    link = f"c=zz_bad_days&v=9&q=flour&ti={run.id}&t=1&map=01234567&pl=AAAAAAAACQAJAAkA&s=nosuchset"
    page = open_page(f"/{name}?{link}")
    heading(page, name)
    for sentence in (
        "This link was made of version 9; you see version 1.",
        f"The topics of this link, {run.id}, are gone.",
        "The map of this link, 01234567, is gone, and its outline with it.",
        "The saved set of this link, nosuchset, is gone.",
    ):
        expect(page.get_by_text(sentence)).to_be_visible()


def test_a_link_made_with_another_encoder_stops_and_goes_on_by_a_click(shared, open_page):
    page = open_page("/?c=zz_bad_days&q=flour&e=01234567")
    expect(page.get_by_text("this link was made with encoder 01234567").first).to_be_visible()
    expect(page.locator(".st-key-text")).to_have_count(0)
    press(page, "Go on with the encoder of now")
    expect(page.locator(".st-key-text mark").first).to_be_visible()


@pytest.mark.parametrize("name", PAGES)
def test_damaged_builds_and_journals_break_no_page(shared, open_page, name):
    run = build_topics(Searcher(shared), method="kmeans", count=3)
    (shared.path / "derived" / f"topics-{run.id}" / "topics.json").write_text("[" * 5_000)
    (shared.path / "views").mkdir(exist_ok=True)
    for journal in ("tags", "notes", "sets", "searches", "topics"):
        (shared.path / "views" / f"{journal}.jsonl").write_bytes(b"\xff\x00{]\n" * 50)
    page = open_page(f"/{name}?c=zz_bad_days&q=flour")
    heading(page, name)


def test_a_disk_that_fills_during_an_export_leaves_nothing_half_written(shared, tmp_path, monkeypatch):
    """Below the page, which shows the sentence: the writer of the bundle meets a full disk at its second table."""
    from indexer import bundle

    written = []

    def full(searcher, target, *rest, **more):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(target)
        target.write_bytes(b"half a table")

    monkeypatch.setattr(bundle, "write_rows", full)
    target = tmp_path / "out.zip"
    with pytest.raises(InputError, match="the bundle cannot be written: No space left on device"):
        export_bundle(Searcher(shared), Selection(), target)
    assert list(tmp_path.iterdir()) == []


def test_a_file_too_large_for_the_browser_is_refused_with_the_command_for_it(open_page, home, tmp_path):
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.write(b"id,body\n")
        stream.truncate(library.MOST_UPLOAD_MB * 2**20 + 1)  # holes: nothing lies on disk
    page = open_page("/corpora")
    page.get_by_role("tab", name="Upload").click()
    sent = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "PUT" else None)
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(large)
    expect(page.get_by_text(f"File must be {library.MOST_UPLOAD_MB}.0MB or smaller.")).to_be_visible()
    expect(page.get_by_text("A larger file is too large for the browser")).to_be_visible()
    expect(page.get_by_text(f"llm2comp index FILE --into {home / 'collections' / 'NAME'}")).to_be_visible()
    settle(page)
    assert sent == []
    good = {
        "name": "owls.csv",
        "mimeType": "text/csv",
        "buffer": b"id,body\n" + b"1,An owl sleeps all day.\n" * 9,
    }
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(good)
    expect(page.get_by_role("button", name="Start the import")).to_be_visible()

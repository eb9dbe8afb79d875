"""The corpora page in a real browser: cards, an upload that becomes a corpus, a job that is stopped and goes on."""

import json
import time

import pytest
from playwright.sync_api import expect


def test_a_card_leads_to_its_search(open_page):
    page = open_page("/corpora")
    card = page.locator(".st-key-card_places")
    expect(card.get_by_text("Ready").first).to_be_visible()
    expect(card.get_by_text("36", exact=True).first).to_be_visible()
    card.get_by_role("button", name="Search").click()
    expect(page.locator(".st-key-query input")).to_be_visible()
    page.wait_for_url(lambda url: "c=places" in url)


@pytest.mark.slow
def test_an_uploaded_file_becomes_a_corpus_that_is_searched(open_page, home):
    before = set((home / "uploads").rglob("*.csv"))  # other tests upload to the same server
    page = open_page("/corpora")
    page.get_by_role("tab", name="Upload").click()
    lines = [
        "id,title,body",
        *(f"{n},Owl {n},The owl number {n} sleeps all day in a hollow tree." for n in range(8)),
    ]
    file = {"name": "../../My owls.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(file)
    name = page.get_by_label("Name of the corpus")
    name.fill("owls")
    name.press("Enter")
    page.get_by_role("button", name="Start the import").click()
    expect(page.get_by_text("Import owls")).to_be_visible()
    expect(page.locator(".st-key-card_owls")).to_be_visible(timeout=120_000)
    assert [path.name for path in set((home / "uploads").rglob("*.csv")) - before] == ["My owls.csv"]
    page.locator(".st-key-card_owls").get_by_role("button", name="Search").click()
    field = page.locator(".st-key-query input")
    field.fill("where do owls sleep")
    field.press("Enter")
    expect(page.locator(".st-key-title .title")).to_contain_text("Owl", timeout=60_000)


def test_a_job_left_by_a_killed_server_is_lost_and_can_be_removed(open_page, home):
    folder = home / "jobs" / "20200101-000000-abc"
    folder.mkdir(parents=True)
    job = {"format": 1, "id": folder.name, "title": "Import **x** <b>y</b>", "arguments": ["index", "nosuch"]}
    job |= {"into": "x", "pid": 2**22 + 1, "process_start": "1", "started_at": time.time() - 900}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "log.txt").write_text("reading\n![i](http://evil.example/log.png)\n")
    page = open_page("/corpora")
    shown = page.locator(f".st-key-job_{folder.name}")
    expect(shown.get_by_text("Lost").first).to_be_visible()
    title = shown.locator("strong").first.inner_text()
    assert title.replace("\u2060", "") == "Import **x** <b>y</b>"
    shown.get_by_role("button", name="Remove").click()
    expect(shown).to_have_count(0)
    assert not folder.exists()

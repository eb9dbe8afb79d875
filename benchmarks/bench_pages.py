"""How long does each page of the front end take after a click, and how many bytes does it send?"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode

import report
from front_end import FrontEnd, chromium_options, draw_queries, front_end, size_line
from machine import describe
from visitor import Run, Visitor

_READY_S, _ANSWER_S = 1.5, 0.3
_MOST_MESSAGE, _MOST_AGAIN = 6_500_000, 10_000
_SETTLED = """title => document.querySelector('h1')?.innerText === title
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
  && !document.querySelector('[data-stale=true]')"""
# What has to be there before a page counts as ready, beside its title and the end of its run.
_MARKS = {
    "Search": "[data-testid=stTextInput] input",
    "Map": "canvas.over[data-ready=true]",
    "Topics": "[data-testid=stDataFrame] canvas",
    "Health": ".js-plotly-plot .main-svg",
    "Corpora": "[data-testid=stMetric]",
}


@dataclass
class Figures:
    """What was measured of one page: seconds and bytes of runs."""

    first: Run | None = None
    again: list[Run] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collection", type=Path, metavar="DIR", help="(default: a small one, made)")
    parser.add_argument("--rounds", type=int, default=7, help="warm visits of each page (default: 7)")
    parser.add_argument("--queries", type=int, default=100, help="different ones (default: 100)")
    parser.add_argument("--no-browser", action="store_true", help="only sessions without a browser")
    report.add_out(parser, "pages")
    args = parser.parse_args()
    head = describe("llm2comp", "streamlit", "playwright", "plotly")
    with tempfile.TemporaryDirectory() as temporary, front_end(args.collection, Path(temporary)) as served:
        size = size_line(served.collection)
        queries = draw_queries(served.collection, args.queries + 1)
        pages = asyncio.run(_visit_all(served, queries[0], args.rounds))
        asked = asyncio.run(_ask_all(served, queries[1:]))
        clicks = {} if args.no_browser else _click_all(served, args.rounds)
    note = (
        f"A collection of {size}, with a map and topics. Sessions without a browser say what the server does: from asking "
        "for a page to the end of its run, the pages in this order in a fresh server (first), then again (median of "
        f"{args.rounds}, while nothing else is asked). An unchanged rerun is the same page run again by somebody who "
        "looks at it. Bytes are those of messages before the socket compresses them."
    )
    report.publish(
        "The pages",
        [head, note, _server_table(pages), _query_table(asked), _browser_table(clicks)],
        args.out,
    )


async def _visit_all(served: FrontEnd, query: str, rounds: int) -> dict[str, Figures]:
    asked = urlencode({"q": query})
    visits = {
        "Search, nothing asked": ("", ""),
        "Map": ("map", ""),
        "Topics": ("topics", ""),
        "Health": ("health", ""),
        "Corpora": ("corpora", ""),
        "Search, the first query of all": ("", asked),
        "Map with a query": ("map", asked),
    }
    found: dict[str, Figures] = {}
    for name, (page, query_string) in visits.items():
        figures = found[name] = Figures()
        async with Visitor(served.address) as visitor:
            figures.first = await visitor.open(page, query_string)
            await visitor.rerun()  # what the first run changed in the address
            for _ in range(rounds):
                before = served.processor_s()
                figures.again.append(await visitor.rerun())
                after = served.processor_s()
                if before is not None and after is not None:
                    figures.processor_s.append(after - before)
        figures.faults = [fault for run in (figures.first, *figures.again) for fault in run.faults]
    return found


async def _ask_all(served: FrontEnd, queries: list[str]) -> list[Run]:
    async with Visitor(served.address) as visitor:
        await visitor.open("", "")
        await visitor.search("one to begin with")
        return [await visitor.search(query) for query in queries]


def _click_all(served: FrontEnd, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds from the click to the page, and the largest message, by page; the first round warms up."""
    from playwright.sync_api import sync_playwright

    found: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "bytes": []} for name in _MARKS}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**chromium_options())
        page = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        received: list[int] = []
        page.on(
            "websocket",
            lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
        )
        page.goto(served.address)
        _wait_for(page, "Search")
        for turn in range(rounds + 1):
            for name in ("Map", "Topics", "Health", "Corpora", "Search"):
                received.clear()
                began = time.perf_counter()
                page.get_by_role("link", name=name, exact=True).click()
                _wait_for(page, name)
                spent = time.perf_counter() - began
                found[name]["bytes"].append(max(received, default=0))
                if turn:
                    found[name]["seconds"].append(spent)
                page.wait_for_timeout(500)  # the browser's own tidying up is no part of the next click
        chromium.close()
    return found


def _wait_for(page: Any, name: str) -> None:
    page.wait_for_function(_SETTLED, arg=name, timeout=120_000)
    page.locator(_MARKS[name]).first.wait_for(timeout=60_000)


def _server_table(pages: dict[str, Figures]) -> str:
    header = ["page", "first in a fresh server", "again", "longest", "processor time", "bytes at first", "largest message",
              "unchanged rerun", "largest message", "errors", "targets"]  # fmt: skip
    return report.table(header, (_server_row(name, figures) for name, figures in pages.items()))


def _server_row(name: str, figures: Figures) -> list[str]:
    assert figures.first is not None
    seconds = [run.seconds for run in figures.again]
    largest = max(run.largest[1] for run in (figures.first, *figures.again))
    again = max(run.largest[1] for run in figures.again)
    reached = median(seconds) <= _READY_S and largest <= _MOST_MESSAGE and again <= _MOST_AGAIN
    processor = 1000 * sum(figures.processor_s) / len(figures.processor_s) if figures.processor_s else None
    return [
        name, f"{figures.first.seconds:.2f} s", f"{1000 * median(seconds):.0f} ms", f"{1000 * max(seconds):.0f} ms",
        report.number(processor, 0, "ms"), f"{sum(figures.first.sizes) / 1e3:.1f} kB", f"{largest / 1e3:.1f} kB",
        f"{median(sum(run.sizes) for run in figures.again) / 1e3:.1f} kB", f"{again / 1e3:.1f} kB",
        str(len(figures.faults)), f"<= {_READY_S} s, 6.5 MB, 10 kB a message: {report.verdict(reached)}",
    ]  # fmt: skip


def _query_table(asked: list[Run]) -> str:
    seconds = [run.seconds for run in asked]
    faults = sum(bool(run.faults) or "dataframe" not in run.elements for run in asked)
    row = [
        f"{len(asked)} different ones", f"{1000 * median(seconds):.0f} ms",
        f"{1000 * quantiles(seconds, n=20)[-1]:.0f} ms", f"{1000 * max(seconds):.0f} ms",
        f"{median(sum(run.sizes) for run in asked) / 1e3:.1f} kB", str(faults),
        f"<= {1000 * _ANSWER_S:.0f} ms: {report.verdict(median(seconds) <= _ANSWER_S)}",
    ]  # fmt: skip
    header = [
        "a query, to the end of the run with its hits drawn",
        "median",
        "95 %",
        "longest",
        "bytes",
        "errors",
        "target",
    ]
    return report.table(header, [row])


def _browser_table(clicks: dict[str, dict[str, list[float]]]) -> str:
    if not clicks:
        return "In a browser: not measured (--no-browser)."
    note = (
        "In headless Chromium, 1440 x 1000: from a click in the navigation until the page has its title, nothing of the page "
        "before is left, its run has ended and its main thing (map, table, chart) is drawn. Warm."
    )
    rows = [
        [
            name, f"{median(found['seconds']):.2f} s", f"{max(found['seconds']):.2f} s",
            f"{max(found['bytes']) / 1e3:.1f} kB",
            f"<= {_READY_S} s: {report.verdict(median(found['seconds']) <= _READY_S)}",
        ]
        for name, found in clicks.items()
    ]  # fmt: skip
    return note + "\n\n" + report.table(["page", "ready", "longest", "largest message", "target"], rows)


if __name__ == "__main__":
    main()

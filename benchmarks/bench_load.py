"""Do many people searching at once get their answers, and does the server's memory stay flat?"""

import argparse
import asyncio
import random
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode

import report
from front_end import FrontEnd, chromium_options, draw_queries, front_end, size_line
from machine import describe
from visitor import Visitor

_P95_S = 2.0
_MOST_GROWTH = 0.05  # of the memory that the server has once what it keeps for all has filled up
# Caches with a limit fill with use: 65,536 stems of words (12 MiB), and what encoding keeps (27 MiB after 200 texts).
_FILLED = 500
_MEMORY_EVERY_S = 1.0
_ANSWERED = """query => new URL(location).searchParams.get('q') === query
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
  && document.querySelector('[data-testid=stDataFrame] canvas')
  && !document.querySelector('[data-stale=true]')"""


@dataclass
class Load:
    """What one round of queries brought.

    Attributes:
        seconds: of each query, by kind of person.
        faults: sentences; empty when all went well.
        memory: queries answered so far and resident bytes, every second.
        spent_s: of the whole round.
        processor_s: of the server meanwhile.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"session": [], "browser": []})
    faults: list[str] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    spent_s: float = 0.0
    processor_s: float | None = None

    @property
    def answered(self) -> int:
        return sum(map(len, self.seconds.values()))


def main() -> None:
    """Measures and prints, or writes, the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collection", type=Path, metavar="DIR", help="(default: a small one, made)")
    parser.add_argument("--people", type=int, default=20, help="at once, browsers among them (default: 20)")
    parser.add_argument("--browsers", type=int, default=2, help="of them in real browsers (default: 2)")
    parser.add_argument(
        "--queries", type=int, default=1000, help="of all together, all different (default: 1000)"
    )
    parser.add_argument(
        "--pause", type=float, default=3.0, metavar="S", help="to read an answer, mean (default: 3)"
    )
    parser.add_argument(
        "--hurried", type=int, default=200, help="further queries without any pause (default: 200)"
    )
    report.add_out(parser, "load")
    args = parser.parse_args()
    head = describe("llm2comp", "streamlit", "websockets", "playwright")
    with tempfile.TemporaryDirectory() as temporary, front_end(args.collection, Path(temporary)) as served:
        size = size_line(served.collection)
        queries = draw_queries(served.collection, args.queries + args.hurried + args.people)
        with_pause, hurried = asyncio.run(_measure(served, queries, args))
    note = (
        f"A collection of {size}. {args.people} people, {args.browsers} of them in headless Chromium pages and the others "
        "sessions over Streamlit's socket that send and receive what a browser does and draw nothing. Every query is another "
        f"one and goes through the search page whole: answered, drawn, received. A person reads {args.pause:g} s on average "
        "(drawn evenly from half of it to one and a half) before the next query; then the same without any pause, which "
        "nobody does, to see the limit. People, browsers and server share the processor. An error is a query without a "
        "table of hits, an error on the page, or a run that did not end well; memory is that of the server: at first is when "
        f"everybody has had one answer, and flat means from query {_FILLED} on, when caches that have a limit are nearly full."
    )
    rows = [_row("with pauses", with_pause, is_target=True), _row("without", hurried, is_target=False)]
    header = ["people", "queries", "errors", "a second", "median", "95 %", "longest", "95 % in browsers", "processor time a query",
              "target"]  # fmt: skip
    parts = [head, note, report.table(header, rows), _memory_table(with_pause, hurried)]
    faults = [*with_pause.faults, *hurried.faults]
    if faults:
        parts.append("Errors:\n\n" + "\n".join(f"- {fault}" for fault in faults[:10]))
    report.publish("Many people at once", parts, args.out)


async def _measure(served: FrontEnd, queries: list[str], args: argparse.Namespace) -> tuple[Load, Load]:
    """Everybody comes, has one answer, and then asks until the queries are used up; with pauses, then without."""
    first, rest = queries[: args.people], queries[args.people :]
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(_Session(served.address))
            for _ in range(args.people - args.browsers)
        ]
        if args.browsers:
            from playwright.async_api import async_playwright

            playwright = await stack.enter_async_context(async_playwright())
            chromium = await playwright.chromium.launch(**chromium_options())
            people += [await _Browser.open(chromium, served.address) for _ in range(args.browsers)]
        for person, query in zip(people, first, strict=True):
            await person.ask(query)
        paused = await _round(served, people, rest[: args.queries], args.pause)
        return paused, await _round(served, people, rest[args.queries :], 0.0)


class _Session:
    """A person without a browser."""

    kind = "session"

    def __init__(self, address: str) -> None:
        self._visitor = Visitor(address)

    async def __aenter__(self) -> "_Session":
        await self._visitor.__aenter__()
        await self._visitor.open("", "")
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._visitor.__aexit__(*error)

    async def ask(self, query: str) -> list[str]:
        """Asks, and says what was wrong with the answer."""
        run = await self._visitor.search(query)
        missing = [] if "dataframe" in run.elements else [f"no table of hits for {query!r}"]
        is_other = urlencode({"q": query}) not in self._visitor.query_string
        return [*run.faults, *missing, *([f"the answer is not to {query!r}"] if is_other else [])]


class _Browser:
    """A person in a browser."""

    kind = "browser"

    def __init__(self, page: Any) -> None:
        self._page = page
        self._seen: list[str] = []
        page.on("pageerror", lambda error: self._seen.append(str(error)))

    @classmethod
    async def open(cls, chromium: Any, address: str) -> "_Browser":
        """A browser with the search page."""
        context = await chromium.new_context(viewport={"width": 1440, "height": 1000})
        person = cls(await context.new_page())
        await person._page.goto(address)
        await person._page.get_by_role("searchbox").first.wait_for(timeout=120_000)
        return person

    async def ask(self, query: str) -> list[str]:
        """Asks, and says what was wrong with the answer."""
        from playwright.async_api import TimeoutError as Late

        box = self._page.get_by_role("searchbox").first
        await box.fill(query)
        await box.press("Enter")
        try:
            await self._page.wait_for_function(_ANSWERED, arg=query, timeout=120_000)
        except Late:
            return [f"no answer to {query!r} in a browser"]
        seen, self._seen = self._seen, []
        return seen


async def _round(served: FrontEnd, people: list[Any], queries: list[str], pause_s: float) -> Load:
    load, waiting, draw = Load(), list(reversed(queries)), random.Random(0)
    began, used = time.perf_counter(), served.processor_s()
    watch = asyncio.create_task(_watch(served, load))

    async def asks(person: Any) -> None:
        while waiting:
            await asyncio.sleep(pause_s * draw.uniform(0.5, 1.5))
            if not waiting:
                return
            query, at = waiting.pop(), time.perf_counter()
            load.faults += await person.ask(query)
            load.seconds[person.kind].append(time.perf_counter() - at)

    await asyncio.gather(*map(asks, people))
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    load.spent_s = time.perf_counter() - began
    if used is not None and (now := served.processor_s()) is not None:
        load.processor_s = now - used
    return load


async def _watch(served: FrontEnd, load: Load) -> None:
    while True:
        if (memory := served.memory()) is not None:
            load.memory.append((load.answered, memory))
        await asyncio.sleep(_MEMORY_EVERY_S)


def _row(name: str, load: Load, *, is_target: bool) -> list[str]:
    every = [second for kind in load.seconds.values() for second in kind]
    reached = _late(every) <= _P95_S and not load.faults
    processor = None if load.processor_s is None else 1000 * load.processor_s / len(every)
    return [
        name, str(len(every)), str(len(load.faults)), f"{len(every) / load.spent_s:.1f}", f"{median(every):.2f} s",
        f"{_late(every):.2f} s", f"{max(every):.2f} s",
        f"{_late(load.seconds['browser']):.2f} s" if load.seconds["browser"] else report.MISSING,
        report.number(processor, 0, "ms"),
        f"no error, 95 % <= {_P95_S:g} s: {report.verdict(reached)}" if is_target else "",
    ]  # fmt: skip


def _late(seconds: list[float]) -> float:
    """What 95 % of them do not exceed."""
    return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


def _memory_table(*loads: Load) -> str:
    samples = [sample for load in loads for sample in load.memory]
    if not samples:
        return "Memory: not measured (no /proc here)."
    import numpy as np

    shift = loads[0].answered
    at = np.array([done for done, _ in loads[0].memory] + [shift + done for done, _ in loads[1].memory])
    sizes = np.array([size for _, size in samples]) / 2**20
    later, filled = at >= at[-1] / 2, _place_filled(at.tolist())
    slope = 1000 * np.polyfit(at[later], sizes[later], 1)[0] if np.ptp(at[later]) else 0.0
    growth = sizes[-1] / sizes[filled] - 1
    row = [
        f"{sizes[0]:,.0f} MiB", f"{sizes[filled]:,.0f} MiB", f"{sizes[-1]:,.0f} MiB", f"{sizes.max():,.0f} MiB",
        f"{100 * (sizes[-1] / sizes[0] - 1):+.1f} %", f"{100 * growth:+.1f} %", f"{slope:+.1f} MiB",
        f"<= {100 * _MOST_GROWTH:.0f} % more from then on: {report.verdict(bool(growth <= _MOST_GROWTH))}",
    ]  # fmt: skip
    header = ["memory at first", f"at query {at[filled]:,}", "at the end", "most", "growth in all", "from then on",
              "a thousand queries add, second half", "target"]  # fmt: skip
    return report.table(header, [row])


def _place_filled(answered: list[int]) -> int:
    """Number of the sample from which memory should be flat; the first one where there are too few queries to tell.

    Args:
        answered: queries so far at each sample, ascending.
    """
    if answered[-1] < 2 * _FILLED:
        return 0
    return next(place for place, done in enumerate(answered) if done >= _FILLED)


if __name__ == "__main__":
    main()

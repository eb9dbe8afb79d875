"""One person at the front end without a browser: a Streamlit session over its socket, and what each run of a page costs.

Sends what Streamlit's own page sends: the page, the address, the widgets' values, and which large elements it still has,
so that the server leaves those out. Draws nothing.
"""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

_MOST_MESSAGE = 64 * 1024 * 1024
_KEPT_RUNS = 2  # Streamlit's page forgets an element that two runs did not show
_ERROR_MARK = ":material/error:"  # the first line of what a page shows instead of a traceback
SEARCH_FIELD = "Search"


@dataclass
class Run:
    """What came back from one run of a page.

    Attributes:
        seconds: from asking to the end of the run.
        sizes: bytes of each message.
        faults: what would have been shown as an error, and a run that did not end well.
        elements: kind of each element to its number.
        largest: kind and bytes of the largest message.
        fields: label of each text field to its widget's id.
    """

    seconds: float = 0.0
    sizes: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    elements: dict[str, int] = field(default_factory=dict)
    largest: tuple[str, int] = ("", 0)
    fields: dict[str, str] = field(default_factory=dict)


class Visitor:
    """A session; to be used in an `async with`.

    Args:
        address: of the front end, as it prints it.
        patience_s: a run that takes longer is a fault.

    Attributes:
        query_string: what the address bar would hold.
        fields: label of each text field seen so far to its widget's id.
    """

    def __init__(self, address: str, *, patience_s: float = 120.0) -> None:
        self._address = address.replace("http://", "ws://") + "/_stcore/stream"
        self._patience_s = patience_s
        self._socket: Any = None
        self.query_string = ""
        self._page = ""
        # Hash of a large element to it and the run that last showed it.
        self._kept: dict[str, tuple[Any, int]] = {}
        self._runs = 0
        self._widgets: dict[str, str] = {}
        self.fields: dict[str, str] = {}

    async def __aenter__(self) -> "Visitor":
        from websockets.asyncio.client import connect

        self._socket = await connect(self._address, subprotocols=["streamlit"], max_size=_MOST_MESSAGE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def open(self, page: str, query_string: str | None = None) -> Run:
        """Shows a page by its name, with the address as it is or another one."""
        if query_string is not None:
            self.query_string = query_string
        self._page, self._widgets = page, {}
        return await self.rerun()

    async def search(self, text: str) -> Run:
        """Types into the search field and presses Enter."""
        self._widgets[self.fields[SEARCH_FIELD]] = text
        return await self.rerun()

    async def rerun(self) -> Run:
        """Has the page run again, with nothing else changed."""
        import asyncio

        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        state = message.rerun_script
        state.page_name, state.query_string = self._page, self.query_string
        state.cached_message_hashes.extend(self._kept)
        state.context_info.timezone, state.context_info.locale = "UTC", "en-US"
        state.context_info.color_scheme = "light"
        for identifier, text in self._widgets.items():
            state.widget_states.widgets.add(id=identifier, string_value=text)
        run, began = Run(), time.perf_counter()
        self._runs += 1
        try:
            await self._socket.send(message.SerializeToString())
            async with asyncio.timeout(self._patience_s):
                await self._receive(run)
        except TimeoutError:
            run.faults.append(f"no end within {self._patience_s:.0f} s")
        run.seconds = time.perf_counter() - began
        self.fields |= run.fields
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > self._runs - _KEPT_RUNS}
        return run

    async def _receive(self, run: Run) -> None:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        while True:
            received = await self._socket.recv()
            message = ForwardMsg.FromString(received)
            run.sizes.append(len(received))
            kind = message.WhichOneof("type")
            if kind == "ref_hash":
                self._kept[message.ref_hash] = (self._kept[message.ref_hash][0], self._runs)
                message = self._kept[message.ref_hash][0]
            elif message.metadata.cacheable:
                self._kept[message.hash] = (message, self._runs)
            if message.WhichOneof("type") == "delta":
                kind = _read_delta(message.delta, run)
            if len(received) > run.largest[1]:
                run.largest = (str(kind), len(received))
            if kind == "page_info_changed":
                self.query_string = message.page_info_changed.query_string
            elif kind == "script_finished":
                if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue  # the page asked for another run itself
                if message.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
                    run.faults.append(ForwardMsg.ScriptFinishedStatus.Name(message.script_finished))
                return


def _read_delta(delta: Any, run: Run) -> str:
    """Notes what an element is; returns its kind."""
    if delta.WhichOneof("type") != "new_element":
        return str(delta.WhichOneof("type"))
    element = delta.new_element
    kind = str(element.WhichOneof("type"))
    run.elements[kind] = run.elements.get(kind, 0) + 1
    if kind == "text_input":
        run.fields[element.text_input.label] = element.text_input.id
    elif kind == "exception":
        run.faults.append(element.exception.message)
    elif kind == "alert" and element.alert.format == element.alert.ERROR:
        run.faults.append(element.alert.body)
    elif kind == "markdown" and element.markdown.body.startswith(_ERROR_MARK):
        run.faults.append(element.markdown.body)
    return kind

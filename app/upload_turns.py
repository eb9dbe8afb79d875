"""How many large uploads arrive at once: each lies in memory, twice for a moment; plain ASGI, no Streamlit."""

import asyncio

from app.security import AsgiApp, Message, Receive, Scope, Send

AT_ONCE = 2
_SMALL_BYTES = 1 << 20
_WAIT_S = 600.0  # for a turn: two others that come over a slow line
_STALLED_S = 60.0  # without a byte, as of a laptop that was closed


class _StalledError(TimeoutError):
    """Nothing has come for too long; an OSError, for which the parser of forms lets go of what has come."""


class UploadTurns:
    """Lets few large uploads arrive at a time; the next waits unread, and one that stalls gives up its turn.

    Whoever waits is held back by the network: hardly any of the file is sent before it is read.

    Args:
        app: what answers.
        at_once: how many large uploads it sees at a time.
        wait_s: how long one waits for its turn before it is refused.
        stalled_s: how long nothing may come of one before it is refused.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        at_once: int = AT_ONCE,
        wait_s: float = _WAIT_S,
        stalled_s: float = _STALLED_S,
    ) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(at_once)
        self._wait_s, self._stalled_s = wait_s, stalled_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on: at once, or an upload of more than a megabyte in its turn."""
        if not _is_large_upload(scope):
            await self._app(scope, receive, send)
            return
        try:
            await asyncio.wait_for(self._turns.acquire(), self._wait_s)
        except TimeoutError:
            await _refuse(
                send, 503, "Too many files are being uploaded at this moment; try again in some minutes."
            )
            return
        try:
            await self._in_turn(scope, receive, send)
        finally:
            self._turns.release()

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answered = False

        async def receive_soon() -> Message:
            try:
                return await asyncio.wait_for(receive(), self._stalled_s)
            except TimeoutError as error:
                raise _StalledError from error

        async def send_noted(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._app(scope, receive_soon, send_noted)
        except _StalledError:
            if not is_answered:
                await _refuse(send, 408, "Nothing more of the file has come for a minute; try again.")


def _is_large_upload(scope: Scope) -> bool:
    """Whether a request brings a file that is not known to be small."""
    if scope["type"] != "http" or scope["method"] != "PUT" or "/_stcore/upload_file/" not in scope["path"]:
        return False
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return not (length.isdigit() and int(length) <= _SMALL_BYTES)


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Large uploads take turns; small ones and all other requests do not; a stalled one gives up its turn."""

import asyncio

import pytest

from app.upload_turns import UploadTurns

LARGE = 50 << 20


class Reader:
    """An app that reads the body of a request, and notes how many it reads at a time."""

    def __init__(self):
        self.now = self.most = self.read = 0

    async def __call__(self, scope, receive, send):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while (await receive())["more_body"]:
                await asyncio.sleep(0)
            self.read += 1
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.now -= 1


def request(length=LARGE, method="PUT", path="/_stcore/upload_file/session/file", kind="http"):
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": kind, "method": method, "path": path, "headers": headers}


async def answered(app, scope, chunks=5, stalls=False):
    """The status and the body of the answer."""
    left, sent = chunks, []

    async def receive():
        nonlocal left
        await asyncio.sleep(0)
        if stalls:
            await asyncio.Event().wait()
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()


def together(app, scopes, **how):
    async def run():
        return await asyncio.gather(*(answered(app, scope, **how) for scope in scopes))

    return asyncio.run(run())


@pytest.mark.parametrize(
    "large", [request(), request(None), request((1 << 20) + 1), request(path="/x/_stcore/upload_file/a/b")]
)
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_large_uploads_arrive_few_at_a_time_and_all_in_the_end(large, at_once):
    reader = Reader()
    found = together(UploadTurns(reader, at_once=at_once), [large] * 9)
    assert reader.most == at_once
    assert reader.read == 9
    assert found == [(204, "")] * 9


@pytest.mark.parametrize(
    "other", [request(1 << 20), request(method="DELETE"), request(path="/_stcore/health"), request(0)]
)
def test_small_uploads_and_other_requests_do_not_wait(other):
    reader = Reader()
    together(UploadTurns(reader, at_once=1), [other] * 9)
    assert reader.most == 9


def test_a_length_that_is_no_number_is_taken_for_large():
    reader = Reader()
    scope = request() | {"headers": [(b"content-length", b"1e3")]}
    together(UploadTurns(reader, at_once=1), [scope] * 3)
    assert reader.most == 1


def test_who_waits_too_long_is_told_and_the_turn_goes_on():
    go_on = asyncio.Event()

    async def held(scope, receive, send):
        await go_on.wait()
        await Reader()(scope, receive, send)

    async def run():
        app = UploadTurns(held, at_once=1, wait_s=0.01)
        first = asyncio.create_task(answered(app, request()))
        await asyncio.sleep(0)
        refused = await answered(app, request())
        go_on.set()
        return refused, await first, await answered(app, request())

    refused, first, later = asyncio.run(run())
    assert refused == (
        503,
        "Too many files are being uploaded at this moment; try again in some minutes.\n",
    )
    assert first == later == (204, "")


def test_an_upload_that_stalls_is_told_and_gives_up_its_turn():
    async def run():
        reader = Reader()
        app = UploadTurns(reader, at_once=1, stalled_s=0.01)
        return await answered(app, request(), stalls=True), reader.now, await answered(app, request())

    stalled, reading, later = asyncio.run(run())
    assert stalled == (408, "Nothing more of the file has come for a minute; try again.\n")
    assert reading == 0
    assert later == (204, "")


def test_an_upload_that_fails_gives_up_its_turn():
    async def fails(scope, receive, send):
        raise ConnectionError("gone")

    async def run():
        app = UploadTurns(fails, at_once=1, wait_s=0.01)
        for _ in range(3):
            with pytest.raises(ConnectionError, match="gone"):
                await answered(app, request())

    asyncio.run(run())


def test_the_server_gives_large_uploads_turns(monkeypatch):
    import streamlit as st
    import uvicorn
    from starlette.formparsers import MultiPartParser
    from streamlit.web import bootstrap

    from app import server

    # What is set for a whole process is not left to the tests after this one.
    monkeypatch.setattr(bootstrap, "load_config_options", lambda _: None)
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 0)
    monkeypatch.setattr(server, "compute_in_one_thread", lambda: None)
    monkeypatch.setattr(uvicorn, "Server", lambda _: _Never())
    made = []
    monkeypatch.setattr(st, "App", lambda *_, middleware, **__: made.extend(each.cls for each in middleware))
    with server._listen("127.0.0.1", 0) as listener:
        server._run(listener, "", None, open_browser=False)
    assert UploadTurns in made


class _Never:
    def run(self, sockets):
        raise KeyboardInterrupt

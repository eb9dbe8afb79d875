"""Only this machine is answered, and every answer carries the headers."""

import asyncio

import pytest

from app.security import GuardMiddleware, content_policy, is_loopback


async def answer(scope, receive, send):
    headers = [(b"x-frame-options", b"ALLOWALL"), (b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"secret"})


def ask(host, kind="http"):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [] if host is None else [(b"host", host.encode())]
    asyncio.run(GuardMiddleware(answer, "policy")({"type": kind, "headers": headers}, receive, send))
    return sent


@pytest.mark.parametrize(
    "host", ["localhost:8501", "LOCALHOST", "127.0.0.1:1", "127.8.8.8", "[::1]:8501", "[::1]"]
)
def test_this_machine_is_answered_with_headers(host):
    start, body = ask(host)
    headers = dict(start["headers"])
    assert (start["status"], body["body"]) == (200, b"secret")
    assert headers[b"content-security-policy"] == b"policy"
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert len([name for name, _ in start["headers"] if name == b"x-frame-options"]) == 1


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "",
        None,
        "localhost@e",
    ],
)
def test_another_host_is_refused(host):
    start, body = ask(host)
    assert start["status"] == 421
    assert b"secret" not in body["body"]
    assert ask(host, "websocket") == [{"type": "websocket.close", "code": 1008}]


def test_the_policy_allows_the_inline_script_by_its_hash_and_nothing_elsewhere():
    policy = content_policy("<script>a()</script><script src='x'></script>")
    assert "script-src 'self' blob: 'sha256-" in policy
    assert "http" not in policy
    assert policy.count("sha256") == 1


def test_only_loopback_names_are_loopback():
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.evil.example")

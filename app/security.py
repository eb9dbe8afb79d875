"""What every HTTP answer of the front end carries, and which Host a request may name; plain ASGI, no Streamlit."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def content_policy(index_html: str) -> str:
    """The Content-Security-Policy under which nothing is fetched from elsewhere.

    The index page's own inline scripts are allowed by their hash, so a new Streamlit needs no change here.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(index_html)
    )
    return "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data: blob:",
            "style-src 'self' 'unsafe-inline'",
            f"script-src 'self' blob: {hashes}".strip(),
            "font-src 'self' data:",
            "connect-src 'self' ws: wss:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    )


class GuardMiddleware:
    """Refuses requests for another host, and adds the security headers to every answer.

    Streamlit's own `server.allowedHosts` guards the socket only: plain HTTP with a foreign Host was answered, which
    lets a page elsewhere read this one by pointing its own name at 127.0.0.1 (DNS rebinding).

    Args:
        app: what answers the requests that pass.
        policy: of `content_policy`.
        public_name: another host name that is answered; empty for none.
        is_encrypted: whether people come by https; cookies then travel in no other way.
    """

    def __init__(
        self, app: AsgiApp, policy: str, *, public_name: str = "", is_encrypted: bool = False
    ) -> None:
        self._app = app
        self._public_name = public_name.casefold()
        self._is_encrypted = is_encrypted
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]
        if is_encrypted:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, passes on or refuses one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._is_answered(_host_name(scope)):
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(self._with_headers(send), self._public_name)

    def _is_answered(self, host: str) -> bool:
        return is_loopback(host) or bool(self._public_name) and host.casefold() == self._public_name

    def _with_headers(self, send: Send) -> Send:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self._headers}
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in ours]
                if self._is_encrypted:
                    kept = [(name, _only_encrypted(name, value)) for name, value in kept]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        return send_guarded


def _host_name(scope: Scope) -> str:
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return host.rsplit("]", 1)[0] + "]" if host.startswith("[") else host.rsplit(":", 1)[0]


def _only_encrypted(name: bytes, value: bytes) -> bytes:
    """The header, with Secure added to a cookie that lacks it: Streamlit sets its sign-in cookies without."""
    if name.lower() != b"set-cookie" or b"secure" in (part.strip().lower() for part in value.split(b";")):
        return value
    return value + b"; Secure"


async def _refuse(send: Send, public_name: str) -> None:
    names = f"localhost and {public_name}" if public_name else "localhost"
    body = f"This server answers to {names} only.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})

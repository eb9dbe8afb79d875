"""Starts the front end: Streamlit's options, its ASGI app behind the guard, and uvicorn on a loopback socket."""

import contextlib
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from app import library
from app.security import GuardMiddleware, content_policy, is_loopback
from app.theme import STREAMLIT_THEME
from encoder.errors import CollectionError, UsageError
from indexer.storage.manifest import SETTINGS_FILE

_FIRST_PORT, _LAST_PORT = 8501, 8550
_UPLOAD_LIMIT_MB = 2_000


def serve(
    collections: list[Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
) -> int:
    """Serves the front end until interrupted; returns the exit code.

    Args:
        collections: remembered and offered first.
        host: a loopback name or address.
        port: None takes the first free one from 8501 on, 0 any free one.
        open_browser: whether to show the page in the user's browser.

    Raises:
        UsageError: the host is not this machine, or the port is taken.
        CollectionError: one of the folders is not a collection.
    """
    if not is_loopback(host):
        raise UsageError(
            f"the front end has no sign-in and is not opened to {host!r}",
            "--host",
            "use --host 127.0.0.1; from elsewhere, forward the port: ssh -L 8501:127.0.0.1:8501 MACHINE",
        )
    for path in collections:
        if not (path / SETTINGS_FILE).is_file():
            raise CollectionError(
                f"{path} is not a collection", str(path), f"make one: llm2comp index FILE --into {path}"
            )
    library.remember(collections)
    with _listen(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        _run(listener, f"http://{shown}:{listener.getsockname()[1]}", open_browser=open_browser)
    return 0


def streamlit_options() -> dict[str, Any]:
    """Streamlit's settings: nothing is reported home, no link to a search engine, no editing tools."""
    return {
        "browser.gatherUsageStats": False,
        "client.disableDataExport": True,  # its csv button does not guard formulas; ours does
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.showSidebarNavigation": False,
        "client.toolbarMode": "viewer",
        "runner.magicEnabled": False,
        "server.allowedHosts": ["localhost", "127.0.0.1", "::1", "[::1]"],
        "server.enableAgentApi": False,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.enableXsrfProtection": True,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": _UPLOAD_LIMIT_MB,
        "server.showEmailPrompt": False,
        **STREAMLIT_THEME,
    }


def _listen(host: str, port: int | None) -> socket.socket:
    """A bound socket, so that the address is known before anything heavy is loaded.

    Raises:
        UsageError: the port is taken or not ours to take.
    """
    if port is not None:
        return _bind(host, port)
    for candidate in range(_FIRST_PORT, _LAST_PORT):
        with contextlib.suppress(UsageError):
            return _bind(host, candidate)
    return _bind(host, _LAST_PORT)


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: the port is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(
            f"port {port} cannot be used: {error}",
            f"--port {port}",
            "choose another, or --port 0 for any free one",
        ) from error
    return listener


def _run(listener: socket.socket, address: str, *, open_browser: bool) -> None:
    import streamlit as st
    import uvicorn
    from starlette.middleware import Middleware
    from streamlit.web import bootstrap

    bootstrap.load_config_options(streamlit_options())
    index_html = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")

    @contextlib.asynccontextmanager
    async def announce(_: Any) -> AsyncIterator[None]:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if open_browser:  # in a thread: some browsers are started in the foreground
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        yield

    app = st.App(
        Path(__file__).with_name("main.py"),
        middleware=[Middleware(GuardMiddleware, policy=content_policy(index_html))],
        lifespan=announce,
        on_script_error=_log_script_error,
    )
    config = uvicorn.Config(
        app, log_level="warning", ws_max_size=64 * 1024 * 1024, timeout_graceful_shutdown=3
    )
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl+C is how a server is meant to end
        uvicorn.Server(config).run(sockets=[listener])


def _log_script_error(error: Exception) -> None:
    from app.failures import log_failure

    log_failure(error)

"""Starts the front end: Streamlit's options, its ASGI app behind the guard, and uvicorn on a loopback socket."""

import contextlib
import os
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from app import jobs, library, mode
from app.output import write_note
from app.security import GuardMiddleware, content_policy, is_loopback
from app.sign_in import FILE_NAME, SignIn, read_sign_in
from app.theme import STREAMLIT_THEME
from app.upload_turns import UploadTurns
from encoder.errors import CollectionError, UsageError
from indexer.storage.manifest import SETTINGS_FILE

_FIRST_PORT, _LAST_PORT = 8501, 8550
_QUEUE_POLL_S = 1.0


def serve(
    collections: list[Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    is_read_only: bool = False,
    auth: Path | None = None,
) -> int:
    """Serves the front end until interrupted; returns the exit code.

    Args:
        collections: remembered and offered first.
        host: to listen on; another than this machine's own only with sign-in.
        port: None takes the first free one from 8501 on, 0 any free one.
        open_browser: whether to show the page in the user's browser.
        is_read_only: nothing is started, tagged or saved.
        auth: settings of sign-in; None takes `auth.toml` of the user's folder if there is one.

    Raises:
        UsageError: the host is not this machine and nobody signs in, or the port is taken.
        ConfigError: the settings of sign-in are not safe.
        MissingExtraError: sign-in is asked for and its library is missing.
        CollectionError: one of the folders is not a collection.
    """
    auth = auth or (library.home() / FILE_NAME if (library.home() / FILE_NAME).is_file() else None)
    if auth is None and not is_loopback(host):
        raise UsageError(
            f"the front end has no sign-in and is not opened to {host!r}",
            "--host",
            "use --host 127.0.0.1 and forward the port: ssh -L 8501:127.0.0.1:8501 MACHINE; "
            "or let people sign in: --auth FILE",
        )
    sign_in = read_sign_in(auth) if auth else None
    for path in collections:
        if not (path / SETTINGS_FILE).is_file():
            raise CollectionError(
                f"{path} is not a collection", str(path), f"make one: llm2comp index FILE --into {path}"
            )
    library.remember(collections)
    mode.choose(mode.Mode(is_read_only, sign_in))
    for line in exposed(sign_in) if sign_in else ():
        write_note(line)
    with _listen(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        address = sign_in.public_url if sign_in else f"http://{shown}:{listener.getsockname()[1]}"
        _run(listener, address, sign_in, open_browser=open_browser)
    return 0


def exposed(sign_in: SignIn) -> list[str]:
    """Sentences on who can see what, for whoever starts a server that people sign in to."""
    names = [entry.key for entry in library.known()]
    who = " or ".join(
        [
            *sorted(sign_in.emails),
            *(f"any address at {domain}" for domain in sorted(sign_in.domains)),
        ]
    )
    providers = " or ".join(sorted(set(sign_in.providers.values())))
    return [
        f"sign-in: {who or 'EVERYBODY'}, as {providers} says"
        + ("" if who else " (name fewer with [access])"),
        f"they can read: {', '.join(names) or 'no corpus yet'}"
        + ("" if mode.current().is_read_only else "; and import files that they upload"),
        "saved views, tags, notes and jobs are shared: everybody sees those of the others",
    ]


def streamlit_options(sign_in: SignIn | None = None) -> dict[str, Any]:
    """Streamlit's settings: nothing is reported home, no link to a search engine, no editing tools.

    Args:
        sign_in: adds the public name and the file with its secrets.
    """
    options = (
        _OPTIONS
        if sign_in is None
        else _OPTIONS
        | {
            "secrets.files": [str(sign_in.file)],
            "server.allowedHosts": [*_OPTIONS["server.allowedHosts"], sign_in.host],
            "server.corsAllowedOrigins": [sign_in.public_url],
        }
    )
    return options | STREAMLIT_THEME


_OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.disableDataExport": True,  # its csv button does not guard formulas; ours does
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.showSidebarNavigation": False,
    "client.toolbarMode": "viewer",
    "runner.magicEnabled": False,
    # A full collection after every run costs 0.1 s, and 0.3 s with an encoder loaded, while every session waits.
    "runner.postScriptGC": False,
    "server.allowedHosts": ["localhost", "127.0.0.1", "::1", "[::1]"],
    "server.enableAgentApi": False,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": library.MOST_UPLOAD_MB,
    "server.showEmailPrompt": False,
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


def _run(listener: socket.socket, address: str, sign_in: SignIn | None, *, open_browser: bool) -> None:
    import streamlit as st
    import uvicorn
    from starlette.formparsers import MultiPartParser
    from starlette.middleware import Middleware
    from starlette.routing import Route
    from streamlit.web import bootstrap

    bootstrap.load_config_options(streamlit_options(sign_in))
    compute_in_one_thread()
    # Else an upload goes through the folder of temporary files, and where that is full the page says "Network Error".
    # So that memory has room for it, few arrive at once: `UploadTurns`.
    MultiPartParser.spool_max_size = (library.MOST_UPLOAD_MB + 1) * 2**20
    index_html = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")

    @contextlib.asynccontextmanager
    async def announce(_: Any) -> AsyncIterator[None]:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        threading.Thread(target=_watch_queue, daemon=True).start()
        threading.Thread(target=_warm_up, daemon=True).start()
        if open_browser:  # in a thread: some browsers are started in the foreground
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        yield

    guard = Middleware(
        GuardMiddleware,
        policy=content_policy(index_html),
        public_name=sign_in.host if sign_in else "",
        is_encrypted=sign_in is not None and sign_in.is_encrypted,
    )
    app = st.App(
        Path(__file__).with_name("main.py"),
        routes=[Route("/search", _to_first_page)],
        middleware=[guard, Middleware(UploadTurns)],
        lifespan=announce,
        on_script_error=_log_script_error,
    )
    config = uvicorn.Config(
        app, log_level="warning", ws_max_size=64 * 1024 * 1024, timeout_graceful_shutdown=3
    )
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl+C is how a server is meant to end
        uvicorn.Server(config).run(sockets=[listener])


_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS")


def compute_in_one_thread() -> None:
    """Has each session's matrix products use one thread, unless whoever starts the server says otherwise.

    Sessions compute beside each other anyway, and the threads of numpy's library wait for one another by spinning: with
    other work on the processor the first look at Health took 9 to 25 s of it of two threads and 2 s of one. Encoders and
    the index have threads of their own, and jobs are processes of their own.
    """
    if any(name in os.environ for name in _THREAD_SETTINGS):
        return
    import numpy  # noqa: F401 - only what is loaded is limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


async def _to_first_page(request: Any) -> Any:
    """The page Search is the first one and has no path of its own; its name is what people type."""
    from starlette.responses import RedirectResponse

    query = request.url.query
    return RedirectResponse(f"./?{query}" if query else "./")


def _warm_up() -> None:
    from app.warm_up import warm_up  # imports much, and the address is already shown

    warm_up()


def _watch_queue() -> None:
    """Starts what waits once the job before has ended, also while nobody looks at a page."""
    while not mode.current().is_read_only:
        with contextlib.suppress(OSError):  # the folder may be unmounted for a while
            jobs.start_waiting()
        time.sleep(_QUEUE_POLL_S)


def _log_script_error(error: Exception) -> None:
    from app.failures import log_failure

    log_failure(error)

"""Serves the page of the map alone, with the app's own options and headers; address on stdout."""

from pathlib import Path

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from streamlit.web import bootstrap

from app import server
from app.security import GuardMiddleware, content_policy


def _serve():
    bootstrap.load_config_options(server.streamlit_options())
    index_html = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    guard = Middleware(GuardMiddleware, policy=content_policy(index_html))
    with server._listen("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        app = st.App(Path(__file__).with_name("map_page.py"), middleware=[guard])
        config = uvicorn.Config(
            app, log_level="warning", ws_max_size=64 * 1024 * 1024, timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve()

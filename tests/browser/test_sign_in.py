"""Signing in with a provider of our own, in a real browser; without it nothing is shown."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Provider(http.server.BaseHTTPRequestHandler):
    """The smallest OpenID Connect provider: who comes is whom the test says, without a question."""

    person: dict = {}
    codes: dict = {}

    def log_message(self, *_):
        pass

    @property
    def issuer(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            self.answer(
                {
                    "issuer": self.issuer,
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    **{key: f"{self.issuer}/{path}" for key, path in names.items()},
                }
            )
        elif parts.path == "/keys":
            self.answer({"keys": [self.server.key.as_dict(private=False)]})
        elif parts.path == "/authorize":
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            code = f"code{len(self.codes)}"
            self.codes[code] = asked.get("nonce")
            self.send_response(302)
            back = urlencode({"code": code, "state": asked["state"]})
            self.send_header("location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()

    def do_POST(self):
        from joserfc import jwt

        asked = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "the-client",
            "sub": "1",
            "iat": now,
            "exp": now + 600,
            "nonce": self.codes.pop(asked["code"][0]),
            **self.person,
        }
        token = jwt.encode({"alg": "RS256", "kid": self.server.key.kid}, claims, self.server.key)
        self.answer({"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": token})


@pytest.fixture
def provider():
    from joserfc.jwk import RSAKey

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.key = RSAKey.generate_key(2048, auto_kid=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def guarded_server(home, provider, tmp_path):
    port = free_port()
    auth = tmp_path / "auth.toml"
    auth.write_text(
        f"""
        [access]
        domains = ["example.org"]
        [auth]
        redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
        cookie_secret = "{"0123456789abcdef" * 4}"
        client_id = "the-client"
        client_secret = "secret"
        server_metadata_url = "{provider}/.well-known/openid-configuration"
        """
    )
    log = (tmp_path / "server.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_signed_in.py"), str(port), str(auth)],
        env=os.environ | {"LLM2COMP_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    address = process.stdout.readline().strip()
    assert address == f"http://127.0.0.1:{port}", (tmp_path / "server.log").read_text()
    yield address, tmp_path / "server.log"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.close()


@pytest.fixture
def browse(chromium):
    contexts = []

    def browse(address):
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.goto(address)
        return page

    yield browse
    for context in contexts:
        context.close()


def test_only_who_signs_in_and_is_on_the_list_sees_anything(guarded_server, browse, monkeypatch):
    address, log = guarded_server
    assert "any address at example.org" in log.read_text()

    monkeypatch.setattr(Provider, "person", {"email": "ann@example.org", "email_verified": True})
    page = browse(f"{address}/corpora?q=river")
    expect(page.get_by_text("Sign in to search.")).to_be_visible()
    expect(page.get_by_text("places")).to_have_count(0)
    page.get_by_role("button", name="Sign in with").click()
    expect(page.get_by_role("heading", name="Search")).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["_streamlit_user"]["httpOnly"]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Sign in to search.")).to_be_visible()

    monkeypatch.setattr(Provider, "person", {"email": "ann@example.org"})  # said, but not verified
    page = browse(address)
    page.get_by_role("button", name="Sign in with").click()
    expect(page.get_by_text("your address is not on the list")).to_be_visible()
    expect(page.get_by_text("has verified this address")).to_be_visible()
    expect(page.get_by_role("heading", name="Search")).to_have_count(0)


def test_a_forged_cookie_opens_nothing(guarded_server, browse):
    address, _ = guarded_server
    page = browse(address)
    value = '{"is_logged_in": true, "email": "ann@example.org", "email_verified": true}'
    page.context.add_cookies([{"name": "_streamlit_user", "value": urlencode({"v": value}), "url": address}])
    page.reload()
    expect(page.get_by_text("Sign in to search.")).to_be_visible()
    expect(page.get_by_role("heading", name="Search")).to_have_count(0)

"""What the server tells whom, asked without a browser."""

import http.client
from urllib.parse import urlsplit

import pytest


def get(server, path="/", host=None):
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("path", ["/", "/corpora", "/_stcore/health", "/nosuch.js"])
def test_every_answer_carries_the_headers(server, path):
    _, headers, _ = get(server, path)
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "'unsafe-eval'" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/_stcore/stream"])
def test_another_host_name_gets_nothing(server, host, path):
    status, _, body = get(server, path, host)
    assert (status, body) == (421, b"This server answers to localhost only.\n")


def test_the_interface_for_programs_is_off(server):
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
    connection.request("POST", "/_stcore/agent/interact", "{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status in {403, 404, 405}


def test_files_of_the_machine_are_not_served(server):
    for path in (
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/app/static/../main.py",
        "//etc/passwd",
    ):
        _, _, body = get(server, path)
        assert b"root:" not in body
        assert b"import streamlit" not in body


def test_the_first_page_is_found_under_its_name_too(server):
    for asked, told in (
        ("", ""),
        ("?q=a%20b&c=places", "?q=a%20b&c=places"),
        ("?q=%0d%0aX:1", "?q=%0d%0aX:1"),
    ):
        status, headers, _ = get(server, f"/search{asked}")
        assert (status, headers["location"]) == (307, f"./{told}")
        assert headers["x-content-type-options"] == "nosniff"

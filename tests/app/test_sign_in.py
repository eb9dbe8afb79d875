"""Sign-in is asked for where others can come, its settings are read strictly, and only those named get in."""

import asyncio

import pytest

from app import mode
from app.security import GuardMiddleware
from app.server import exposed, serve, streamlit_options
from app.sign_in import admits, read_sign_in
from encoder.errors import ConfigError, MissingExtraError, UsageError

AUTH = """
[auth]
redirect_uri = "https://Search.example.org/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "c"
client_secret = "s"
server_metadata_url = "https://id.example.org/.well-known/openid-configuration"
"""


@pytest.fixture
def settings(tmp_path):
    def settings(text=AUTH):
        file = tmp_path / "auth.toml"
        file.write_text(text)
        return read_sign_in(file)

    return settings


def test_good_settings_name_the_public_address_and_the_provider(settings):
    found = settings()
    assert found.public_url == "https://Search.example.org"
    assert found.host == "search.example.org"
    assert found.is_encrypted and found.is_for_everybody
    assert found.providers == {"": "id.example.org"}


def test_several_providers_have_names(settings):
    head = "\n".join(AUTH.splitlines()[:4])
    section = "\n".join(AUTH.splitlines()[4:])
    found = settings(f"{head}\n[auth.one]\n{section}\n[auth.two]\n{section}")
    assert found.providers == {"one": "id.example.org", "two": "id.example.org"}


@pytest.mark.parametrize(
    ("wrong", "right", "what"),
    [
        ("[auth]", "[outh]", r"no table \[auth\]"),
        ("[auth]", "[auth", "cannot be read"),
        ("0123456789abcdef0123456789abcdef", "short", "cookie_secret has fewer than 32"),
        (
            "https://Search.example.org/oauth2callback",
            "http://search.example.org/oauth2callback",
            "not https",
        ),
        ("https://Search.example.org/oauth2callback", "https://search.example.org/", "redirect_uri is"),
        ("https://Search.example.org/oauth2callback", "ftp://x/oauth2callback", "redirect_uri is"),
        ("https://Search.example.org/oauth2callback", "https://[/oauth2callback", "redirect_uri is"),
        ('client_id = "c"', "", "auth has no client_id"),
        ('client_secret = "s"', 'client_secret = ""', "auth has no client_secret"),
        ("https://id.example.org/", "http://id.example.org/", "server_metadata_url is not https"),
        (
            "[auth]",
            "[auth.a_b]\nclient_id='1'\nclient_secret='2'\nserver_metadata_url='https://x'\n[auth]",
            "has no _",
        ),
        ("[auth]", "[access]\nemail = ['a@b']\n[auth]", "access.email is unknown"),
        ("[auth]", "[access]\nemails = 'a@b'\n[auth]", "access.emails is no list of texts"),
        ("[auth]", "[access]\ndomains = ['']\n[auth]", "access.domains is no list of texts"),
        ("[auth]", "[access]\n[auth]", r"\[access\] names nobody"),
        ("[auth]", "access = 3\n[auth]", "access.emails is no list of texts"),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(settings, wrong, right, what):
    with pytest.raises(ConfigError, match=what) as caught:
        settings(AUTH.replace(wrong, right))
    assert caught.value.where.endswith("auth.toml")
    assert caught.value.fix


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sign_in(tmp_path / "none.toml")


def test_a_missing_library_is_named_with_its_extra(settings, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="sign-in needs authlib") as caught:
        settings()
    assert "llm2comp[auth]" in caught.value.fix


ACCESS = "[access]\nemails = ['Ann@example.org']\ndomains = ['firm.example']\n"


@pytest.mark.parametrize(
    ("claims", "is_in"),
    [
        ({"email": "ann@EXAMPLE.org", "email_verified": True}, True),
        ({"email": "bob@firm.example", "email_verified": True}, True),
        ({"email": "bob@sub.firm.example", "email_verified": True}, False),
        ({"email": "bob@evilfirm.example", "email_verified": True}, False),
        ({"email": "firm.example", "email_verified": True}, False),
        ({"email": "ann@example.org", "email_verified": False}, False),
        ({"email": "ann@example.org", "email_verified": "true"}, False),
        ({"email": "ann@example.org"}, False),
        ({"email": ["ann@example.org"], "email_verified": True}, False),
        ({}, False),
    ],
)
def test_only_verified_addresses_on_the_list_get_in(settings, claims, is_in):
    assert admits(settings(ACCESS + AUTH), claims) is is_in
    assert admits(settings(), claims)


def test_without_sign_in_no_other_host_is_opened(library_home):
    with pytest.raises(UsageError, match="no sign-in") as caught:
        serve([], host="0.0.0.0", port=0, open_browser=False)
    assert "--auth FILE" in caught.value.fix


def test_bad_settings_stop_the_server_before_it_listens(library_home, tmp_path):
    (library_home / "auth.toml").write_text("[auth]")
    with pytest.raises(ConfigError, match="cookie_secret"):
        serve([], host="0.0.0.0", port=0, open_browser=False)
    with pytest.raises(ConfigError, match="cookie_secret"):  # also where only this machine can come
        serve([], port=0, open_browser=False)


def test_who_can_read_what_is_printed(settings, roads):
    assert exposed(settings())[0] == "sign-in: EVERYBODY, as id.example.org says (name fewer with [access])"
    lines = exposed(settings(ACCESS + AUTH))
    assert lines[0] == "sign-in: ann@example.org or any address at firm.example, as id.example.org says"
    assert lines[1] == "they can read: roads; and import files that they upload"
    assert "shared" in lines[2]


def test_streamlit_knows_the_public_name_and_the_secrets(settings):
    found = settings()
    options = streamlit_options(found)
    assert options["secrets.files"] == [str(found.file)]
    assert options["server.corsAllowedOrigins"] == ["https://Search.example.org"]
    assert "search.example.org" in options["server.allowedHosts"]
    assert "search.example.org" not in streamlit_options()["server.allowedHosts"]


def answer_of(host, **named):
    async def app(scope, receive, send):
        headers = [(b"set-cookie", b"a=1; HttpOnly"), (b"set-cookie", b"b=2; Secure")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    asyncio.run(GuardMiddleware(app, "policy", **named)(scope, None, send))
    return sent


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("search.example.org", 200),
        ("SEARCH.example.org:443", 200),
        ("127.0.0.1:80", 200),
        ("example.org", 421),
        ("", 421),
    ],
)
def test_the_public_name_is_answered_and_no_other(host, status):
    sent = answer_of(host, public_name="Search.example.org")
    assert sent[0]["status"] == status
    if status == 421:
        assert sent[1]["body"] == b"This server answers to localhost and search.example.org only.\n"


def test_cookies_insist_on_encryption_where_people_come_by_https():
    found = [
        value
        for name, value in answer_of("localhost", is_encrypted=True)[0]["headers"]
        if name == b"set-cookie"
    ]
    assert found == [b"a=1; HttpOnly; Secure", b"b=2; Secure"]
    assert dict(answer_of("localhost", is_encrypted=True)[0]["headers"])[b"strict-transport-security"]
    plain = answer_of("localhost")[0]["headers"]
    assert (b"set-cookie", b"a=1; HttpOnly") in plain
    assert b"strict-transport-security" not in dict(plain)


def text_of(test):
    return "\n".join(str(element.value) for kind in (test.text, test.caption, test.title) for element in kind)


def test_a_stranger_sees_nothing_but_the_way_in(settings, roads, open_app, monkeypatch):
    monkeypatch.setattr(mode, "_chosen", mode.Mode(sign_in=settings()))
    test = open_app(q="river")
    assert not test.exception
    assert [button.key for button in test.button] == ["sign_in_"]
    assert "Sign in to search." in text_of(test)
    assert "open it again once you are signed in" in text_of(test)
    assert len(test.dataframe) == len(test.metric) == len(test.text_input) == 0


def test_a_server_that_people_sign_in_to_reads_no_paths(settings, roads, open_app, monkeypatch):
    test = open_app("corpora")
    assert any(field.key == "import_path" for field in test.text_input)
    monkeypatch.setattr(mode, "_chosen", mode.Mode(sign_in=settings()))
    monkeypatch.setattr("app.views.sign_in.is_let_in", lambda: True)
    test = open_app("corpora")
    assert not any(field.key == "import_path" for field in test.text_input)
    assert "files are uploaded" in text_of(test)


def test_a_server_that_only_shows_has_no_import(roads, open_app, monkeypatch):
    monkeypatch.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
    test = open_app("corpora")
    assert "nothing is imported here" in text_of(test)
    assert len(test.text_input) == 0

"""The settings of sign-in by OpenID Connect: read strictly from a TOML file, and who is let in by them.

The table `[auth]` is Streamlit's own (redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url, or
a table per provider). `[access]` is ours: `emails` and `domains`; without it everybody whom the provider signs in.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from app.security import is_loopback
from encoder.errors import ConfigError, MissingExtraError

FILE_NAME = "auth.toml"  # in the user's folder, when no other is named
_CALLBACK = "/oauth2callback"
_PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")
_SHORTEST_SECRET = 32


@dataclass(frozen=True, slots=True)
class SignIn:
    """What the file says.

    Attributes:
        file: where it was read.
        public_url: scheme, host and port under which people reach the server.
        providers: name to the host that signs people in; the only one without a name is called "".
        emails: addresses that are let in, small letters.
        domains: of addresses that are let in, small letters.
    """

    file: Path
    public_url: str
    providers: dict[str, str]
    emails: frozenset[str]
    domains: frozenset[str]

    @property
    def host(self) -> str:
        """The public name, without a port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Whether people come by https, so that cookies may insist on it."""
        return self.public_url.startswith("https:")

    @property
    def is_for_everybody(self) -> bool:
        """Whether all are let in whom a provider signs in."""
        return not (self.emails or self.domains)


def read_sign_in(file: Path) -> SignIn:
    """The settings in a file.

    Raises:
        ConfigError: it cannot be read, or one of its values would not be safe.
        MissingExtraError: the library behind sign-in is not installed.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _refuse(
            file, f"the settings of sign-in cannot be read: {error}", "give a TOML file with a table [auth]"
        )
    auth = content.get("auth")
    if not isinstance(auth, dict):
        _refuse(file, "there is no table [auth]", "see docs/how-to/sign-in.md for one to begin with")
    secret = auth.get("cookie_secret")
    if not isinstance(secret, str) or len(secret) < _SHORTEST_SECRET:
        _refuse(
            file,
            f"auth.cookie_secret has fewer than {_SHORTEST_SECRET} characters, so that cookies could be forged",
            'make one: python -c "import secrets; print(secrets.token_hex(32))"',
        )
    emails, domains = _read_access(file, content.get("access", {}))
    if "access" in content and not (emails or domains):
        _refuse(
            file, "[access] names nobody", "name emails or domains; leave [access] out to let everybody in"
        )
    settings = SignIn(file.resolve(), _public_url(file, auth), _providers(file, auth), emails, domains)
    _check_installed()
    return settings


def admits(settings: SignIn, claims: Mapping[str, Any]) -> bool:
    """Whether somebody whom the provider has signed in is let in.

    Where addresses decide, the provider must say that it has verified this one: else people could name any.

    Args:
        settings: of the file.
        claims: what the provider says of the person.
    """
    if settings.is_for_everybody:
        return True
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        return False
    email = email.casefold()
    name, _, domain = email.rpartition("@")
    return email in settings.emails or bool(name) and domain in settings.domains


def _public_url(file: Path, auth: dict[str, Any]) -> str:
    redirect = auth.get("redirect_uri")
    parts = _split(redirect)
    if parts is None or not str(redirect).endswith(_CALLBACK):
        _refuse(
            file,
            f"auth.redirect_uri is {redirect!r}",
            f"give the public address and {_CALLBACK}: https://search.example.org{_CALLBACK}",
        )
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        _refuse(
            file,
            f"auth.redirect_uri {redirect!r} is not https: what people sign in with could be read on the way",
            "put a proxy with a certificate before the server, and its https address here",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _providers(file: Path, auth: dict[str, Any]) -> dict[str, str]:
    found = {
        name: value for name, value in auth.items() if isinstance(value, dict) and name != "client_kwargs"
    }
    providers = {}
    for name, section in found.items() if found else [("", auth)]:
        missing = [key for key in _PROVIDER_KEYS if not isinstance(section.get(key), str) or not section[key]]
        shown = f"auth.{name}" if name else "auth"
        if missing or "_" in name:
            what = (
                f"{shown} has no {', '.join(missing)}" if missing else f"{shown}: a provider's name has no _"
            )
            _refuse(file, what, "copy the values that the provider gave for this client")
        parts = _split(section["server_metadata_url"])
        if parts is None or (parts.scheme != "https" and not is_loopback(parts.hostname or "")):
            _refuse(
                file,
                f"{shown}.server_metadata_url is not https",
                "give the provider's https://.../.well-known/openid-configuration",
            )
        providers[name] = parts.netloc
    return providers


def _read_access(file: Path, access: Any) -> tuple[frozenset[str], frozenset[str]]:
    lists = []
    for key in ("emails", "domains"):
        values = access.get(key, []) if isinstance(access, dict) else None
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            _refuse(file, f"access.{key} is no list of texts", f'write it like {key} = ["a", "b"]')
        lists.append(frozenset(value.casefold() for value in values))
    unknown = sorted(set(access) - {"emails", "domains"})
    if unknown:  # a misspelt list would let everybody in
        _refuse(file, f"access.{unknown[0]} is unknown", "use emails and domains")
    return lists[0], lists[1]


def _split(url: Any) -> Any:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        return parts if parts and parts.scheme in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def _check_installed() -> None:
    from importlib.util import find_spec

    for choices in (("authlib",), ("httpx2", "httpx")):  # authlib takes either of the two
        if not any(find_spec(module) for module in choices):
            raise MissingExtraError(
                f"sign-in needs {choices[0]}, which is not installed",
                "llm2comp app --auth",
                "pip install 'llm2comp[auth]'",
            )


def _refuse(file: Path, what: str, fix: str) -> NoReturn:
    raise ConfigError(what, str(file), fix)

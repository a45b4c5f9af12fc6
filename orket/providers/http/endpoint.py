"""Where a server is and what opens it: URL, locality, API key.

A key comes from the environment or from a file, never from a preset, and never
leaves this module but in a request's Authorization header: it has no repr, and
`redact` takes it out of everything that is shown or stored.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from orket.errors import UsageError
from orket.urls import HIDDEN, is_loopback, without_secret

_USER = re.compile(r"//[^/]+@|/[^/@]*:[^/]*@")
MIN_REDACTED_CHARS = 4
"""A shorter secret is no secret, and would be found in every text."""


@dataclass(frozen=True)
class Endpoint:
    """One server's address, safe to show: `url` has no user info."""

    url: str
    host: str
    secure: bool
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    proxy_url: str | None = None
    """The proxy on the way, without what opens it; None without one."""

    @property
    def locality(self) -> str:
        """`loopback` or `remote`."""
        return "loopback" if is_loopback(self.host) else "remote"

    def redact(self, text: str) -> str:
        """The text without any secret of this endpoint."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def scrub(self, said: Any) -> Any:
        """JSON without any secret of this endpoint, in whatever depth it stands."""
        if not self.secrets:
            return said
        if isinstance(said, str):
            return self.redact(said)
        if isinstance(said, dict):
            return {self.redact(key): self.scrub(item) for key, item in said.items()}
        if isinstance(said, list):
            return [self.scrub(item) for item in said]
        return said


def read_endpoint(
    url: str, api_key_env: str | None = None, api_key_file: Path | str | None = None
) -> Endpoint:
    """Parse a URL and read its key. Raises UsageError when one of them is unusable."""
    parts, host = _read_parts(url)
    port = parts.port
    name = f"[{host}]" if ":" in host else host
    address = f"{name}:{port}" if port is not None else name
    key = read_key(api_key_env, api_key_file)
    authorization, secrets = _authorization(key, parts.username, parts.password)
    return Endpoint(
        url=f"{parts.scheme}://{address}{parts.path.rstrip('/')}",
        host=host,
        secure=parts.scheme == "https",
        authorization=authorization,
        secrets=secrets,
    )


def require_url(url: str) -> None:
    """Refuse what is no URL of a server, before anything is asked of it or shown.

    Raises UsageError.
    """
    _read_parts(url)


def _read_parts(url: str) -> tuple[SplitResult, str]:
    given = url.strip()
    if "://" not in given:
        given = f"http://{given}"
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        raise UsageError(
            "the server's URL cannot be read", "write it like http://127.0.0.1:8080"
        ) from None
    host = parts.hostname or ""
    shown = re.split("[?#]", without_secret(given), maxsplit=1)[0]
    if parts.scheme not in ("http", "https") or not host or set(host) & set(" \\<>"):
        raise UsageError(
            f"not the URL of a model server: {shown}",
            "write it like http://127.0.0.1:8080",
        )
    if "%" in parts.netloc.rpartition("@")[2].partition("%25")[0] or _USER.search(
        parts.path
    ):
        # A typed-over scheme: what was meant as user and password is a path.
        raise UsageError(
            "the server's URL has a user and a password behind its host",
            "write it like http://127.0.0.1:8080",
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"the URL has a query: {shown}",
            "give only scheme, host, port and path; keys come from the environment",
        )
    return parts, host


def without_version(url: str) -> str:
    """The URL without the `/v1` that people copy from OpenAI-style base URLs."""
    return url.strip().rstrip("/").removesuffix("/v1")


def read_key(env: str | None, file: Path | str | None) -> str | None:
    """The API key, from the named environment variable or file; None without both.

    Raises UsageError when the named place holds none.
    """
    if env and file:
        raise UsageError(
            "an API key from the environment and one from a file", "name only one"
        )
    if env:
        key = os.environ.get(env, "").strip()
        if not key:
            raise UsageError(
                f"the environment variable {env} holds no API key", "set it first"
            )
        return _header_safe(key, f"the environment variable {env}")
    if file:
        try:
            key = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise UsageError(
                f"the key file {file} cannot be read: {reason}",
                "name a file that holds the key alone",
            ) from None
        if not key:
            raise UsageError(f"the key file {file} is empty", "write the key into it")
        return _header_safe(key, f"the key file {file}")
    return None


def _header_safe(key: str, where: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{where} does not hold an API key", "it must be one line of plain text"
        )
    return key


def _authorization(
    key: str | None, user: str | None, password: str | None
) -> tuple[str | None, tuple[str, ...]]:
    if user is not None or password is not None:
        plain_user, plain_password = unquote(user or ""), unquote(password or "")
        pair = f"{plain_user}:{plain_password}".encode()
        token = base64.b64encode(pair).decode("ascii")
        word = (password if plain_password else user) or ""
        secrets = (word, *spellings(plain_password or plain_user), *_coded(pair))
        if key is None:
            return f"Basic {token}", longest_first(secrets)
        return f"Bearer {key}", longest_first((*spellings(key), *secrets))
    if key is None:
        return None, ()
    return f"Bearer {key}", longest_first(spellings(key))


def spellings(secret: str) -> tuple[str, ...]:
    """A secret as a server may say it again: plain, in a URL, in base64."""
    in_urls = (quote(secret), quote(secret, safe=""))
    lower = (re.sub("%..", lambda found: found[0].lower(), word) for word in in_urls)
    return secret, *in_urls, *lower, *_coded(secret.encode())


def _coded(secret: bytes) -> tuple[str, ...]:
    coded = base64.b64encode(secret).decode("ascii")
    url_safe = coded.translate(str.maketrans("+/", "-_"))
    return coded, url_safe, coded.rstrip("="), url_safe.rstrip("=")


def login_secrets(user: str | None, password: str | None) -> tuple[str, ...]:
    """What of a user and a password must not be shown, in each of its spellings."""
    return _authorization(None, user, password)[1]


def longest_first(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Those that can be told in a text; the longest first, for it may hold another."""
    usable = {secret for secret in secrets if len(secret) >= MIN_REDACTED_CHARS}
    return tuple(sorted(usable, key=lambda secret: (-len(secret), secret)))

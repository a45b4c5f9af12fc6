"""What a URL tells: whether it is this machine, and what of it may be shown."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket

HIDDEN = "[secret]"


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine itself.

    `localhost` and every name below it are, whatever a resolver says of them.
    """
    name = host.casefold().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return is_loopback_address(name)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback_address(str(entry[4][0])) for entry in found)


def is_loopback_address(text: str) -> bool:
    """The same of an IP address. Raises ValueError for what is none."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


_HOST = r"(?!sha\d+:)(?:localhost\b|\[[0-9a-f:.]+\]?|[\w-]+(?:\.[\w-]+)+|[\w.-]+:\d)"
_START = r"(?:(?<=://)|(?<=[a-z]{2}:/)(?!/))"
"""Of an authority; a path that was made of a URL has one slash less."""
_NO_PORT = r"[^/\s@:]+:(?!\d+(?:[/\s,;)]|$))"
_AUTHORITY = rf"{_START}(?:{_NO_PORT}\S*|[^/\s]*)(?=@)"
"""To the last `@` behind a user: a password may hold what ends an authority."""
_SPACED = rf"{_START}{_NO_PORT}[^@\n]*(?=@{_HOST})"
_BARE = rf"(?<![^\s'\"=(/])[^/\s:@'\"(]+:(?![/\\])[^\s@]+(?=@{_HOST})"
_ENCODED = r"(?<=%3a%2f%2f)\S*(?=%40)"
_USER_INFO = re.compile("|".join((_SPACED, _AUTHORITY, _ENCODED, _BARE)), re.IGNORECASE)
_QUERY = re.compile(r"([a-z]:/[^\s?#'\"]*)([?#])[^\s'\"]+", re.IGNORECASE)
_NAMED_SECRET = re.compile(
    r"(?<=[?&#;])([\w-]*(?:key|token|secret|passw(?:or)?d|pwd|auth)[\w-]*)="
    r"(?!\[secret\])[^\s&#;'\"]+",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """A text for a person with what opens a server hidden in every URL in it.

    That is user info, and what comes as a query or behind a `#`. Whatever a person
    typed may come back in a message, also where no URL belongs, or one that no program
    can read.
    """

    def hide(found: re.Match[str]) -> str:
        return found[0] if found[0].endswith(HIDDEN) else HIDDEN

    if "@" in text or "%40" in text:
        text = _USER_INFO.sub(hide, text)
    if "?" in text or "#" in text:
        text = _QUERY.sub(rf"\1\2{HIDDEN}", text)
    return _NAMED_SECRET.sub(rf"\1={HIDDEN}", text) if "=" in text else text


def without_query(url: str) -> str:
    """The URL up to its query or fragment: keys are given there too."""
    return re.split("[?#]", url, maxsplit=1)[0]


def without_secret(url: str) -> str:
    """The URL with its password hidden, or a user name that stands for one.

    Also of a URL that nothing can read: what stands before its last `@` is hidden.
    """
    scheme, mark, rest = url.rpartition("://") if "://" in url else ("", "", url)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority:
        port = authority.rpartition("]")[2].partition(":")[2]
        if "@" not in rest or not port or port.isdecimal():
            return url
        authority = rest
    place = authority.rindex("@")
    user, colon, _ = authority[:place].partition(":")
    shown = f"{user}:{HIDDEN}" if user and colon else HIDDEN
    return f"{scheme}{mark}{shown}{rest[place:]}"

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


_USER_INFO = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"  # before a host of any form
    r"|(?<![^\s'\"=])[^/\s:@'\"]+:[^/\s@]+(?=@(?:\[[0-9a-f:.]+\]|[\w.-]+):\d)",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """A text for a person with the user info of every URL in it hidden.

    Whatever a person typed may come back in a message, also where no URL belongs.
    """

    def hide(found: re.Match[str]) -> str:
        return found[0] if found[0].endswith(HIDDEN) else HIDDEN

    return _USER_INFO.sub(hide, text) if "@" in text else text


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

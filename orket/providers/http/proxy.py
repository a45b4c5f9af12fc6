"""The proxy that the environment names for a server: read, or refused in one line.

A proxy that is named and cannot be used is never passed over: the call would go out by
a way that its user has closed. Servers on this machine are reached without one.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from urllib.parse import SplitResult, unquote, urlsplit

from orket.errors import MissingExtra, UsageError
from orket.providers.http.endpoint import Endpoint, login_secrets, longest_first

HTTP_SCHEMES = ("http", "https")
SOCKS_SCHEMES = ("socks5", "socks5h")
"""Both let the proxy resolve the server's name: so no name leaks past it."""


@dataclass(frozen=True)
class Proxy:
    """A proxy on the way to a server, safe to show: `url` has no user info."""

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)
    """User and password."""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def speaks_socks(self) -> bool:
        """Whether it is spoken to in SOCKS5, and not in HTTP."""
        return self.url.startswith("socks")


def find_proxy(endpoint: Endpoint) -> Proxy | None:
    """The proxy that the environment names for this server; never one for loopback.

    Raises UsageError where one is named that cannot be used.
    """
    if endpoint.locality == "loopback":
        return None
    proxies = urllib.request.getproxies()
    scheme = "https" if endpoint.secure else "http"
    for key in (scheme, "all"):
        if proxies.get(key) and not _is_exempt(endpoint, proxies.get("no", "")):
            return read_proxy(proxies[key], f"{key.upper()}_PROXY")
    return None


def read_proxy(url: str, variable: str) -> Proxy:
    """Parse the URL of a proxy; one without a scheme is an HTTP proxy, as curl has it.

    Raises UsageError, which names the variable, where it cannot be used.
    """
    parts = _split(url.strip())
    if parts is None:
        raise UsageError(
            f"the proxy that {variable} names cannot be read",
            "write it like http://proxy:3128 or socks5://proxy:1080",
        )
    if parts.scheme not in HTTP_SCHEMES + SOCKS_SCHEMES:
        raise UsageError(
            f"the proxy that {variable} names speaks {parts.scheme}, which Orket "
            "does not",
            "write it like http://proxy:3128 or socks5://proxy:1080, or name the "
            "model server in NO_PROXY",
        )
    if parts.scheme in SOCKS_SCHEMES and find_spec("socksio") is None:
        raise MissingExtra("socksio", "socks", f"the SOCKS proxy of {variable}")
    host, port = parts.hostname or "", parts.port
    name = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{name}{f':{port}' if port else ''}"
    if parts.username is None and parts.password is None:
        return Proxy(address)
    login = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(address, login, login_secrets(parts.username, parts.password))


def behind(endpoint: Endpoint, proxy: Proxy | None) -> Endpoint:
    """The endpoint as it is reached: what opens the proxy is hidden as its own is."""
    if proxy is None:
        return endpoint
    secrets = longest_first((*endpoint.secrets, *proxy.secrets))
    return replace(endpoint, secrets=secrets, proxy_url=proxy.url)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        return None
    host = parts.hostname or ""
    return None if not host or set(host) & set(" \\<>") else parts


def _is_exempt(endpoint: Endpoint, no_proxy: str) -> bool:
    """Whether NO_PROXY (or the system's own list) names this server.

    By name, name and port, domain, address or network, as other programs read it.
    """
    host = endpoint.host
    netloc = urlsplit(endpoint.url).netloc
    if urllib.request.proxy_bypass(host) or urllib.request.proxy_bypass(netloc):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(_contains(entry.strip(), address) for entry in no_proxy.split(","))


def _contains(
    entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    try:
        return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False

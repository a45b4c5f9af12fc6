"""Proxies that the environment names: used as named, or refused; none for loopback."""

from __future__ import annotations

import importlib.util

import pytest

import orket.providers.http.proxy as proxies
from orket.errors import MissingExtra, UsageError
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.proxy import find_proxy
from orket.providers.http.transport import Transport
from tests.providers.test_transport import SteppedClock
from tests.scripted import ScriptedServer, respond
from tests.socks_proxy import SocksProxy

HAS_SOCKS = importlib.util.find_spec("socksio") is not None
needs_socks = pytest.mark.skipif(not HAS_SOCKS, reason="the extra socks is missing")
FAR = "http://far.example.org:81/base"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def found(url: str) -> str | None:
    proxy = find_proxy(read_endpoint(url))
    return None if proxy is None else proxy.url


def test_a_proxy_of_the_environment_never_captures_loopback(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("https_proxy", "http://proxy:3129")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    assert found("http://127.0.0.1:8080") is None
    assert found("http://localhost:8080") is None
    assert found("http://inside.example.org") is None
    assert found("http://far.example.org") == "http://proxy:3128"
    assert found("https://far.example.org") == "http://proxy:3129"


@pytest.mark.parametrize("named", ["socks4://p:1080", "socks://p:1080", "p://"])
def test_a_proxy_that_cannot_be_used_is_refused_but_not_for_loopback(
    monkeypatch, named
):
    monkeypatch.setenv("ALL_PROXY", named)
    assert found("http://127.0.0.1:8080") is None
    assert found("http://[::1]:8080") is None
    for far in (FAR, "https://far.example.org"):
        with pytest.raises(UsageError, match="ALL_PROXY") as caught:
            found(far)
        assert "\n" not in str(caught.value) and "socks5://" in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "far.example.org")
    assert found(FAR) is None


def test_a_proxy_without_a_scheme_is_one_of_http(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "user:pw-of-it@other:3128")
    assert found(FAR) == "http://proxy:3128"
    proxy = find_proxy(read_endpoint("https://far.example.org"))
    assert proxy is not None
    assert proxy.url == "http://other:3128" and proxy.login == ("user", "pw-of-it")
    assert "pw-of-it" not in repr(proxy) and "pw-of-it" in proxy.secrets


@pytest.mark.parametrize(
    "exempt",
    ["10.1.2.3", "10.0.0.0/8", "a, 10.1.2.3:81", "*", "10.1.0.0/16,b.example.org"],
)
def test_no_proxy_names_addresses_networks_and_ports(monkeypatch, exempt):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert found("http://10.1.2.3:81") is None
    if exempt != "*":
        assert found("http://11.1.2.3:81") == "http://proxy:3128"


def test_the_extra_that_lacks_is_named(monkeypatch):
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://proxy:1080")
    with pytest.raises(MissingExtra, match=r"HTTPS_PROXY.*socksio.*orket\[socks\]"):
        found("https://far.example.org")
    assert found(FAR) is None


def test_what_does_not_answer_is_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Transport(read_endpoint(FAR)) as transport:
        problem = transport.get("/x").problem
    assert problem is not None and problem.error_class == "CONNECTION_REFUSED"
    assert problem.message == "nothing answers at the proxy http://127.0.0.1:9"


@needs_socks
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("login", [None, ("me", "pass-word")])
def test_a_socks_proxy_is_asked_by_the_servers_name(monkeypatch, scheme, login):
    user = "" if login is None else "{}:{}@".format(*login)
    with (
        ScriptedServer(respond(200, {"by": "socks"})) as server,
        SocksProxy(server, login) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{user}{proxy.netloc}")
        with Transport(read_endpoint(FAR)) as transport:
            assert transport.get("/x").json == {"by": "socks"}
            assert transport.get("/y").json == {"by": "socks"}
        assert proxy.asked_for == [("far.example.org", 81)] * 2
        assert server.requests[1].startswith(b"GET /base/y HTTP/1.1\r\nHost: far.")
        with (
            ScriptedServer(respond(200, {"by": "none"})) as near,
            Transport(read_endpoint(near.url)) as transport,
        ):
            assert transport.get("/x").json == {"by": "none"}
        assert len(proxy.asked_for) == 2


@needs_socks
def test_the_way_through_a_socks_proxy_is_no_time_of_the_server(monkeypatch):
    def time_of(url: str) -> int:
        with Transport(read_endpoint(url), clock=SteppedClock()) as transport:
            timing = transport.get("/x").timing
        assert timing is not None and timing.wall_ns is not None
        return timing.wall_ns

    with (
        ScriptedServer(respond(200, {})) as server,
        SocksProxy(server) as proxy,
    ):
        # The same client without a handshake: a proxy of HTTP is a server like others.
        monkeypatch.setenv("HTTP_PROXY", server.url)
        forwarded = time_of(FAR)
        monkeypatch.delenv("HTTP_PROXY")
        monkeypatch.setenv("ALL_PROXY", f"socks5://{proxy.netloc}")
        assert time_of(FAR) == forwarded


@needs_socks
@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "does not speak SOCKS5"),
        ((b"\x05",), "does not speak SOCKS5"),
        ((b"\x05\xff",), "NO ACCEPTABLE METHODS"),
        ((b"\x05\x00", b"\x05\x05\x00\x01" + bytes(6)), "Connection refused"),
        ((b"\x05\x00", b"\x05\x00\x00\x09" + bytes(6)), "does not speak SOCKS5"),
        ((b"\x05\x00", b"\x05"), "does not speak SOCKS5"),
    ],
)
def test_a_socks_proxy_that_refuses_is_one_line(monkeypatch, replies, said):
    with (
        ScriptedServer(respond(200, {})) as server,
        SocksProxy(server, replies=replies) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"socks5://{proxy.netloc}")
        with Transport(read_endpoint(FAR)) as transport:
            problem = transport.get("/x", 2).problem
        assert server.requests == []
    assert problem is not None and problem.error_class == "CONNECTION_FAILED"
    assert said in problem.message and proxy.netloc in problem.message


@needs_socks
def test_the_password_of_a_socks_proxy_is_never_said(monkeypatch):
    with (
        ScriptedServer(respond(200, {"said": "its pass-word is pass-word"})) as server,
        SocksProxy(server, ("me", "pass-word")) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"socks5://me:pass-word@{proxy.netloc}")
        with Transport(read_endpoint(FAR)) as transport:
            assert "pass-word" not in str(transport.get("/x").json)
        monkeypatch.setenv("ALL_PROXY", f"socks5://me:wrong-word@{proxy.netloc}")
        with Transport(read_endpoint(FAR)) as transport:
            problem = transport.get("/x").problem
    assert problem is not None and "wrong-word" not in problem.message
    assert "Invalid username/password" in problem.message

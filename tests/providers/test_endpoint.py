from __future__ import annotations

import base64
import socket

import pytest

from orket.errors import UsageError
from orket.providers.http.endpoint import read_endpoint, read_key
from orket.providers.http.transport import Transport
from tests.scripted import ScriptedServer

KEY = "sk-verysecretkey"


@pytest.mark.parametrize(
    ("given", "url", "locality"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "loopback"),
        ("localhost:1234", "http://localhost:1234", "loopback"),
        ("http://box.localhost:1234", "http://box.localhost:1234", "loopback"),
        ("http://[::1]:8080/v1/", "http://[::1]:8080/v1", "loopback"),
        ("https://api.example.org/base", "https://api.example.org/base", "remote"),
        ("http://0.0.0.0:80", "http://0.0.0.0:80", "loopback"),
        ("http://192.168.1.5:80", "http://192.168.1.5:80", "remote"),
    ],
)
def test_urls_are_read(given, url, locality):
    endpoint = read_endpoint(given)
    assert (endpoint.url, endpoint.locality) == (url, locality)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ftp://x",
        "http://",
        "http://h:99999",
        "http://h/?key=1",
        "http://a b/",
        "http://[x",
    ],
)
def test_what_is_no_url_is_one_clear_line(given):
    with pytest.raises(UsageError) as caught:
        read_endpoint(given)
    assert "\n" not in str(caught.value)


def test_user_info_is_used_and_never_shown():
    endpoint = read_endpoint("http://ada:s3cret-word@host:80")
    assert endpoint.url == "http://host:80"
    assert "s3cret-word" not in repr(endpoint)
    assert endpoint.authorization == "Basic YWRhOnMzY3JldC13b3Jk"
    assert endpoint.redact("no: s3cret-word, YWRhOnMzY3JldC13b3Jk") == (
        "no: [secret], [secret]"
    )


def test_an_unreadable_url_does_not_show_its_password():
    with pytest.raises(UsageError) as caught:
        read_endpoint("ftp://ada:s3cret-word@host")
    assert "s3cret-word" not in str(caught.value)


def test_a_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("SOME_KEY", f" {KEY}\n")
    endpoint = read_endpoint("http://host", api_key_env="SOME_KEY")
    assert endpoint.authorization == f"Bearer {KEY}"
    assert KEY not in repr(endpoint)
    assert endpoint.redact(f"bad key {KEY}") == "bad key [secret]"


def test_a_key_comes_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    assert read_key(None, path) == KEY


def test_a_missing_key_names_the_place(monkeypatch, tmp_path):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="SOME_KEY"):
        read_key("SOME_KEY", None)
    with pytest.raises(UsageError, match="nowhere"):
        read_key(None, tmp_path / "nowhere")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        read_key(None, tmp_path / "empty")
    with pytest.raises(UsageError, match="one"):
        read_key("SOME_KEY", tmp_path / "empty")


def test_a_key_that_would_break_a_header_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "abcd\r\nX: efgh")
    with pytest.raises(UsageError) as caught:
        read_endpoint("http://host", api_key_env="SOME_KEY")
    assert "efgh" not in str(caught.value)


PROXY_SECRET = "pr/oxy-pw"  # noqa: S105


def test_a_proxy_is_told_its_password_and_nobody_else(monkeypatch):
    def refuse(connection: socket.socket, request: bytes) -> None:
        said = f"407 no {PROXY_SECRET} pr%2foxy-pw".encode()
        connection.sendall(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(refuse) as proxy:
        place = proxy.url.removeprefix("http://")
        for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"http://ada:pr%2Foxy-pw@{place}")
        with Transport(read_endpoint("https://far.example.org")) as transport:
            reply = transport.get("/v1/models")
        (asked,) = proxy.requests
    token = base64.b64encode(f"ada:{PROXY_SECRET}".encode())
    assert b"CONNECT far.example.org" in asked
    assert b"Proxy-Authorization: Basic " + token in asked
    assert reply.problem is not None
    assert "407 no [secret] [secret]" in reply.problem.message


@pytest.mark.parametrize("rest", ["@proxy:port", "@[::1", "/x@proxy:3128"])
def test_a_proxy_that_cannot_be_read_is_said_without_its_password(rest, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://ada:pw-9{rest}")
    with pytest.raises(UsageError, match="the proxy that HTTPS_PROXY names") as refused:
        Transport(read_endpoint("https://far.example.org"))
    assert "pw-9" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http:/ada:pw-9@h:9", "http//ada:pw-9@h:9", "http%3A%2F%2Fada%3Apw-9%40h"]
)
def test_a_user_behind_the_host_is_refused_and_not_said(url):
    with pytest.raises(UsageError, match="behind its host") as refused:
        read_endpoint(url)
    assert "pw-9" not in str(refused.value)


def test_a_path_may_have_an_at():
    assert read_endpoint("http://u:p@h/a@b/v1").url == "http://h/a@b/v1"
    assert read_endpoint("http://[fe80::1%25eth0]:8").host == "fe80::1%25eth0"

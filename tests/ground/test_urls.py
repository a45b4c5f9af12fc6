"""What a URL tells, and what of it is never shown."""

from __future__ import annotations

import pytest

from orket.urls import is_loopback, without_passwords, without_secret


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("a.localhost", True),
        ("a.b.Localhost.", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("127.1", True),
        ("127.0.0.1.", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("localhost.example.org", False),
        ("notlocalhost", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("no-such-host.invalid", False),
        ("a..b", False),
    ],
)
def test_one_answer_to_whether_a_host_is_this_machine(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:80/v1", "http://host:80/v1"),
        ("http://ada:pw1@host:80/v1", "http://ada:[secret]@host:80/v1"),
        ("https://ada:p%40w1@host", "https://ada:[secret]@host"),
        ("http://ada:p@w1@host", "http://ada:[secret]@host"),
        ("http://tokenpw1@host", "http://[secret]@host"),
        ("http://:pw1@host", "http://[secret]@host"),
        ("ada:pw1@host:80", "ada:[secret]@host:80"),
        ("http://ada:p/w1@host", "http://ada:[secret]@host"),
        ("http://ada:p?w#1@host", "http://ada:[secret]@host"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("http://ada:pw1@[::1]:80", "http://ada:[secret]@[::1]:80"),
        ("http://host/a@b", "http://host/a@b"),
        ("", ""),
    ],
)
def test_a_password_is_hidden_whatever_it_holds(url, shown):
    assert without_secret(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no 'http://ada:pw1@h:1' here", "no 'http://[secret]@h:1' here"),
        ("two http://a:b@h and https://c@d/x", None),
        ("bare ada:pw1@127.0.0.1:9", "bare [secret]@127.0.0.1:9"),
        ("at http://ada:[secret]@h:80: x", "at http://ada:[secret]@h:80: x"),
        ("X:Q4_K_M@kv=q8_0, ctx=16k", "X:Q4_K_M@kv=q8_0, ctx=16k"),
        ("llama3.2:3b@q4_k_m and Q8_0@l:3b#1", "llama3.2:3b@q4_k_m and Q8_0@l:3b#1"),
        ("http://h/a@b", "http://h/a@b"),
        ("me@example.org: hello", "me@example.org: hello"),
    ],
)
def test_a_message_hides_the_user_info_of_every_url_in_it(text, shown):
    two = "two http://[secret]@h and https://[secret]@d/x"
    assert without_passwords(text) == (shown or two)

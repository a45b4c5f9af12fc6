"""What a URL tells, and what of it is never shown."""

from __future__ import annotations

import pytest

from orket.urls import is_loopback, without_secret


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

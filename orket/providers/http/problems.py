"""What can go wrong with a server, as facts: a class, one line, what it asked for.

Error classes: HTTP_<status> · CONNECTION_REFUSED · CONNECTION_FAILED ·
CONNECTION_LOST · TLS_ERROR · TIMEOUT · PROTOCOL_ERROR · LINE_TOO_LONG ·
RESPONSE_TOO_LONG · STREAM_ERROR · STREAM_INCOMPLETE · CONTEXT_EXCEEDED ·
SERVER_DIED · ENGINE_NOT_STARTED · IDENTITY_MISMATCH
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from orket.errors import EngineError, ServerError
from orket.text import storable
from orket.urls import without_secret

MAX_MESSAGE_CHARS = 300

_CONTEXT_EXCEEDED = re.compile(
    r"exceed\w*[ _](the )?(available |maximum )?(model'?s? )?context"
    r"|context[ _](length|size|window)[ _]?(is )?exceed"
    r"|maximum context length|prompt is too long|prompt too long",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call gave no answer."""

    error_class: str
    message: str
    """One line, secrets removed."""
    http_status: int | None = None
    retry_after_ns: int | None = None
    """How long the server asked to wait."""

    @property
    def outcome(self) -> str:
        return "TIMEOUT" if self.error_class == "TIMEOUT" else "FAILED"


class ProviderError(ServerError):
    """A server that cannot be used, with the class of the failure."""

    def __init__(
        self, message: str, hint: str | None = None, error_class: str = "FAILED"
    ) -> None:
        super().__init__(message, hint)
        self.error_class = error_class


class IdentityMismatch(ProviderError):
    """The server holds another model or quant than the one asked for."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, "IDENTITY_MISMATCH")


class EngineFailure(EngineError):
    """An engine that Orket starts itself did not start, or died."""

    def __init__(
        self, message: str, hint: str | None = None, error_class: str = "SERVER_DIED"
    ) -> None:
        super().__init__(message, hint)
        self.error_class = error_class


def one_line(message: str) -> str:
    """The message on one line, without control characters, of bounded length."""
    plain = "".join(c if c.isprintable() else " " for c in storable(message))
    joined = " ".join(plain.split())
    if len(joined) > MAX_MESSAGE_CHARS:
        joined = joined[: MAX_MESSAGE_CHARS - 1] + "…"
    return joined


def said_error(body: Any) -> str | None:
    """The message in an error object, in any of the shapes servers use."""
    if not isinstance(body, dict):
        return None
    for key in ("error", "detail", "message"):
        found = body.get(key)
        if isinstance(found, str) and found:
            return one_line(found)
        if isinstance(found, dict):
            inner = said_error(found)
            return inner or one_line(json.dumps(found, default=str))
        if isinstance(found, list) and found:
            return one_line(json.dumps(found, default=str))
    return None


def http_problem(status: int, headers: dict[str, str], body: bytes) -> Problem:
    """The problem that a response with this status is."""
    message = _body_message(headers, body)
    if 300 <= status < 400:
        target = headers.get("location", "an unnamed address")
        return Problem(
            f"HTTP_{status}",
            one_line(
                f"the server redirects to {without_secret(target)}, which is "
                "not followed: use that URL"
            ),
            status,
        )
    if status == 400 and _CONTEXT_EXCEEDED.search(message):
        return Problem("CONTEXT_EXCEEDED", message, status)
    retry_after_ns = _retry_after_ns(headers.get("retry-after"))
    if retry_after_ns is not None:
        message = f"{message} (retry after {retry_after_ns // 1_000_000_000} s)"
    return Problem(f"HTTP_{status}", message, status, retry_after_ns)


def stream_problem(body: Any, http_status: int | None) -> Problem | None:
    """The problem that an event inside a stream of status 200 reports, if it does."""
    if not isinstance(body, dict):
        return None
    # Earlier vLLM writes an error flat, as {"object": "error", "message": ...}.
    if body.get("error") in (None, "", {}) and body.get("object") != "error":
        return None
    message = said_error(body) or one_line(str(body.get("error")))
    kind = "CONTEXT_EXCEEDED" if _CONTEXT_EXCEEDED.search(message) else "STREAM_ERROR"
    return Problem(kind, message, http_status)


def _body_message(headers: dict[str, str], body: bytes) -> str:
    text = body[:65_536].decode("utf-8", "replace")
    if looks_like_html(headers, body):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
        about = f": {title.group(1)}" if title else ""
        return one_line(f"an HTML page instead of an answer{about}")
    try:
        said = said_error(json.loads(text))
    except (ValueError, RecursionError):
        said = None
    return said or one_line(text) or "no message"


def looks_like_html(headers: dict[str, str], body: bytes) -> bool:
    """Whether a proxy or a web server answered, and not a model server."""
    if "text/html" in headers.get("content-type", ""):
        return True
    return body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _retry_after_ns(value: str | None) -> int | None:
    if value is None or not re.fullmatch(r"\d{1,6}", value.strip()):
        return None
    return int(value) * 1_000_000_000

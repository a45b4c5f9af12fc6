"""What every dialect has: its routes, its error shape and the names of its figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from orket.mockserver.engine import Engine
from orket.mockserver.faults import FigureNames
from orket.mockserver.profile import MockModel
from orket.mockserver.replies import Event, Reply, Request, Stream
from orket.text import whole_number


class Dialect(ABC):
    """One server's way of speaking. It holds no state; the engine does."""

    name: ClassVar[str]
    default_port: ClassVar[int]
    newest_version: ClassVar[str]
    figures: ClassVar[FigureNames]
    generating: ClassVar[frozenset[str]]
    """Paths on which text is generated."""
    ends_after_error: ClassVar[bool] = False
    """Whether a stream still sends its final record after an error event."""

    def start(self, engine: Engine) -> None:
        """Bring the engine into the state of a server that has just started."""
        engine.resident.clear()

    def generates(self, path: str, body: dict[str, Any]) -> bool:
        """Whether this request is to make text (a load request is not)."""
        return path in self.generating

    @abstractmethod
    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        """Answer one request."""

    @abstractmethod
    def error(self, status: int, message: str) -> dict[str, Any]:
        """The body of an error."""

    def stream_error(self, message: str) -> Event:
        """An error as an event inside a stream."""
        return Event(self.error(500, message), final=True)

    def complaint(self, status: int, request: Request) -> str:
        """What the server says when it refuses with `status`."""
        name = request.body.get("model", "")
        return {
            401: "invalid API key",
            404: f"model '{name}' not found",
            429: "too many requests",
            500: "internal error",
            503: "Loading model",
        }[status]

    def version(self, engine: Engine) -> str:
        return engine.profile.version or self.newest_version

    def not_found(self, request: Request) -> Reply:
        return Reply(self.error(404, f"no route {request.method} {request.path}"), 404)


class OneModelDialect(Dialect):
    """A server started for one model: the first of the profile, always resident."""

    tells_quant: ClassVar[bool] = False

    def start(self, engine: Engine) -> None:
        engine.load(engine.profile.models[0])

    def served(self, engine: Engine) -> MockModel:
        """The model as described; without quants to tell, a wrong one has its name."""
        model = engine.shown(engine.profile.models[0])
        if engine.faults.holds("wrong-quant") and not self.tells_quant:
            return replace(model, name="somebody-else")
        return model


def user_prompt(messages: Any) -> tuple[str, str]:
    """(the whole conversation, the last user message) of a chat request."""
    texts: list[str] = []
    last = ""
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
            if message.get("role") == "user":
                last = content
    return "\n".join(texts), last


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of a dotted version; what follows a dash does not count."""
    parts = text.split("-")[0].split(".")
    return tuple(whole_number(part) or 0 for part in parts)

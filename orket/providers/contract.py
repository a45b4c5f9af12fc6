"""What every adapter promises: one call in, raw facts out.

An adapter talks to one server. It never judges and never estimates: what the server
did not say is None. `generate` turns every failure of the server into facts (an
outcome, a class, a message); it raises only on misuse of the adapter itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from orket.providers.options import ServerOptions as ServerOptions
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model in one quant, and what its server calls it."""

    model_id: str
    """The model as the preset names it."""
    quant_tag: str
    """The quant as the preset names it."""
    name: str
    """The server's name for it: a tag, a key, an alias."""
    path: Path | None = None
    """The GGUF file, where it lies on this machine."""
    clash: str | None = field(default=None, compare=False)
    """How what is said of it contradicts its name; None where nothing does."""
    barred: str | None = field(default=None, compare=False)
    """Why it is no quant that can be measured here; None where it is one."""
    digest: str | None = field(default=None, compare=False)
    """That of its weights, where a list of the server's names it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One model call as it is to be made."""

    model: ModelRef
    prompt: str
    """The user message exactly as sent; a nonce, if any, is already in it."""
    max_tokens: int
    controls: Controls
    stream: bool = True
    system: str | None = None
    prompt_cache: str = "disabled"
    """`disabled`: ask the server not to use its prompt cache; `nonce`: it is defeated
    by the prompt; `uncontrolled`: neither."""
    timeout_seconds: float = 300.0

    @property
    def messages(self) -> list[dict[str, str]]:
        """The request as a chat: a system message, if there is one, and the user's."""
        said = [{"role": "user", "content": self.prompt}]
        if self.system is not None:
            said.insert(0, {"role": "system", "content": self.system})
        return said


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself, asked once when a sweep starts."""

    provider: str
    version: str | None
    endpoint: str | None
    """URL without user info."""
    locality: str
    """`child` (started by Orket), `loopback` or `remote`."""
    capabilities: Capabilities
    tls_verified: bool | None = None
    """None where the URL has no TLS."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to answer, with what could be verified of it."""

    model: ModelRef
    load_ns: int | None = None
    """Time to load, outside any timed run. None where it was already resident."""
    effective: Controls = field(default_factory=Controls)
    """Controls read back; None in a field that cannot be verified."""
    unsupported: tuple[str, ...] = ()
    """Names of requested controls that this server does not have."""
    digest: str | None = None
    """Identity of the weights: sha256 of the file or the server's digest."""
    model_bytes: int | None = None
    parameters: int | None = None
    reported_quant: str | None = None
    tensor_types: tuple[tuple[str, int], ...] = ()
    """How many tensors are stored in which type; empty where nobody says."""
    publisher: str | None = None
    """Who made these weights."""
    reported_memory_bytes: int | None = None
    reported_gpu_bytes: int | None = None
    """Of these, in the memory of a GPU."""
    cpu_only: bool | None = None
    compute_threads: int | None = None
    pids: tuple[int, ...] = ()
    """Root processes of the server, where Orket started it; else empty."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the server tells of the model's shape, by the keys of a GGUF header."""
    context_limit: int | None = None
    """The longest context in tokens that the model takes."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that a server keeps in memory, bytes."""

    name: str
    total_bytes: int
    gpu_bytes: int
    """Of the total, in the memory of a GPU."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Quants of a model that its server can be told to fetch."""

    commands: Mapping[str, str] = field(default_factory=dict)
    """Quant -> the command that fetches it, where its library has it."""
    page: str | None = None
    """Where all quants of the model are listed."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What the server says of its traffic, all clients together."""

    requests_processing: int | None = None
    tokens_generated: int | None = None


class Adapter(Protocol):
    """One server, spoken to at its richest interface."""

    name: str

    def describe(self) -> ServerInfo:
        """Ask the server what it is and can. Raises ServerError when it is down."""
        ...

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Make `model` resident and verify that it is what was asked for.

        Raises ServerError or EngineError; error class IDENTITY_MISMATCH when the
        server holds another model or quant under that name.
        """
        ...

    def generate(self, request: Generation) -> CallFacts:
        """Make one model call. Every failure is in the facts."""
        ...

    def other_models(self) -> list[str] | None:
        """Models resident beside the loaded one; None when the server cannot say."""
        ...

    def server_load(self) -> ServerLoad | None:
        """The server's own traffic counters; None when it has none."""
        ...

    def unload(self) -> None:
        """Unload what this adapter loaded itself, and prove it gone."""
        ...

    def close(self) -> None:
        """Let go of the server and of every connection."""
        ...


@runtime_checkable
class ListsModels(Protocol):
    """An adapter that can say what is installed on its server."""

    def installed_models(self) -> list[ModelRef]:
        """The installed models, each with its quant. Raises ServerError."""
        ...


@runtime_checkable
class Identifies(Protocol):
    """An adapter whose server tells of a model before it is loaded."""

    def identify(self, model: ModelRef) -> LoadedModel:
        """Identity and size of a model. Raises ServerError where it is not there."""
        ...


@runtime_checkable
class TellsResident(Protocol):
    """An adapter whose server makes room for a model by unloading idle ones."""

    def resident_models(self) -> list[Resident]:
        """What is in memory now. Raises ServerError."""
        ...


@runtime_checkable
class Fetches(Protocol):
    """An adapter whose server can fetch further quants of an installed model."""

    def offers(self, model: ModelRef) -> Offers:
        """The usual quants of this very model, by the names its library would use.

        No library is asked. Raises ServerError.
        """
        ...


@runtime_checkable
class SaysReady(Protocol):
    """An adapter that can find out cheaply whether its server takes calls."""

    def is_ready(self) -> bool:
        """Whether the server answers, and has loaded what it serves."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the weights of a loaded model lie, in bytes."""

    total_bytes: int
    gpu_bytes: int


@runtime_checkable
class ReadsLog(Protocol):
    """An adapter that finds controls in what its server wrote when it started."""

    def read_log(self, log: str) -> Controls:
        """The controls that a log tells; None in a field that it does not."""
        ...

    def read_placement(self, log: str) -> Placement | None:
        """Where the log says that the weights lie; None where it does not."""
        ...


@runtime_checkable
class StartsServers(Protocol):
    """An adapter whose server is there only while a model is loaded."""

    info: ServerInfo | None
    """What the server that was loaded last said of itself; None before the first."""


@runtime_checkable
class ScoresPath(Protocol):
    """An adapter whose server tells the likeliest tokens at each place of an answer.

    Optional. What the server cannot do is in the facts: `level` and `method` say what
    was done, `error_class` why there are no lists.
    """

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer of the loaded model, with k likeliest tokens a place."""
        ...

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The k likeliest tokens of the loaded model along another model's answer."""
        ...

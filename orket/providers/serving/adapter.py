"""Servers by the user's own command: one for each quant, started and ended by Orket.

Whatever the command serves is spoken to by the adapter that speaks to such servers, and
what it says of itself is verified as that of any other server.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import msgspec

from orket.errors import OrketError, UsageError
from orket.providers.contract import (
    Adapter,
    Generation,
    LoadedModel,
    ModelRef,
    ReadsLog,
    SaysReady,
    ScoresPath,
    ServerInfo,
    ServerLoad,
    ServerOptions,
)
from orket.providers.http.endpoint import (
    MIN_REDACTED_CHARS,
    read_endpoint,
    spellings,
)
from orket.providers.http.problems import EngineFailure, one_line
from orket.providers.serving.child import ChildProcess
from orket.providers.serving.command import (
    HOST,
    PORT,
    ServeCommand,
    find_untold,
    read_command,
    told_of,
)
from orket.providers.serving.ports import KEEPER, LOOPBACK, find_free_port, is_taken
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts
from orket.text import file_stem, whole_number
from orket.urls import HIDDEN

READY_POLL_SECONDS = 0.1
KEEPER_SECONDS = 30.0
LOG_SECONDS = 1.0
"""What a server logs may come after its first answer, on a busy machine."""
LOG_POLL_SECONDS = 0.02
DYING_SECONDS = 1.0
"""A server that broke a connection may take a moment to be gone."""
_LOST = frozenset({"CONNECTION_REFUSED", "CONNECTION_FAILED", "CONNECTION_LOST"})

Create = Callable[[ServerOptions], Adapter]


class ServingAdapter:
    """Starts a server for the quant that is loaded, and ends it with the next."""

    def __init__(self, name: str, create: Create, options: ServerOptions) -> None:
        assert options.serve_cmd is not None
        self.name = name
        self._create, self._options = create, options
        self._command = read_command(options.serve_cmd)
        self._port = _read_port(self._command, options.url)
        self.info: ServerInfo | None = None
        self._child: ChildProcess | None = None
        self._inner: Adapter | None = None
        self._log_path: Path | None = None

    def describe(self) -> ServerInfo:
        """What the running server says; before the first, only that it can be started.

        Raises UsageError where there is no such program.
        """
        if shutil.which(self._command.program) is None:
            raise UsageError(
                f"there is no program {self._command.program!r}",
                "install it, or give its path in --serve-cmd",
            )
        if self._inner is not None:
            return self._own_info(self._inner)
        return self.info or ServerInfo(
            provider=self.name,
            version=None,
            endpoint=None,
            locality="child",
            capabilities=Capabilities(),
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Start the server of this quant and verify what it holds.

        Raises EngineFailure for one that ends, or does not answer in time, with what
        it wrote last; IdentityMismatch for one that holds something else.
        """
        self.unload()
        began_ns = time.monotonic_ns()
        try:
            child = self._start(model, controls)
            inner = self._await_ready(model, child)
            load_ns = time.monotonic_ns() - began_ns
            info = self._own_info(inner)
            loaded = inner.load(model, controls)
        except BaseException:
            self.unload()
            raise
        self.info = info
        return self._with_own_word(loaded, child, controls, load_ns)

    def generate(self, request: Generation) -> CallFacts:
        """Make one model call; a dead server is a failed call."""
        inner, child = self._running()
        facts = inner.generate(request)
        if facts.error_class in _LOST and not child.is_alive(DYING_SECONDS):
            return msgspec.structs.replace(
                facts,
                error_class="SERVER_DIED",
                error_message=one_line(
                    f"the server ended: {self._clean(child.explain_death())}"
                ),
            )
        return facts

    def other_models(self) -> list[str] | None:
        """Other models that the server holds."""
        return self._running()[0].other_models()

    def server_load(self) -> ServerLoad | None:
        """The server's own counters; None while none runs."""
        return self._inner.server_load() if self._inner else None

    def unload(self) -> None:
        """End the server with all that it started. Raises EngineFailure if it stays."""
        inner, child = self._inner, self._child
        self._inner = self._child = None
        try:
            if inner is not None:
                inner.close()
        except OrketError:
            # It is ended in any case.
            pass
        finally:
            if child is not None:
                child.stop()

    def close(self) -> None:
        """End the server."""
        self.unload()

    def _own_info(self, inner: Adapter) -> ServerInfo:
        """What a server says; its address is another each time, and of no use later."""
        return replace(inner.describe(), locality="child", endpoint=None)

    def _running(self) -> tuple[Adapter, ChildProcess]:
        if self._inner is None or self._child is None:
            raise UsageError("no server is running", "load a model first")
        return self._inner, self._child

    def _start(self, model: ModelRef, controls: Controls) -> ChildProcess:
        told = told_of(model, controls)
        if untold := find_untold(self._command, told, model.quant_tag):
            raise UsageError(f"{model.model_id} {model.quant_tag}: {untold}")
        port = self._port or find_free_port()
        if is_taken(port):
            raise EngineFailure(
                f"something answers at port {port} already",
                "end it, or leave the port open: {port} in the command",
                "ENGINE_NOT_STARTED",
            )
        told |= {PORT: str(port), HOST: LOOPBACK}
        self._log_path = _next_log(self._options.log_folder, model)
        child = self._child = ChildProcess(KEEPER, self._log_path)
        keep = {
            "argv": self._command.fill(told),
            "cpus": None,
            "secrets": self._secrets(),
        }
        said = child.hear(keep, KEEPER_SECONDS)
        if not said:
            self._refuse(model, child, f"did not start ({child.explain_death()})")
        self._pid = int(said["pid"])
        url = f"http://{LOOPBACK}:{port}"
        self._inner = self._create(replace(self._options, url=url, serve_cmd=None))
        return child

    def _await_ready(self, model: ModelRef, child: ChildProcess) -> Adapter:
        """The adapter, once its server answers as one that is ready."""
        inner, limit = self._inner, self._options.serve_timeout_seconds
        assert inner is not None
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if not child.is_alive():
                self._refuse(model, child, f"ended ({child.explain_death()})")
            if _is_ready(inner):
                return inner
            time.sleep(READY_POLL_SECONDS)
        self._refuse(model, child, f"did not answer within {limit} s")

    def _refuse(self, model: ModelRef, child: ChildProcess, what: str) -> NoReturn:
        lines = " | ".join(child.last_lines())
        where = f"; its output is in {self._log_path}" if self._log_path else ""
        raise EngineFailure(
            one_line(self._clean(f"the server of {model.quant_tag} {what}")),
            self._clean(f"it wrote last: {lines or 'nothing'}") + where,
            "ENGINE_NOT_STARTED",
        )

    def _with_own_word(
        self,
        loaded: LoadedModel,
        child: ChildProcess,
        controls: Controls,
        load_ns: int,
    ) -> LoadedModel:
        """What was loaded, with what the command was told and the log says."""
        effective = loaded.effective
        if isinstance(self._inner, ReadsLog):
            log = _await_log(self._inner, child, controls)
            said = self._inner.read_log(log)
            if placed := self._inner.read_placement(log):
                loaded = replace(
                    loaded,
                    reported_memory_bytes=placed.total_bytes,
                    reported_gpu_bytes=placed.gpu_bytes,
                    cpu_only=placed.gpu_bytes == 0,
                )
            effective = msgspec.structs.replace(
                effective,
                kv_cache=effective.kv_cache or said.kv_cache,
                threads=effective.threads or said.threads,
            )
        return replace(
            loaded,
            load_ns=load_ns,
            effective=effective,
            unsupported=tuple(
                name for name in loaded.unsupported if name not in self._command.sets
            ),
            pids=(self._pid,),
        )

    def _secrets(self) -> list[str]:
        key = read_endpoint(
            f"http://{LOOPBACK}", self._options.api_key_env, self._options.api_key_file
        ).secrets
        told = self._command.secrets()
        # A server may say the key of `Bearer KEY` alone.
        told += [secret.rpartition(" ")[2] for secret in told]
        told += [unquote(secret) for secret in told]
        secrets = {*key, *(word for secret in told for word in spellings(secret))}
        # A shorter one is no secret, and would be found in every text.
        long = [each for each in secrets if len(each) >= MIN_REDACTED_CHARS]
        return sorted(long, key=len, reverse=True)

    def _clean(self, text: str) -> str:
        for secret in self._secrets():
            text = text.replace(secret, HIDDEN)
        return text


class ScoringAdapter(ServingAdapter):
    """The same where the servers tell the likeliest tokens."""

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens."""
        return self._scorer().score_answer(request, k)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The likeliest tokens along another model's answer."""
        return self._scorer().score_along(request, k, answer)

    def _scorer(self) -> ScoresPath:
        inner, _ = self._running()
        assert isinstance(inner, ScoresPath)
        return inner


def serve(name: str, create: Create, options: ServerOptions) -> ServingAdapter:
    """The adapter that starts servers by `options.serve_cmd` and speaks as `name`."""
    scores = hasattr(create, "score_answer")
    return (ScoringAdapter if scores else ServingAdapter)(name, create, options)


def _is_ready(adapter: Adapter) -> bool:
    if isinstance(adapter, SaysReady):
        return adapter.is_ready()
    try:
        adapter.describe()
    except OrketError:
        return False
    return True


def _read_port(command: ServeCommand, url: str | None) -> int | None:
    """The port that a URL asks for; None for any free one. Raises UsageError."""
    if url is None:
        if PORT not in command.placeholders:
            raise UsageError(
                f"the command {command.shown()} does not say {{port}}",
                "add it where the server takes its port, or give --url with its own",
            )
        return None
    endpoint = read_endpoint(url)
    if endpoint.locality != "loopback":
        raise UsageError(
            f"a command is run on this machine, not at {endpoint.url}",
            "leave out the URL, or leave out the command",
        )
    port = urlsplit(endpoint.url).port
    if port is None:
        raise UsageError(
            f"{endpoint.url} names no port", "give it: http://127.0.0.1:8000"
        )
    return port


def _await_log(inner: ReadsLog, child: ChildProcess, asked: Controls) -> str:
    """The log, once it tells what was asked for, or as it is after a second."""
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        log = child.read_log()
        told = inner.read_log(log)
        lacks_threads = told.threads is None and whole_number(asked.threads) is not None
        lacks_cache = told.kv_cache is None and asked.kv_cache is not None
        if not (lacks_threads or lacks_cache) or time.monotonic() > deadline:
            return log
        time.sleep(LOG_POLL_SECONDS)


def _next_log(folder: Path | None, model: ModelRef) -> Path | None:
    """A file that is not there yet, named by model and quant."""
    if folder is None:
        return None
    stem = file_stem(f"{model.model_id}-{model.quant_tag}")
    number = 1
    while (path := folder / f"{stem}-{number}.log").exists():
        number += 1
    return path

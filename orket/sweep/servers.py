"""The servers of a sweep: one adapter per URL, described once, closed at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orket.errors import OrketError, ServerError
from orket.machine.clock import Clock
from orket.planning.plan import Plan
from orket.planning.targets import Target
from orket.providers.contract import (
    Adapter,
    Identifies,
    LoadedModel,
    ModelRef,
    ServerInfo,
    StartsServers,
)
from orket.providers.http.problems import IdentityMismatch
from orket.providers.registry import create_adapter
from orket.quants import same_quant, without_any_label
from orket.records import Controls
from orket.sweep.failures import GONE_SERVER, error_class
from orket.urls import without_secret

REVISION = "revision:"
"""Begins what names the revision of a repository in place of a digest."""


class Servers:
    """Adapters by URL, and what is resident at each."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        logs: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`logs` is where the output of servers that Orket starts is kept; `tell`
        hears of what a server refused when it was let go of."""
        self._logs = logs
        self._tell = tell
        self._plan = plan.server
        self._clock = clock
        self._adapters: dict[str | None, Adapter] = {}
        self._infos: dict[str | None, ServerInfo] = {}
        self._digests: dict[ModelRef, str | None] = {}
        self._served: dict[Target, str | None] = {}
        self._resident: dict[str | None, tuple[Target, Controls, LoadedModel]] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def adapter(self, target: Target) -> Adapter:
        """The adapter that serves a target, created on first use."""
        if target.url not in self._adapters:
            self._adapters[target.url] = create_adapter(
                self._plan.provider,
                replace(
                    self._plan.options,
                    url=target.url,
                    clock=self._clock,
                    log_folder=self._logs,
                ),
            )
        return self._adapters[target.url]

    def info(self, target: Target) -> ServerInfo:
        """What the target's server says of itself. Raises ServerError."""
        adapter = self.adapter(target)
        if isinstance(adapter, StartsServers) and adapter.info is not None:
            # Each quant has a server of its own.
            return adapter.info
        if target.url not in self._infos:
            self._infos[target.url] = adapter.describe()
        return self._infos[target.url]

    def identify(self, target: Target) -> LoadedModel | None:
        """What is known of a target without loading it; None where nothing is."""
        adapter = self.adapter(target)
        if target.digest is not None or not isinstance(adapter, Identifies):
            return None
        try:
            return adapter.identify(target.ref)
        except ServerError:
            # Its block will record why it cannot be loaded.
            return None

    def load(self, target: Target, controls: Controls) -> LoadedModel:
        """Make a target resident; what is known to be resident is not loaded again.

        Raises ServerError or EngineError.
        """
        known = self._resident.get(target.url)
        if known and known[0] == target and known[1] == controls:
            return known[2]
        self.forget(target)
        loaded = self.adapter(target).load(target.ref, controls)
        self._require_same(target, loaded)
        self.require_apart(target, loaded)
        self._resident[target.url] = target, controls, loaded
        return loaded

    def expect(self, target: Target, digest: str) -> None:
        """Remember the weights that a target had when it was measured before."""
        self._digests.setdefault(target.ref, digest)

    def _require_same(self, target: Target, loaded: LoadedModel) -> None:
        """Refuse other weights than a target had before in this sweep."""
        first = self._digests.setdefault(target.ref, loaded.digest)
        if first and loaded.digest and first != loaded.digest:
            raise IdentityMismatch(
                f"{target.ref.name} has other weights now than when the sweep began",
                "measure the new ones in a sweep of their own",
            )

    def require_apart(self, target: Target, loaded: LoadedModel) -> None:
        """Refuse the same weights under two quants at two servers: one name lies.

        A label may tell two servers of one file apart: `Q8_0@here`, `Q8_0@there`. A
        revision of a repository is no digest: a server may quantize what it loads.
        """
        digest = loaded.digest
        if digest is not None and not digest.startswith(REVISION):
            for other in self._served:
                if self._served[other] == digest and _is_other_quant(target, other):
                    raise IdentityMismatch(
                        f"{_place(other)} and {_place(target)} are the same weights",
                        "give each quant the server that holds it",
                    )
        self._served[target] = digest

    def forget(self, target: Target) -> None:
        """Take nothing at the target's server for resident any more."""
        self._resident.pop(target.url, None)

    def close(self) -> None:
        """Let go of every server, whatever one of them says to it."""
        adapters = list(self._adapters.values())
        self._adapters.clear()
        self._resident.clear()
        failure: Exception | None = None
        for adapter in adapters:
            try:
                adapter.close()
            except OrketError as error:
                # What is gone holds no model any more. What was measured stays measured
                # whatever a server does afterwards.
                if error_class(error) not in GONE_SERVER:
                    self._tell(str(error))
            except Exception as error:
                failure = error
        if failure:
            raise failure


def _is_other_quant(one: Target, other: Target) -> bool:
    """Whether two targets are another quant of one model at another server."""
    quants = [without_any_label(target.ref.quant_tag) for target in (one, other)]
    same_model = one.ref.model_id == other.ref.model_id
    return same_model and one.url != other.url and not same_quant(*quants)


def _place(target: Target) -> str:
    return f"{target.ref.quant_tag} at {without_secret(target.url or '')}"

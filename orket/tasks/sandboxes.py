"""The sandboxes by name: which there are, and how one is opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from orket.errors import UsageError
from orket.tasks.sandbox import UNSUPPORTED, Outcome, Sandbox

NAMES = ("monty", "process", "monty+process")


class FallbackSandbox:
    """Runs in the second sandbox what the first one cannot run."""

    def __init__(self, first: Sandbox, second: Sandbox) -> None:
        self._first, self._second = first, second
        self.name = f"{first.name}+{second.name}"

    @property
    def label(self) -> str:
        """Both labels: the walls of the second stand around what gets there."""
        return f"{self._first.label}, else {self._second.label}"

    def run(self, code: str, calls: Sequence[str]) -> list[Outcome]:
        """All calls in one sandbox: a call may build on what an earlier one left."""
        outcomes = self._first.run(code, calls)
        if any(outcome.kind == UNSUPPORTED for outcome in outcomes):
            return self._second.run(code, calls)
        return outcomes

    def close(self) -> None:
        """Let go of both."""
        self._first.close()
        self._second.close()


def open_sandbox(name: str | None = None) -> Sandbox | None:
    """A sandbox by name; it starts its processes when the first code is run.

    None is `monty` where its package is installed, else no sandbox, and "none" is
    none. Without a sandbox code checks are unsupported, never failed. Raises
    UsageError.
    """
    if name == "none":
        return None
    if name is None:
        if importlib.util.find_spec("pydantic_monty") is None:
            return None
        name = "monty"
    if name == "monty+process":
        first, second = open_sandbox("monty"), open_sandbox("process")
        assert first is not None
        assert second is not None
        return FallbackSandbox(first, second)
    if name == "monty":
        from orket.tasks.monty_sandbox import MontySandbox

        return MontySandbox()
    if name == "process":
        from orket.tasks.process_sandbox import ProcessSandbox

        return ProcessSandbox()
    raise UsageError(f"no sandbox named {name!r}", f"use {', '.join(NAMES)} or none")

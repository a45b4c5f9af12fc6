"""Where code answers run: never in Orket's own process, always within limits.

    monty      a Python interpreter in Rust, in a worker process, without any door to
               the host: no files, no network, no environment. The default.
    process    a separate CPython behind the walls this machine offers. Opt-in.

A sandbox gets the code of an answer and some calls, and gives back what each call
did. It never learns what was expected, so code that takes over its own sandbox
cannot forge a right result without computing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CALL_SECONDS = 2.0
"""Limit of one call, and of running the code once, in the monty sandbox."""

ANSWER_SECONDS = 6.0
"""Limit of all calls of one answer together."""

MEMORY_BYTES = 64 * 1024 * 1024
"""Heap of an answer in the monty sandbox."""

OUTPUT_BYTES = 64 * 1024
"""What an answer may print before that counts as flooding."""

FROZEN_EPOCH_SECONDS = 1_767_225_600
"""What every clock in a sandbox shows: 2026-01-01 00:00 UTC."""

VALUE = "value"
RAISED = "raised"
STOPPED = "stopped"
UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Outcome:
    """What one call did."""

    kind: str
    """VALUE, RAISED (by the answer), STOPPED (by a limit) or UNSUPPORTED."""
    value: Any = None
    error: tuple[str, ...] = ()
    """Names of the exception's class and of its bases."""
    reason: str | None = None
    """Which limit stopped it, or what the sandbox lacks."""


class Sandbox(Protocol):
    """Runs the code of one answer and then calls into it."""

    name: str

    @property
    def label(self) -> str:
        """For people: the name and the walls that stand on this machine."""
        ...

    def run(self, code: str, calls: Sequence[str]) -> list[Outcome]:
        """One outcome per call. Never raises on account of the code."""
        ...

    def close(self) -> None:
        """Let go of every process."""
        ...

"""The sandboxes by name: which there are, and how one is opened."""

from __future__ import annotations

import importlib.util

from orket.errors import UsageError
from orket.tasks.sandbox import Sandbox

NAMES = ("monty", "process")


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
    if name == "monty":
        from orket.tasks.monty_sandbox import MontySandbox

        return MontySandbox()
    if name == "process":
        from orket.tasks.process_sandbox import ProcessSandbox

        return ProcessSandbox()
    raise UsageError(f"no sandbox named {name!r}", f"use {', '.join(NAMES)} or none")

"""What is sent for a task, and how a prompt cache is kept out of it."""

from __future__ import annotations

from dataclasses import dataclass

from orket.planning import identity
from orket.planning.rounds import ANSWERS_REPETITION, REPEAT
from orket.records import Capabilities
from orket.tasks.bank import Task

DISABLED, NONCE = "disabled", "nonce"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it goes out."""

    text: str
    system: str | None
    nonce: str | None
    sha256: str


def cache_mode(capabilities: Capabilities) -> str:
    """`disabled` where the server can switch its prompt cache off, else `nonce`."""
    return DISABLED if capabilities.cache_control else NONCE


def make_prompt(task: Task, revision: str, mode: str, ordinal: int | str) -> Prompt:
    """The prompt of a task; a nonce goes in front of all that a cache could know."""
    if mode == DISABLED:
        return Prompt(
            task.prompt,
            task.system,
            None,
            identity.prompt_hash(task.prompt, task.system),
        )
    nonce = identity.make_nonce(revision, ordinal)
    text, system = task.prompt, task.system
    if system is None:
        text = identity.put_nonce(text, nonce)
    else:
        system = identity.put_nonce(system, nonce)
    return Prompt(text, system, nonce, identity.prompt_hash(text, system))


def nonce_ordinal(phase: str, repetition: int, nonce_rule: str) -> int | str:
    """What a nonce depends on beside the task; compared repetitions share one."""
    if phase == "warmup":
        return f"warmup-{repetition}"
    if phase in ("canary", "anchor") or nonce_rule == identity.SHARED_NONCE_RULE:
        return 0
    if phase == REPEAT and repetition == ANSWERS_REPETITION:
        return 1  # The same prompt again: that is what it is for.
    return repetition

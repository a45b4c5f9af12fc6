"""Names that follow from content: hashes of plans and runs, ids of sweeps, nonces."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

NONCE_RULE = "disabled-else-letters-by-revision-and-repetition/1"
SHARED_NONCE_RULE = "disabled-else-one-nonce-and-filler/1"
NONCE_LETTERS = 8
"""Letters of a nonce: 37 bits. Each is one token for the tokenizers in use, so that
every nonce has the same length."""

_ID_DIGITS = 32


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no spaces, nothing but integers and text."""
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def hash_of(value: object) -> str:
    """sha256 of the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


def run_id(
    sweep_id: str,
    phase: str,
    model: Mapping[str, Any],
    quant_tag: str,
    test_id: str,
    task_revision: str,
    repetition: int,
) -> str:
    """Identity of a planned run; `repetition` is the ordinal of a warm-up."""
    parts = [sweep_id, phase, model, quant_tag, test_id, task_revision, repetition]
    return hash_of(parts)[7 : 7 + _ID_DIGITS]


def attempt_id(planned_run: str, number: int, executor_started_at: datetime) -> str:
    """Identity of one attempt at a planned run."""
    parts = [planned_run, number, executor_started_at.isoformat()]
    return hash_of(parts)[7 : 7 + _ID_DIGITS]


def new_sweep_id(preset: str, now: datetime) -> str:
    """A fresh id that sorts by time and says which preset it ran."""
    name = re.sub(r"[^a-z0-9.]+", "-", preset.lower()).strip("-.") or "sweep"
    return f"{now:%Y%m%d-%H%M%S}-{name[:40]}-{secrets.token_hex(3)}"


def make_nonce(task_revision: str, ordinal: int | str) -> str:
    """Letters that make a prompt new to a cache, the same over quants and sweeps."""
    digest = hashlib.sha256(f"{task_revision}|{ordinal}".encode()).digest()
    return " ".join(chr(ord("a") + byte % 26) for byte in digest[:NONCE_LETTERS])


def put_nonce(text: str, nonce: str) -> str:
    """The text with the nonce in front, where a prefix cache looks first."""
    return f"[{nonce}]\n{text}"


def prompt_hash(prompt: str, system: str | None) -> str:
    """Hash of everything that is sent as the prompt."""
    content = f"{system}\x00{prompt}" if system is not None else prompt
    return "sha256:" + hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()

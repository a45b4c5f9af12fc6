"""Tells what format a file is, from its first bytes and keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.ingest.reading import BOM, open_file

FORMATS = (
    "orket",
    "llama-bench",
    "determinism",
    "baseline",
    "lm-eval",
    "guidellm",
)

_HEAD_BYTES = 256 * 1024
_KEY = re.compile(r'"([A-Za-z_][\w-]*)"\s*:')
_IDENTITIES = {"attempt_id", "sidecar_id", "event_id", "manifest_id", "sweep_id"}


def detect_format(path: Path) -> str:
    """One of FORMATS. Raises UsageError when the file is none that is known."""
    with open_file(path) as file:
        head = file.read(_HEAD_BYTES).removeprefix(BOM)
    text = head.decode("utf-8", errors="replace")
    found = _detect_text(text) or _detect_keys(text)
    if found is None:
        raise UsageError(
            f"{path}: cannot tell its format",
            f"name it with --format: {', '.join(FORMATS)}",
        )
    return found


def _detect_text(text: str) -> str | None:
    if text.startswith("build_commit,") or re.search(r"^\| *model *\|", text, re.M):
        return "llama-bench"
    if re.search(r"^(CREATE TABLE|INSERT INTO)\b.*\b(llama_bench|test)\b", text, re.M):
        return "llama-bench"
    return None


def _detect_keys(text: str) -> str | None:
    """By the keys of the first JSON object, complete or cut off at the head's end."""
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return None
    first_line = start.split("\n", 1)[0]
    keys = set(_object_keys(first_line) or _KEY.findall(text))
    if keys & _IDENTITIES or keys == {"dataset"}:
        return "orket"
    if "baseline_metadata" in keys or "gold_telemetry" in keys or "history" in keys:
        return "baseline"
    if "test_runs" in keys or {"details", "hashes"} <= keys:
        return "determinism"
    if keys & {"filtered_resps", "resps"} or {"results", "configs"} <= keys:
        return "lm-eval"
    if "benchmarks" in keys and keys & {
        "args",
        "request_loader",
        "run_stats",
        "config",
    }:
        return "guidellm"
    if keys & {"build_commit", "model_filename"} or {"n_prompt", "n_gen"} <= keys:
        return "llama-bench"
    return None


def _object_keys(line: str) -> list[str] | None:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return None
    return list(value) if isinstance(value, dict) and len(value) > 1 else None

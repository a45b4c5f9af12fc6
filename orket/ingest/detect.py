"""Tells what format a file is, from its first bytes and keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from orket.admission import IDENTITIES
from orket.errors import UsageError
from orket.ingest.reading import OPENING, decode_head, open_file

AUTO = "auto"
"""In place of a format: found out from the file."""
FORMATS = (
    "orket",
    "llama-bench",
    "llama-perplexity",
    "determinism",
    "baseline",
    "lm-eval",
    "inspect",
    "promptfoo",
    "guidellm",
)

_HEAD_BYTES = 256 * 1024
_KEY = re.compile(r'"([A-Za-z_][\w-]*)"\s*:')
_REPORTS = {
    "a determinism report": {"sweep_id", "plan_hash", "runs_per_task"},
    "a sweep summary": {"sweep_id", "plan_hash", "view_version"},
}
"""What Orket writes for people from rows it keeps -> the keys that tell it."""
_OTHER_TOOLS = {
    "llama-batched-bench": {"n_kv_max", "speed_pp", "speed_tg"},
    "vLLM's benchmark of a server": {"request_throughput", "mean_ttft_ms"},
    "llama-perplexity": {"ppl_value", "ppl_uncertainty"},
}
"""Tools whose output looks like one that is read -> the keys that tell it."""
_DIVERGENCE = re.compile(
    r"^chunk\s+PPL\s+ln\(PPL|^=+ KL divergence statistics =+|^Mean +KLD:", re.MULTILINE
)
_BENCH_TEXT = re.compile(
    r"^build_commit,"
    r"|^[\s>]*\|[ *]*model[ *]*\|"
    r"|^(?:CREATE TABLE|INSERT INTO)\b.*\b(?:llama_bench|test)\b",
    re.MULTILINE | re.IGNORECASE,
)
ZIP_MARK = b"PK\x03\x04"
"""How an archive begins: of the formats, only Inspect's is one."""
_ROW_IDENTITIES = set(IDENTITIES.values())
_IDENTITIES = {*_ROW_IDENTITIES, "sweep_id"}


def detect_format(path: Path) -> str:
    """One of FORMATS.

    Raises UsageError when the file is none that is known, or holds no rows but what
    Orket derived from them.
    """
    with open_file(path) as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(ZIP_MARK):
        return "inspect"
    text = decode_head(head)
    if not text.strip("\x00 \t\n"):
        raise UsageError(
            f"{path} holds nothing" if not text.strip() else f"{path} holds only zeros",
            "what should have written it did not end well: make it again",
        )
    _refuse_report(path, text)
    _refuse_other_tool(path, text)
    found = _detect_text(text) or _detect_keys(text)
    if found is None:
        raise UsageError(
            f"{path}: cannot tell its format",
            f"name it with --format: {', '.join(FORMATS)}",
        )
    return found


def _refuse_other_tool(path: Path, text: str) -> None:
    keys = _first_keys(text)
    for tool, needed in _OTHER_TOOLS.items():
        if needed <= keys:
            raise UsageError(
                f"{path} is output of {tool}, which has no place here",
                "of llama.cpp, llama-bench is read: llama-bench -o json",
            )


def _refuse_report(path: Path, text: str) -> None:
    keys = _first_keys(text)
    for report, needed in _REPORTS.items():
        if needed <= keys and not keys & _ROW_IDENTITIES:
            raise UsageError(
                f"{path} is {report} that Orket wrote: the sweep it speaks of lies in "
                "a warehouse already",
                "there is nothing to import",
            )


def _detect_text(text: str) -> str | None:
    if _DIVERGENCE.search(text):
        return "llama-perplexity"
    return "llama-bench" if _BENCH_TEXT.search(text) else None


def _detect_keys(text: str) -> str | None:
    keys = _first_keys(text)
    if {"version", "status", "eval"} <= keys and keys & {"plan", "samples", "stats"}:
        return "inspect"
    if {"promptIdx", "testIdx"} <= keys or {"evalId", "results"} <= keys:
        return "promptfoo"
    if {"results", "shareableUrl"} <= keys:
        return "promptfoo"
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


def _first_keys(text: str) -> set[str]:
    """Keys of the first JSON object, complete or cut off at the head's end."""
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if OPENING.match(line)), None)
    if first is None:
        return set()
    start = lines[first].lstrip()
    return set(_object_keys(start) or _KEY.findall("\n".join(lines[first:])))


def _object_keys(line: str) -> list[str] | None:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return None
    return list(value) if isinstance(value, dict) and len(value) > 1 else None

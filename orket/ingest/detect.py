"""Tells what format a file is, from its first bytes and keys."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from orket.admission import IDENTITIES
from orket.errors import UsageError
from orket.ingest.formats import FORMATS, NAMES, ORKET
from orket.ingest.reading import OPENING, decode_head, open_file

AUTO = "auto"
"""In place of a format: found out from the file."""

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
_BUNDLE = b"bundle.json\0"
"""How the tar of a bundle begins: with the name of its index."""
_ROW_IDENTITIES = set(IDENTITIES.values())


def detect_format(path: Path) -> str:
    """The name of one of FORMATS.

    Raises UsageError when the file is none that is known, or holds no rows but what
    Orket derived from them.
    """
    with open_file(path) as file:
        head = file.read(_HEAD_BYTES)
    for each in FORMATS:
        if each.mark and head.startswith(each.mark):
            return each.name
    if head.startswith(_BUNDLE):
        raise UsageError(
            f"{path} is a bundle of Orket's: evidence of a sweep, not rows to take in",
            f"look at it with: orket verify {shlex.quote(str(path))}",
        )
    text = decode_head(head)
    if not text.strip("\x00 \t\n"):
        raise UsageError(
            f"{path} holds nothing" if not text.strip() else f"{path} holds only zeros",
            "what should have written it did not end well: make it again",
        )
    _refuse_report(path, text)
    _refuse_other_tool(path, text)
    found = _tell(text)
    if found is None:
        raise UsageError(
            f"{path}: cannot tell its format",
            f"name it with --format: {', '.join(NAMES)}",
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


def _tell(text: str) -> str | None:
    for each in FORMATS:
        if each.text and each.text.search(text):
            return each.name
    keys = _first_keys(text)
    if keys == {"dataset"}:
        return ORKET
    return next((each.name for each in FORMATS if each.has_keys(keys)), None)


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
    except (ValueError, RecursionError):
        return None
    return list(value) if isinstance(value, dict) and len(value) > 1 else None

"""What a file says of its sweep beyond its rows, and what its user adds to that."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from orket.records import Hardware, QuantEntry

UNKNOWN = "unknown"
"""A name that must stand in a row and that the file does not say."""

_QUANT = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:UD-)?((?:I?Q[1-8](?:_[0-9A-Z]+)*|TQ[12]_0|MXFP4|NVFP4|BF16|F(?:P)?(?:16|32)))"
    r"(?: - (Small|Medium|Large))?"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SIZES = {"small": "_S", "medium": "_M", "large": "_L"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the user says of a file where the file itself does not."""

    model_id: str | None = None
    quant_tag: str | None = None
    sweep_id: str | None = None
    """Sweep to join sidecar measurements to."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the import happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Facts for the manifest of an imported sweep."""

    preset: str = "ingest"
    provider: str = UNKNOWN
    provider_version: str | None = None
    endpoint: str | None = None
    hardware: Hardware = field(default_factory=Hardware)
    fingerprint: str | None = None
    fingerprint_version: str | None = None
    quants: tuple[QuantEntry, ...] = ()
    tiers: tuple[tuple[str, int], ...] = ()
    """Difficulty by test."""
    families: tuple[tuple[str, str | None], ...] = ()
    """Family by test, where a task has one."""


def find_quant_tag(text: str) -> str | None:
    """The quant that a file name, tag or llama.cpp type names; the last one wins."""
    found: str | None = None
    for match in _QUANT.finditer(text):
        tag = match[1].upper().replace("FP16", "F16").replace("FP32", "F32")
        size = _SIZES.get((match[2] or "").lower(), "")
        # llama.cpp calls Q2_K "Q2_K - Medium", and only there means no suffix by it.
        found = tag if tag == "Q2_K" and size == "_M" else tag + size
    return found


def split_model_name(name: str) -> tuple[str, str | None]:
    """Model and quant of a GGUF file name or a server's tag."""
    base = name.replace("\\", "/").rpartition("/")[2]
    base = re.sub(r"\.gguf$", "", base, flags=re.IGNORECASE)
    base = re.sub(r"-\d{5}-of-\d{5}$", "", base)
    quant = find_quant_tag(base)
    if quant is None:
        return base or UNKNOWN, None
    *_, last = _QUANT.finditer(base)
    model = re.sub(r"[-_.: ]+((UD|mostly)[-_. ]*)?$", "", base[: last.start()])
    return model or base, quant


def modified_at(path: Path) -> datetime:
    """When the file was last written: the best moment for rows that say none."""
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)

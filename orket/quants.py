"""Quant tags to catalogue entries; the catalogue is data (`presets/quants.toml`)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from orket.resources import shipped

_SPELLED_SIZES = {"SMALL": "S", "MEDIUM": "M", "LARGE": "L"}


@dataclass(frozen=True, slots=True)
class Quant:
    """One entry of the catalogue."""

    key: str
    """Canonical tag."""
    family: str
    nominal_bpw_milli: int
    """Nominal bits per weight, 1/1000."""
    order: int
    """Place in the catalogue, 1 = least precise."""


def find_quant(tag: str) -> Quant | None:
    """The entry of a tag, whatever its case and separators; None if it is unknown."""
    return _by_spelling().get(_spelling(tag))


@cache
def catalogue() -> tuple[Quant, ...]:
    """All entries, least precise first."""
    return tuple(
        Quant(entry["key"], entry["family"], _milli(entry["bits"]), order)
        for order, entry in enumerate(_entries(), start=1)
    )


@cache
def _by_spelling() -> dict[str, Quant]:
    found: dict[str, Quant] = {}
    for quant, entry in zip(catalogue(), _entries(), strict=True):
        for name in (quant.key, *entry.get("aliases", ())):
            spelling = _spelling(name)
            if found.setdefault(spelling, quant) is not quant:
                raise ValueError(f"two quants are called {name}")
    return found


@cache
def _entries() -> list[dict[str, Any]]:
    text = (shipped("presets") / "quants.toml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text, parse_float=Decimal)["quants"]
    return entries


def _milli(bits: Decimal) -> int:
    # Half up, so that 4.8944 is 4894 on every platform.
    return int(bits * 1000 + Decimal("0.5"))


def _spelling(tag: str) -> str:
    """`q4_k-m` and `Q4_K - Medium` are both Q4KM."""
    plain = tag.upper()
    for word, letter in _SPELLED_SIZES.items():
        plain = re.sub(rf"[\s_-]+{word}\b", f"_{letter}", plain)
    return re.sub(r"[^A-Z0-9]", "", plain)

"""Is what the server holds what was asked for? A row under a wrong name lies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orket.providers.contract import ModelRef
from orket.providers.problems import IdentityMismatch, Problem
from orket.records import Controls

UNKNOWN_QUANTS = frozenset({"", "UNKNOWN", "NONE", "NULL", "N/A"})
BITS_FACTOR = 2.0
"""Bits per weight off by more are another quant. Smaller models keep more of their
tensors at high precision, so that nothing closer can be told from size alone."""

_SIZES = {"SMALL": "S", "MEDIUM": "M", "LARGE": "L"}
_ALIASES = {"FP16": "F16", "FP32": "F32", "ALL_F32": "F32", "MOSTLY_F16": "F16"}
_BITS = re.compile(r"^(?:I?Q|F|BF|FP|INT|MXFP|NVFP|TQ)?(\d+)")


def plain_quant(name: str | None) -> str | None:
    """A quant's name in one spelling: `q4_k_m` and `Q4_K - Medium` are `Q4_K_M`.

    None where the name says nothing.
    """
    if name is None:
        return None
    plain = name.strip().upper().replace("-BIT", "BIT")
    for word, letter in _SIZES.items():
        plain = re.sub(rf"[ _]*-[ _]*{word}\b", f"_{letter}", plain)
    plain = plain.replace(" ", "_").replace("-", "_")
    plain = _ALIASES.get(plain, plain)
    return None if plain in UNKNOWN_QUANTS else plain


def require_quant(model: ModelRef, reported: str | None, server: str) -> None:
    """Refuse a quant that is known and not the one asked for.

    Raises IdentityMismatch.
    """
    said, asked = plain_quant(reported), plain_quant(model.quant_tag)
    if said is not None and asked is not None and said != asked:
        raise IdentityMismatch(
            f"{server} holds {reported} under the name {model.name}, not"
            f" {model.quant_tag}",
            "correct the name or the quant in the preset",
        )


def require_bits(
    model: ModelRef, size_bytes: int | None, parameters: int | None, server: str
) -> None:
    """Refuse a size that the quant asked for cannot have. Raises IdentityMismatch."""
    nominal = nominal_bits(model.quant_tag)
    if not nominal or not size_bytes or not parameters:
        return
    bits = 8 * size_bytes / parameters
    if not nominal / BITS_FACTOR < bits < nominal * BITS_FACTOR:
        raise IdentityMismatch(
            f"{model.name} at {server} has {bits:.1f} bits per weight, which is not"
            f" {model.quant_tag}",
            "correct the name or the quant in the preset",
        )


def find_unsupported(controls: Controls, names: Iterable[str]) -> tuple[str, ...]:
    """Which of the controls `names` are asked for; `none` and `server` ask nothing."""
    asked = (
        name
        for name in names
        if getattr(controls, name) not in (None, "server", "none")
    )
    return tuple(sorted(asked))


def nominal_bits(quant: str) -> float | None:
    """Bits per weight that a quant's name speaks of; None where it names none."""
    found = _BITS.match(plain_quant(quant) or "")
    bits = float(found.group(1)) if found else None
    return bits if bits and bits <= 32 else None


def model_mismatch(
    asked: str, reported: str | None, http_status: int | None
) -> Problem | None:
    """The problem that an answer under another model's name is."""
    if reported is None or same_name(asked, reported):
        return None
    return Problem(
        "IDENTITY_MISMATCH",
        f"asked for {asked}, answered by {reported}",
        http_status,
    )


def same_name(asked: str, reported: str) -> bool:
    """Whether two names mean one model; a name alone means its tag `latest`."""
    return _full_name(asked) == _full_name(reported)


def _full_name(name: str) -> str:
    plain = name.strip().casefold()
    return plain.removesuffix(":latest")

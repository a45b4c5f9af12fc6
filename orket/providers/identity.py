"""Is what the server holds what was asked for? A row under a wrong name lies."""

from __future__ import annotations

from collections.abc import Iterable

from orket.gguf import normalise_tag
from orket.providers.contract import ModelRef
from orket.providers.http.problems import IdentityMismatch, Problem
from orket.quants import find_quant
from orket.records import Controls

UNKNOWN_QUANTS = frozenset({"", "UNKNOWN", "NONE", "NULL", "N/A"})
MIXES = frozenset({"unsloth", "k-quant"})
"""Families with mixes that go by the name of a plainer file type in the file itself."""
BITS_FACTOR = 2.0
"""Bits per weight off by more are another quant. Smaller models keep more of their
tensors at high precision, so that nothing closer can be told from size alone."""


def plain_quant(name: str | None) -> str | None:
    """A quant's name in one spelling: `q4_k_m` and `Q4_K - Medium` are `Q4_K_M`.

    None where the name says nothing.
    """
    plain = (name or "").strip()
    if plain.upper() in UNKNOWN_QUANTS:
        return None
    known = find_quant(plain)
    return known.key if known else plain.upper()


def fits_quant(model: ModelRef, reported: str | None) -> bool:
    """Whether the quant that is reported can be the one asked for."""
    said, asked = plain_quant(reported), plain_quant(model.quant_tag)
    if said is None or asked is None or said == asked:
        return True
    known = find_quant(asked)
    is_mix = known is not None and known.family in MIXES and not normalise_tag(asked)
    return is_mix and normalise_tag(said) is not None


def require_quant(model: ModelRef, reported: str | None, server: str) -> None:
    """Refuse a quant that is known and not the one asked for.

    Raises IdentityMismatch.
    """
    if not fits_quant(model, reported):
        raise IdentityMismatch(
            f"{server} holds {reported} under the name {model.name}, not"
            f" {model.quant_tag}",
            "correct the name or the quant in the preset",
        )


def require_bits(
    model: ModelRef, size_bytes: int | None, parameters: int | None, server: str
) -> None:
    """Refuse a size that the quant asked for cannot have. Raises IdentityMismatch."""
    known = find_quant(model.quant_tag)
    if known is None or not size_bytes or not parameters:
        return
    nominal = known.nominal_bpw_milli / 1000
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

"""Is what the server holds what was asked for? A row under a wrong name lies."""

from __future__ import annotations

from collections.abc import Iterable

from orket.providers.contract import ModelRef
from orket.providers.http.problems import IdentityMismatch, Problem
from orket.quants import UNKNOWN_QUANT, file_name, find_quant, finer, split_name
from orket.records import Controls

BITS_FACTOR = 2.0
"""Bits per weight off by more are another quant. Smaller models keep more of their
tensors at high precision, so that nothing closer can be told from size alone."""


BITS_ONLY = frozenset({"INT4", "INT8"})
"""Quants that name a number of bits, however the weights were made."""


def listed_model(
    name: str, said: str | None = None, barred: str | None = None
) -> ModelRef:
    """A model that a server lists under a name, in the quant that it says.

    The finer of name and server's word wins; where they contradict, that is its clash.
    """
    model_id, named = split_name(name)
    tag = finer(named, said)
    clash = None if tag else f"its name says {named}, its server {said}"
    return ModelRef(
        model_id.removesuffix(":latest"),
        tag or said or UNKNOWN_QUANT,
        name,
        clash=clash,
        barred=barred,
    )


def fits_quant(model: ModelRef, reported: str | None) -> bool:
    """Whether the quant that is reported can be the one asked for."""
    return finer(model.quant_tag, reported) is not None


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


def named_quant(*names: str | None) -> str | None:
    """The quant in what a server calls its weights: the first name that has one."""
    found = (split_name(file_name(name))[1] for name in names if name)
    return next((tag for tag in found if tag is not None), None)


def is_other_quant(asked: str, said: str | None) -> bool:
    """Whether what is said of weights contradicts the quant that is asked for.

    A word that tells only how many bits there are (w4a16) contradicts none of as many.
    """
    if said is None or finer(asked, said) is not None:
        return False
    known = [quant for quant in (find_quant(asked), find_quant(said)) if quant]
    bits = {quant.nominal_bpw_milli // 1000 for quant in known}
    is_plain = any(quant.key in BITS_ONLY for quant in known)
    return not (len(known) == 2 and is_plain and len(bits) == 1)


def require_named(model: ModelRef, named: str | None, server: str) -> None:
    """Refuse weights whose name says another quant. Raises IdentityMismatch."""
    if is_other_quant(model.quant_tag, named):
        raise IdentityMismatch(
            f"{server} serves {named} by the name of its weights, not "
            f"{model.quant_tag}",
            "name the quant that it serves, or give the right server",
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

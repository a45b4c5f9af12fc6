"""Which quants of a summary may stand side by side by the answers that they keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_BY_ANSWERS = "DIVERGENCE"
"""The level of fidelity that is read from the recorded answers alone."""


def tells_kept(quant: Mapping[str, Any], quants: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the answers that a quant keeps can stand beside those of the others.

    Recorded answers are held against the most precise quant that has any, which need
    not be the one whose answers the others were led along; and one that is held
    against itself keeps all of them, which says nothing. `quants` are all of its
    model, as in `per_quant` of the summary.
    """
    found = quant["fidelity"]
    if not found or found["kept_prompts"] is None:
        return False
    if found["level"] != _BY_ANSWERS:
        return True
    levels = {(other["fidelity"] or {}).get("level") for other in quants}
    is_own = found["reference_quant_tag"] == quant["quant_tag"]
    return not is_own and not levels - {_BY_ANSWERS, None}

"""Cases that prove the same code again: they run every night, and not for each push.

Each push keeps at least one case of every kind; what runs nightly is another number,
another place or another name in the same lines of code. `ORKET_FUZZ` says that it is
the night, as it does for what draws its cases (`tests/fuzzing.py`).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

IS_NIGHT = "ORKET_FUZZ" in os.environ


def nightly(*cases: Any) -> list[Any]:
    """Further cases of a `parametrize`; a tuple is one case of several values."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=_MARK)
        for case in cases
    ]


_MARK = pytest.mark.nightly


def leave_to_the_night(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take nightly tests out of a run by day; pytest counts them as deselected."""
    if IS_NIGHT:
        return
    left = [item for item in items if item.get_closest_marker("nightly")]
    if left:
        items[:] = [item for item in items if item not in set(left)]
        config.hook.pytest_deselected(items=left)

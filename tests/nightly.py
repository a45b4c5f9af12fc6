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
    """Take nightly cases out of a run by day; pytest counts them as deselected.

    A test whose cases are all for the night is run with its first, so that no kind is
    hidden, and a case that somebody names runs at any time.
    """
    if IS_NIGHT:
        return
    by_day = {_test_of(item) for item in items if not _is_nightly(item)}
    left = []
    for item in items:
        if _test_of(item) in by_day:
            if _is_nightly(item):
                left.append(item)
        else:
            by_day.add(_test_of(item))
    if left:
        gone = set(left)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left)


def _is_nightly(item: pytest.Item) -> bool:
    return item.get_closest_marker("nightly") is not None


def _test_of(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]

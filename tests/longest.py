"""The files of tests that take longest: they are begun first.

A file of tests is run by one process, so one that is begun last is waited for while the
other processors rest. Which these are tells `pytest --durations=0`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST = (
    "cli/test_own_model.py",
    "ground/test_documented_commands.py",
    "warehouse/test_plain_duckdb.py",
    "sweep/test_rounds.py",
    "sweep/test_fidelity_phase.py",
    "sweep/test_served_sweep.py",
    "sweep/test_hanging_servers.py",
    "warehouse/test_object_store.py",
    "warehouse/test_spark.py",
    "warehouse/test_faults.py",
    "warehouse/test_kept.py",
    "sweep/test_steadiness.py",
    "report/test_page.py",
    "sweep/test_extend.py",
    "warehouse/test_bounded.py",
    "sweep/test_sweep.py",
    "sweep/test_lost_servers.py",
    "sweep/test_resume.py",
    "cli/test_cli_sweep.py",
    "views/test_next_round.py",
)
_TESTS = Path(__file__).parent
_PLACES = {_TESTS / name: place for place, name in enumerate(LONGEST)}


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Sort tests by their files, the longest first; all others stay in order."""
    items.sort(key=lambda item: _PLACES.get(item.path, len(LONGEST)))

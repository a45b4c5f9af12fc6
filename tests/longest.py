"""The files of tests that take longest: they are begun first.

A file of tests is run by one process, so one that is begun last is waited for while the
other processors rest. Which these are tells `pytest --durations=0`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST = (
    "ground/test_documented_commands.py",
    "ground/test_notebooks.py",
    "warehouse/test_plain_duckdb.py",
    "cli/test_own_model.py",
    "warehouse/test_stored_folds.py",
    "warehouse/test_damaged_parts.py",
    "warehouse/test_object_store.py",
    "warehouse/test_baselines.py",
    "sweep/test_rounds.py",
    "sweep/test_fidelity_phase.py",
    "sweep/test_served_sweep.py",
    "sweep/test_hanging_servers.py",
    "ingest/test_ingest_together.py",
    "ingest/test_ingest.py",
    "warehouse/test_faults.py",
    "sweep/test_steadiness.py",
    "report/test_page.py",
    "warehouse/test_kept.py",
    "warehouse/test_spark.py",
    "cli/test_reading_verbs.py",
    "sweep/test_extend.py",
    "warehouse/test_benchmarks.py",
    "views/test_task_scope.py",
    "cli/test_cli_sweep.py",
    "warehouse/test_bounded.py",
    "views/test_next_round.py",
    "sweep/test_resume.py",
    "sweep/test_sweep.py",
)
_TESTS = Path(__file__).parent
_PLACES = {_TESTS / name: place for place, name in enumerate(LONGEST)}


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Sort tests by their files, the longest first; all others stay in order."""
    items.sort(key=lambda item: _PLACES.get(item.path, len(LONGEST)))

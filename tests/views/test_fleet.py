"""Many sweeps side by side: who speaks, who disagrees, which versions are compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orket.warehouse import Warehouse
from orket.warehouse.fleet import kind_of
from orket.warehouse.views import Views

START = datetime(2026, 3, 1, 12)


def entry(sweep: str, day: int, **changes: Any) -> dict[str, Any]:
    """What a sweep says: Q4_K_M is shown on a machine called hw1."""
    row = {
        "sweep_id": sweep,
        "model_id": "m",
        "started_at": START + timedelta(days=day),
        "measured_at": START + timedelta(days=day, hours=1),
        "is_completed": True,
        "preset": "p",
        "hardware_fingerprint": "hw1",
        "hardware_label": "CPU, 16 GiB",
        "provider": "ollama",
        "provider_version": "1",
        "task_bank": "core",
        "tasks": 216,
        "tasks_hash": "t",
        "settings_hash": "s",
        "standing": "SHOWN",
        "answer_quant": "Q4_K_M",
        "reference_quant": "F16",
        "confidence": "SUPPORTED",
        "evidence_tasks": 210,
        "answer_digest": "sha256:q4",
        "adherence_micro": 990_000,
        "total_latency_ns": 5,
        "generation_tokens_per_second_milli": 4,
        "peak_memory_bytes": 3,
        "wall_per_pass_ns": 2,
        "wall_per_pass_low_ns": 1,
        "wall_per_pass_high_ns": 3,
        "cpu_energy_per_pass_uj": None,
        "gpu_energy_per_pass_uj": None,
        "out_quants": ["Q2_K"],
    }
    assert set(changes) <= set(row)
    return row | changes


def ask(view: str, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    with Views({}, {}, threads=1, is_lazy=True) as views:
        views.give(
            "fleet_entry",
            {
                name: (kind_of(name), [row[name] for row in entries])
                for name in entries[0]
            },
        )
        views.stage([view])
        cursor = views.connection.execute(f"SELECT * FROM v1.{view} ORDER BY ALL")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def current(*entries: dict[str, Any]) -> dict[str, Any]:
    """The row that speaks, of entries of one cell."""
    (row,) = [row for row in ask("matrix", *entries) if row["is_current"]]
    return row


def test_columns_that_are_given_are_those_of_the_view(tmp_path):
    with Warehouse.open(tmp_path).session() as session:
        rows = session.rows("DESCRIBE SELECT * FROM v1.fleet_entry")
    assert {row["column_name"]: row["column_type"] for row in rows} == {
        name: kind_of(name) for name in entry("a", 1)
    }


def test_of_sweeps_alike_the_newest_speaks():
    row = current(entry("old", 1), entry("new", 2), entry("middle", 1))
    assert (row["sweep_id"], row["use_quant"]) == ("new", "Q4_K_M")
    assert (row["agreeing_sweeps"], row["sweeps"]) == (3, 3)
    assert row["agreement"] == "AGREED"
    assert current(entry("only", 1))["agreement"] == "ALONE"


@pytest.mark.parametrize(
    ("changes", "speaks"),
    [
        # Surer is better than newer, of one version.
        ({"standing": "NOT_SHOWN"}, "old"),
        ({"standing": "SAFE_CHOICE", "answer_quant": "F16"}, "old"),
        ({"standing": "NO_ANSWER", "answer_quant": None}, "old"),
        # What was measured last with an answer is the version of today.
        ({"standing": "NOT_SHOWN", "provider_version": "2"}, "new"),
        ({"standing": "NO_ANSWER", "provider_version": "2"}, "old"),
    ],
)
def test_the_surest_of_the_version_of_today_speaks(changes, speaks):
    assert current(entry("old", 1), entry("new", 2, **changes))["sweep_id"] == speaks


def test_what_is_not_shown_is_not_told_to_be_used():
    row = current(entry("a", 1, standing="NOT_SHOWN", confidence="NEEDS_MORE_TASKS"))
    assert (row["use_quant"], row["passing_quant"]) == (None, "Q4_K_M")
    row = current(entry("a", 1, standing="NO_ANSWER", answer_quant=None))
    assert (row["use_quant"], row["passing_quant"]) == (None, None)
    assert (row["agreement"], row["answering_sweeps"]) == (None, 0)


@pytest.mark.parametrize(
    ("changes", "agreement"),
    [
        ({"answer_quant": "Q5_K_M"}, "CONTRADICTED"),
        ({"out_quants": ["Q2_K", "Q4_K_M"], "answer_quant": "F16"}, "CONTRADICTED"),
        ({"answer_digest": "sha256:other"}, "CONTRADICTED"),
        ({"answer_digest": None}, "AGREED"),
        ({"standing": "SAFE_CHOICE", "answer_quant": "F16"}, "OTHER_ANSWERS"),
        ({"standing": "NO_ANSWER", "answer_quant": None}, "ALONE"),
    ],
)
def test_another_sweep_may_say_otherwise(changes, agreement):
    row = current(entry("old", 1, **changes), entry("new", 2))
    assert (row["sweep_id"], row["agreement"]) == ("new", agreement)
    others = row["other_answers"]
    if changes.get("answer_quant") in (None, "Q4_K_M"):
        assert others == []
    else:
        assert others == [{"quant_tag": changes["answer_quant"], "sweeps": 1}]


@pytest.mark.parametrize(
    "changes",
    [
        {"model_id": "m2"},
        {"hardware_fingerprint": "hw2"},
        {"provider": "llamacpp"},
        {"task_bank": "mine"},
    ],
)
def test_machine_model_runtime_and_bank_are_cells_of_their_own(changes):
    rows = ask("matrix", entry("a", 1), entry("b", 2, **changes))
    assert [row["is_current"] for row in rows] == [True, True]
    assert {row["agreement"] for row in rows} == {"ALONE"}


def test_machines_that_are_not_known_are_not_taken_for_one():
    rows = ask(
        "matrix",
        entry("a", 1, hardware_fingerprint=None),
        entry("b", 2, hardware_fingerprint=None),
    )
    assert [row["is_current"] for row in rows] == [True, True]


def changes(*entries: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("before_sweep", "after_sweep", "reason", "is_newest")
    rows = sorted(ask("version_change", *entries), key=lambda row: row["since"])
    return [tuple(row[key] for key in keys) for row in rows]


def test_a_change_is_told_by_the_newest_two_that_are_alike():
    found = changes(
        entry("a1", 1),
        entry("a2", 2),
        entry("a3", 3, tasks_hash="other"),
        entry("b1", 4, provider_version="2", tasks_hash="other", settings_hash="x"),
        entry("b2", 5, provider_version="2"),
        entry("b3", 6, provider_version="2", settings_hash="x"),
    )
    assert found == [("a2", "b2", None, True)]


def test_each_change_counts_and_going_back_is_one():
    found = changes(
        entry("a", 1),
        entry("b", 2, provider_version="2"),
        entry("c", 3, provider_version="1"),
    )
    assert found == [("a", "b", None, False), ("b", "c", None, True)]


def test_what_cannot_be_compared_says_why():
    old = entry("a", 1)
    assert changes(old, entry("b", 2, provider_version="2", tasks_hash="x")) == [
        ("a", "b", "OTHER_TASKS", True)
    ]
    assert changes(old, entry("b", 2, provider_version="2", settings_hash="x")) == [
        ("a", "b", "OTHER_SETTINGS", True)
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"provider_version": None},
        {"provider": "llamacpp"},
        {"model_id": "m2"},
        {"hardware_fingerprint": "hw2"},
        {"hardware_fingerprint": None},
    ],
)
def test_no_change_is_made_of_what_is_not_known_or_another(changed):
    other = entry("b", 2, **{"provider_version": "2", **changed})
    assert changes(entry("a", 1), other) == []

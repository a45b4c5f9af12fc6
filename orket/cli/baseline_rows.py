"""Stored baselines as rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orket.cli.output import Column
from orket.exports.figures import words

RECORD_COLUMNS: list[Column] = [
    ("event_id", "baseline"),
    "test_id",
    "model_id",
    ("quant_tag", "quant"),
    "runs",
    "adherence",
    ("latency_seconds", "latency s"),
    "measured_at",
    ("age_days", "age d"),
    ("hardware_fingerprint", "machine"),
    ("control_profile", "profile"),
    ("run_quality_status", "quality"),
    "state",
]
CELL = ("test_id", "model_id", "quant_tag")
"""What a baseline is of; a cell has one a sweep."""
RECORD_NAMES = ("event_id", *CELL)
"""What tells stored baselines apart."""


def appended_row(cell: Mapping[str, Any], result: str) -> dict[str, Any]:
    """A cell and what became of it."""
    return {**cell, "result": result}


GROUP_COLUMNS: list[Column] = [
    "result",
    "model",
    "cells",
    ("quants", "cells of each quant"),
    "why",
]


def appended_groups(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `appended_row` counted: one for all of a model that fared alike."""
    groups: dict[tuple[str, str, str], Counter[str]] = {}
    for row in rows:
        why = ", ".join(map(words, row["blocked_reasons"] or []))
        alike = groups.setdefault((row["result"], row["model_id"], why), Counter())
        alike[row["quant_tag"]] += 1
    return [
        {
            "result": result,
            "model": model,
            "cells": counts.total(),
            "quants": ", ".join(f"{tag} {count}" for tag, count in counts.items()),
            "why": why or None,
        }
        for (result, model, why), counts in groups.items()
    ]


def record_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored baseline as `list` shows it."""
    passed, total = record["checks_passed"], record["checks_total"]
    state = "pruned" if record["pruned"] else "stale" if record["stale"] else ""
    return {
        **record,
        "adherence": _ratio(passed, total),
        "latency_seconds": _seconds(record["latency_median_ns"]),
        "age_days": _days(record["age_us"]),
        "state": "pinned" if record["pinned"] and not record["pruned"] else state,
    }


def prune_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored baseline and whether a prune takes it."""
    kept = record["kept_because"]
    return {**record_row(record), "fate": f"keep: {kept}" if kept else "PRUNE"}


def problem_row(problem: Mapping[str, Any]) -> dict[str, Any]:
    """A stored baseline with the checks it fails."""
    names = ("stale", "incompatible", "orphaned", "duplicate")
    return {
        **problem,
        "problems": [name for name in names if problem[f"is_{name}"]],
        "age_days": _days(problem["age_us"]),
    }


def resolved_rows(
    decisions: Sequence[Mapping[str, Any]], candidates: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row per candidate; a cell without any is one row too."""
    key = ("model_id", "quant_tag", "test_id")
    by_cell: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for candidate in candidates:
        cell = tuple(candidate[name] for name in key)
        by_cell.setdefault(cell, []).append(candidate)
    rows: list[dict[str, Any]] = []
    for decision in decisions:
        head = {name: decision[name] for name in key}
        head["decision"] = decision["reason"] or decision["status"]
        head["verdict"] = decision["verdict"]
        cell = tuple(decision[name] for name in key)
        for candidate in by_cell.get(cell, [{}]):
            rows.append({**head, **_candidate_cells(candidate)})
    return rows


def _candidate_cells(candidate: Mapping[str, Any]) -> dict[str, Any]:
    if not candidate:
        return {}
    return {
        "candidate": candidate["event_id"],
        "fate": "CHOSEN" if candidate["chosen"] else candidate["dropped_by"],
        "differing": candidate["differing"],
        "pinned": candidate["pinned"],
        "measured_at": candidate["measured_at"],
        "age_days": _days(candidate["age_us"]),
    }


def _ratio(passed: int | None, total: int | None) -> str | None:
    return None if not total or passed is None else f"{passed / total:.3f}"


def _seconds(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else f"{nanoseconds / 1e9:.3f}"


def _days(microseconds: int | None) -> str | None:
    return None if microseconds is None else f"{microseconds / 86_400_000_000:.1f}"

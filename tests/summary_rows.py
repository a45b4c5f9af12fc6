"""A struct as `v1.summary` returns it, built from the model's own source names."""

from __future__ import annotations

import typing
from datetime import datetime
from typing import Any

from orket.exports.model import SweepSummary
from orket.exports.part import Part
from orket.exports.quant_model import PerQuant
from orket.exports.scale import NumberOrWord, Scaled, Source

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 5)


def summary_row() -> dict[str, Any]:
    """A sweep of three quants: one eligible, one best, one polluted and out."""
    row = part_row(SweepSummary)
    row["hardware"]["cpu"] = "Test CPU"
    row["overrides"] = {}
    row["include_polluted"] = "never"
    row["allow_unobserved"] = False
    row["canary"] |= {"verdict": "PASSED", "failed_reasons": []}
    row["canary"] |= {"disturbed_runs": 0, "mostly_disturbed": False}
    session = row["sessions"][0]
    session["model_id"] = "demo"
    session["run_quality_policy"] |= {
        "include_polluted": "never",
        "allow_unobserved": False,
        "quality_only": False,
    }
    session["thresholds"] |= {
        "adherence_threshold_ppm": 950_000,
        "latency_ceiling_ns": 10_000_000_000,
    }
    session["per_quant"] = [
        quant_row("F16", adherence_score_micro=990_000),
        quant_row("Q4_K_M", adherence_score_micro=985_000),
        quant_row(
            "Q2_K",
            adherence_score_micro=None,
            adherence_interval_micro=None,
            total_latency_ns=None,
            eligible=False,
            ineligible_reasons=["ADHERENCE_BELOW_THRESHOLD", "RUN_FAILURES"],
            run_quality_status="POLLUTED",
            run_quality_reason_counts={"HIGH_FOREIGN_CPU": 4, "CPU_STEAL": 4},
        ),
    ]
    session["efficiency_frontier"] |= {
        "best_value_quant_tag": "Q4_K_M",
        "minimum_viable_quant_tag": "Q4_K_M",
        "smallest_supported_quant_tag": "Q4_K_M",
        "advised_quant_tag": "Q4_K_M",
    }
    session["recommendation_detail"] |= {
        "best_value_quant": "Q4_K_M",
        "minimum_viable_quant": "Q4_K_M",
        "confidence": "SUPPORTED",
        "best_value_confidence": "SUPPORTED",
        "best_value_status": "CLEAR",
        "rivals": [],
        "if_polluted_included": None,
    }
    session["recommendation"] = "Use Q4_K_M. It is shown."
    session["recommendation_lines"] = ["Use Q4_K_M.", "It is shown."]
    return row


def quant_row(tag: str, **values: Any) -> dict[str, Any]:
    """One quant that is clean and eligible, but for `values`."""
    return {
        **part_row(PerQuant),
        "quant_tag": tag,
        "adherence_interval_micro": [900_000, 999_000],
        "eligible": True,
        "ineligible_reasons": [],
        "ineligible_words": None,
        "run_quality_status": "CLEAN",
        "run_quality_reasons": [],
        "run_quality_reason_counts": {},
        "failures": [],
        **values,
    }


def part_row(part: type[Part]) -> dict[str, Any]:
    """A value of the right type for every source column of `part`."""
    row = {}
    for name, field in part.model_fields.items():
        readers = [
            item
            for item in field.metadata
            if isinstance(item, (Scaled, Source, NumberOrWord))
        ]
        source = readers[0].source if readers else name
        row[source] = _value(field.annotation, readers, name)
    return row


def _value(hint: Any, readers: list[Any], name: str) -> Any:
    if hint == list[float] | None:
        return [1, 2]
    if readers and isinstance(readers[0], Scaled):
        return 1_500_000_000
    if readers and isinstance(readers[0], NumberOrWord):
        return "2"
    origin = typing.get_origin(hint)
    if origin is dict:
        return {}
    if origin is list:
        inner = typing.get_args(hint)[0]
        return [_value(inner, [], name)]
    if origin is not None:
        return _value(typing.get_args(hint)[0], readers, name)
    if issubclass(hint, Part):
        return part_row(hint)
    return {str: name, int: 7, bool: True, datetime: MOMENT}[hint]

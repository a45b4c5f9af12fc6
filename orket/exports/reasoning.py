"""Why a quant stands where it stands: what the views say of it, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orket.errors import UsageError
from orket.exports.answers import failed_checks
from orket.exports.quant_model import Cost
from orket.exports.scale import MICRO, MILLI, scale
from orket.exports.summary import part_document
from orket.text import nearest

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.session import Session

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """One quant of one model."""

    why: Row
    """Its row of `v1.quant_why`."""
    rules: list[Row]
    """Its rules, in the order in which they are asked."""
    families: list[Row]
    """What it loses and gains by family, most lost first."""
    lost: list[Row]
    """Tasks that the reference alone passes: rows of `v1.task_answer`."""
    gained: list[Row]
    """Tasks that it alone passes."""
    cost: Row
    """What a passed task costs, as `cost` in the summary."""

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        why = self.why
        return {
            "sweep_id": why["sweep_id"],
            "model_id": why["model_id"],
            "quant_tag": why["quant_tag"],
            "mark": why["mark"],
            "headline": why["headline"],
            "first_unmet_rule": why["unmet_rule"],
            "rules": [
                {
                    key: rule[key]
                    for key in ("rule", "is_gate", "state", "reason", "words")
                }
                for rule in self.rules
            ],
            "what_would_change_it": why["changes"],
            "baseline_quant": why["baseline_quant_tag"],
            "compared_tasks": why["pairs"],
            "baseline_passes": why["baseline_passes"],
            "lost_tasks": why["flips_lost"],
            "gained_tasks": why["flips_gained"],
            "families": [
                {key: value for key, value in family.items() if key in _FAMILY_KEYS}
                for family in self.families
            ],
            "format_damages": {
                entry["damage"]: entry["tasks"] for entry in why["format_damages"]
            },
            "mean_tokens": _scaled(why["mean_tokens_milli"], MILLI, 3),
            "baseline_mean_tokens": _scaled(why["reference_tokens_milli"], MILLI, 3),
            "length_change": _scaled(why["length_change_micro"], MICRO, 6),
            "output_length_differs": why["output_length_differs"],
            "lost": [_task(row) for row in self.lost],
            "gained": [_task(row) for row in self.gained],
            "cost": self.cost,
        }


_FAMILY_KEYS = {
    "family",
    "tasks",
    "lost_tasks",
    "gained_tasks",
    "lost_by_format",
    "lost_by_content",
}


def _scaled(value: int | None, divisor: int, digits: int) -> Any:
    return None if value is None else scale(value, divisor, digits)


def _task(row: Row) -> dict[str, Any]:
    return {
        "test_id": row["test_id"],
        "bucket": row["bucket"],
        "family": row["family"],
        "damage_kind": row["damage_kind"],
        "format_damage": row["format_damage"],
        "failed_checks": list(failed_checks(row["check_details"])),
        "run_id": row["run_id"],
        "answer": row["answer_text"],
        "baseline_run_id": row["baseline_run_id"],
        "baseline_answer": row["baseline_answer_text"],
        "first_difference": row["first_difference"],
    }


def read_reasoning(
    warehouse: Warehouse,
    sweep_id: str,
    quant: str,
    model: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[Reasoning]:
    """What the views say of a quant, for each model of the sweep that has it.

    The tag is read without regard to case. Raises UsageError naming what there is.
    """
    with warehouse.session(sweep_id, overrides) as session:
        chosen = _choose(session, quant, model)
        return [_read(session, row) for row in chosen]


def _choose(session: Session, quant: str, model: str | None) -> list[Row]:
    everything = session.rows(
        "SELECT * FROM v1.quant_why ORDER BY model_id, quant_rank DESC"
    )
    models = sorted({row["model_id"] for row in everything})
    if model is not None and model not in models:
        raise UsageError(f"no model {model!r} in this sweep", nearest(model, models))
    here = [row for row in everything if model in (None, row["model_id"])]
    exact = [row for row in here if row["quant_tag"] == quant]
    folded = [row for row in here if row["quant_tag"].casefold() == quant.casefold()]
    if not (found := exact or folded):
        tags = dict.fromkeys(row["quant_tag"] for row in here)
        raise UsageError(f"no quant {quant!r} in this sweep", nearest(quant, tags))
    return found


def _read(session: Session, why: Row) -> Reasoning:
    cell = [why["model_id"], why["quant_tag"]]
    where = "WHERE model_id = ? AND quant_tag = ?"
    rules = session.rows(f"SELECT * FROM v1.quant_rule {where} ORDER BY place", cell)
    families = session.rows(
        f"SELECT * FROM v1.quant_loss {where} ORDER BY lost_tasks DESC, family", cell
    )
    changed = session.rows(
        f"SELECT * FROM v1.task_answer {where} AND change IN ('LOST', 'GAINED') "
        "ORDER BY damage_kind DESC, bucket, family, test_id",
        cell,
    )
    costs = session.rows(f"SELECT * FROM v1.quant_cost {where}", cell)
    return Reasoning(
        why,
        rules,
        families,
        [row for row in changed if row["change"] == "LOST"],
        [row for row in changed if row["change"] == "GAINED"],
        part_document(Cost, costs[0]),
    )

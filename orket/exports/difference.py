"""Two sweeps side by side: what the views say of them, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from orket.errors import UsageError
from orket.exports.scale import MICRO, NANO, scale
from orket.text import nearest

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.kept_differences import DifferenceRows

Row = dict[str, Any]

WORSE = "WORSE"
_COUNTS = (
    "shared_tasks",
    "pairs",
    "before_passes",
    "after_passes",
    "lost",
    "gained",
    "lost_families",
    "needed",
    "unanswered",
)


_PARTS = ("answers", "times")
ROW_KEYS = (
    "before_sweep",
    "after_sweep",
    "model_id",
    "after_model",
    "quant_tag",
    "verdict",
    "weights",
    "before_digest",
    "after_digest",
    "before_publisher",
    "after_publisher",
    "answers_verdict",
    "answers_reason",
    *(f"answers_{name}" for name in _COUNTS),
    "answers_lost_tasks",
    "answers_gained_tasks",
    "times_verdict",
    "times_reason",
    "times_blocks",
    "times_runs",
    "times_before_seconds",
    "times_after_seconds",
    "times_change",
    "times_not_beyond",
    "times_canary_bound",
)
"""Of a quant, as a file of comma-separated values has it."""


class Counted(NamedTuple):
    """Runs of one sweep that count."""

    runs: int
    disturbed: int
    """Of these, POLLUTED and counted by the sweep's policy."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One model in two sweeps."""

    before_sweep: str
    after_sweep: str
    model_id: str
    after_model: str
    facts: list[Row]
    """Its rows of `v1.diff_fact`."""
    quants: list[Row]
    """Its rows of `v1.diff_quant`, most precise first."""
    tasks: list[Row]
    """Its rows of `v1.diff_task` that are lost or gained."""
    counted: dict[str, Counted]
    """`before` and `after`: runs of the quants that both have."""

    @property
    def worse(self) -> list[str]:
        """Quants that are worse in the second sweep."""
        return [row["quant_tag"] for row in self.quants if row["verdict"] == WORSE]

    def changed(self, quant_tag: str, change: str) -> list[str]:
        """Tasks of a quant that are LOST or GAINED."""
        return [
            row["test_id"]
            for row in self.tasks
            if (row["quant_tag"], row["change"]) == (quant_tag, change)
        ]

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "before_sweep": self.before_sweep,
            "after_sweep": self.after_sweep,
            "model_id": self.model_id,
            "after_model": self.after_model,
            "facts": [
                {key: row[key] for key in _FACT_KEYS if key in row}
                for row in self.facts
            ],
            "runs": {side: one._asdict() for side, one in self.counted.items()},
            "quants": [self._quant(row) for row in self.quants],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each quant, under ROW_KEYS."""
        sweeps = {
            "before_sweep": self.before_sweep,
            "after_sweep": self.after_sweep,
            "model_id": self.model_id,
            "after_model": self.after_model,
        }
        flat = []
        for quant in map(self._quant, self.quants):
            row = sweeps | quant
            for part in _PARTS:
                row |= {f"{part}_{key}": value for key, value in row.pop(part).items()}
            flat.append(row)
        return flat

    def _quant(self, row: Row) -> dict[str, Any]:
        tag = row["quant_tag"]
        return {
            "quant_tag": tag,
            "verdict": row["verdict"],
            "weights": row["weights"],
            **{
                f"{side}_{fact}": row[f"{side}_{fact}"]
                for fact in ("digest", "publisher")
                for side in ("before", "after")
            },
            "answers": {
                "verdict": row["answers_verdict"],
                "reason": row["answers_reason"],
                **{name: row[name] for name in _COUNTS},
                "lost_tasks": self.changed(tag, "LOST"),
                "gained_tasks": self.changed(tag, "GAINED"),
            },
            "times": {
                "verdict": row["times_verdict"],
                "reason": row["times_reason"],
                "blocks": row["blocks"],
                "runs": row["runs"],
                "before_seconds": _scaled(row["before_wall_ns"], NANO, 6),
                "after_seconds": _scaled(row["after_wall_ns"], NANO, 6),
                "change": _scaled(row["change_ppm"], MICRO, 6),
                "not_beyond": row["times_within"],
                "canary_bound": _scaled(row["bound_ppm"], MICRO, 6),
            },
        }


_FACT_KEYS = (
    "fact",
    "before",
    "after",
    "is_same",
    "reason",
    "forbids_answers",
    "forbids_times",
)


def read_difference(
    before: tuple[Warehouse, str],
    after: tuple[Warehouse, str],
    models: tuple[str, str] | None = None,
    quant: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[Difference]:
    """What the views say of two sweeps, for each model that both have.

    `models` names one of each; `quant` is read without regard to case. Raises
    UsageError for one sweep twice, and where nothing is there to be compared.
    """
    (_, old), (_, new) = before, after
    if old == new:
        raise UsageError(f"{old} is both sweeps", "name two: see orket sweeps")
    from orket.warehouse.kept_differences import read_difference_rows

    found = read_difference_rows(before, after, models, overrides)
    if not found.facts:
        raise _nothing_shared(found.models, old, new, models)
    return [
        _read(found, [row for row in found.facts if row["model_id"] == name], quant)
        for name in dict.fromkeys(row["model_id"] for row in found.facts)
    ]


def _nothing_shared(
    rows: list[Row], old: str, new: str, models: tuple[str, str] | None
) -> UsageError:
    there = {
        sweep: [row["model_id"] for row in rows if row["sweep_id"] == sweep]
        for sweep in (old, new)
    }
    for sweep, model in zip((old, new), models or (), strict=False):
        if model not in there[sweep]:
            return UsageError(
                f"no model {model!r} in sweep {sweep}", nearest(model, there[sweep])
            )
    return UsageError(
        f"no model is in both sweeps: {', '.join(there[old])}; {', '.join(there[new])}",
        f"name one of each: --model {there[old][0]}={there[new][0]}",
    )


def _read(found: DifferenceRows, facts: list[Row], quant: str | None) -> Difference:
    first = facts[0]
    model = first["model_id"]
    quants = [row for row in found.quants if row["model_id"] == model]
    if quant is not None:
        tags = [row["quant_tag"] for row in quants]
        quants = [
            row for row in quants if row["quant_tag"].casefold() == quant.casefold()
        ]
        if not quants:
            raise UsageError(f"no quant {quant!r} in them", nearest(quant, tags))
    return Difference(
        first["before_sweep"],
        first["after_sweep"],
        model,
        first["after_model"],
        facts,
        quants,
        [row for row in found.tasks if row["model_id"] == model],
        _count(found.counts, first, [row["quant_tag"] for row in quants]),
    )


def _count(rows: list[Row], fact: Row, quants: list[str]) -> dict[str, Counted]:
    """The runs of these quants that count, of both sweeps."""
    sides = {
        "before": (fact["before_sweep"], fact["model_id"]),
        "after": (fact["after_sweep"], fact["after_model"]),
    }
    found = {}
    for side, of in sides.items():
        own = [
            row
            for row in rows
            if (row["sweep_id"], row["model_id"]) == of and row["quant_tag"] in quants
        ]
        found[side] = Counted(
            sum(row["valid_runs"] for row in own),
            sum(row["polluted_used"] for row in own),
        )
    return found


def _scaled(value: int | None, divisor: int, digits: int) -> Any:
    return None if value is None else scale(value, divisor, digits)

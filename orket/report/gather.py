"""All that a report says of a sweep, read from the views in one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orket.errors import WarehouseError
from orket.exports.by_now import row_by_now
from orket.exports.summary import summary_document

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows of one sweep, each list in the order in which it is shown."""

    summary: dict[str, Any]
    manifest: Row
    pictures: list[Row]
    answers: list[Row]
    points: list[Row]
    timeline: list[Row]
    policies: list[Row]
    meanings: dict[str, str]
    """Field of the policy -> what it means."""

    def of(self, rows: list[Row], model_id: str) -> list[Row]:
        """The rows of one model."""
        return [row for row in rows if row["model_id"] == model_id]


_QUERIES = {
    "pictures": "SELECT * FROM v1.quant_picture "
    "ORDER BY model_id, quant_rank DESC NULLS LAST, quant_tag",
    "answers": "SELECT * FROM v1.task_answer "
    "ORDER BY model_id, bucket, family NULLS FIRST, test_id, quant_tag",
    "points": "SELECT * FROM v1.run_point "
    "ORDER BY model_id, quant_tag, order_index, attempt_number, attempt_id",
    "timeline": "SELECT * FROM v1.machine_timeline "
    "ORDER BY from_ns, model_id, quant_tag, phase",
    "policies": "SELECT * FROM v1.policy ORDER BY model_id",
}


def gather(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object] | None = None
) -> Gathered:
    """Read one sweep; `overrides` are policy fields by name, a what-if.

    Raises WarehouseError where the sweep has no manifest.
    """
    from orket.policy import POLICY_KEYS

    with warehouse.session(sweep_id, overrides) as session:
        session.stage(["summary", "quant_picture", "task_answer", "run_point"])
        summaries = session.rows("SELECT summary FROM v1.summary")
        if not summaries:
            raise WarehouseError(
                f"sweep {sweep_id} has no manifest in {warehouse.place}",
                "see what is there with: orket sweeps",
            )
        manifests = session.rows("SELECT * EXCLUDE (plan) FROM v1.manifest")
        found = {name: session.rows(query) for name, query in _QUERIES.items()}
    return Gathered(
        summary=summary_document(row_by_now(warehouse, summaries[0]["summary"])),
        manifest=manifests[0],
        meanings={entry.field: entry.meaning for entry in POLICY_KEYS.values()},
        **found,
    )

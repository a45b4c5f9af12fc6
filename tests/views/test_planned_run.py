"""v1.planned_run: the plan with what the manifest says of each task."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orket.warehouse.store import Warehouse
from tests.built_sweep import Sweep

FAMILIES = "SELECT DISTINCT task_id, family FROM v1.planned_run ORDER BY task_id"


def families(warehouse: Warehouse, sweep: Sweep) -> dict[str, str | None]:
    with warehouse.session(sweep.sweep_id) as session:
        return {row["task_id"]: row["family"] for row in session.rows(FAMILIES)}


def test_a_planned_run_has_the_family_of_its_task(tmp_path: Path) -> None:
    sweep = Sweep(tasks=("t1", "t2", "t3"), families={"t1": "sums", "t3": "calls"})

    found = families(sweep.store(tmp_path), sweep)

    assert found == {"t1": "sums", "t2": None, "t3": "calls"}


def test_a_plan_written_before_there_were_families_has_none(tmp_path: Path) -> None:
    sweep = Sweep(families={"t1": "sums"})
    warehouse = sweep.store(tmp_path)
    (part,) = tmp_path.rglob("sweeps/*/part-*.parquet")
    table = pq.read_table(part)
    old = [
        [{k: v for k, v in task.items() if k != "family"} for task in tasks]
        for tasks in table.column("tasks").to_pylist()
    ]
    place = table.schema.get_field_index("tasks")
    pq.write_table(table.set_column(place, "tasks", pa.array(old)), part)

    assert families(warehouse, sweep) == {"t1": None, "t2": None}

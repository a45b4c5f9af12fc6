"""Which quant does for each bucket of tasks: one line a bucket, judged by it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orket.cli.output import print_prose, print_rows

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

Document = Mapping[str, Any]

_COLUMNS = (
    "for",
    "tasks",
    "use",
    ("passes", "smallest"),
    ("best", "best value"),
    ("sure", "how sure"),
)


def print_buckets(
    summary: Document, store: Warehouse, overrides: Mapping[str, object]
) -> None:
    """Print a line for each bucket, where the sweep has several and is whole."""
    from orket.exports.load import load_answers

    buckets = summary["matrix"]["buckets"]
    if summary["scope"] is not None or len(buckets) < 2:
        return
    several = len(summary["sessions"]) > 1
    rows = []
    for bucket in buckets:
        scope = {**overrides, "buckets": (bucket,)}
        for answer in load_answers(store, summary["sweep_id"], scope):
            model = f"{answer['model_id']}: " if several else ""
            rows.append(_row(f"{model}{bucket}", answer))
    if not any(row["passes"] for row in rows):
        return  # What stands above holds for each of them.
    print_prose()
    print_prose(
        "By bucket of tasks, each by its own alone (--bucket). How sure: of the "
        "smallest that passes; with ? it is not told from others for sure."
    )
    print_rows(rows, _COLUMNS, "table", droppable=("tasks", "best"))


def name_buckets(summary: Document, store: Warehouse) -> None:
    """Say how to have an answer for each bucket: a run does not wait for them."""
    from orket.cli.running import show_line

    buckets = summary["matrix"]["buckets"]
    passes = [
        session["recommendation_detail"]["minimum_viable_quant"]
        for session in summary["sessions"]
    ]
    if summary["scope"] is None and len(buckets) > 1 and any(passes):
        print_prose()
        print_prose(
            f"An answer for each of {', '.join(buckets)}: "
            f"{show_line(summary['sweep_id'], store)}"
        )


def _row(name: str, answer: Document) -> dict[str, Any]:
    clear = answer["best_value_status"] == "CLEAR"
    best = answer["best_value_quant"]
    return {
        "for": name,
        "tasks": answer["reference_tasks"],
        "use": answer["advised_quant"],
        "passes": answer["minimum_viable_quant"],
        "best": best if clear or best is None else f"{best}?",
        "sure": _how_sure(answer),
    }


def _how_sure(answer: Document) -> str:
    """Of the smallest that passes."""
    if answer["minimum_viable_quant"] is None:
        return "no quant passes"
    if answer["confidence"] == "SUPPORTED":
        return "shown"
    if answer["confidence"] == "PROVISIONAL":
        return "a first impression only"
    needed = answer["tasks_needed"]
    return f"not shown yet, needs {needed} tasks" if needed else "not shown yet"

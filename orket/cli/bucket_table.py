"""Which quant does for each bucket of tasks: one line a bucket, judged by it alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orket.cli.output import print_prose, print_rows
from orket.cli.quant_table import tells_speed

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

Document = Mapping[str, Any]

_SAFE = ", safe choice"
_BEST = ("best", "best value")
_COLUMNS = (
    "for",
    "tasks",
    "use",
    ("passes", "smallest that passes"),
    _BEST,
    ("sure", "how sure"),
)


def print_buckets(
    summary: Document, store: Warehouse, overrides: Mapping[str, object]
) -> None:
    """Print a line for each bucket, where the sweep has several and is whole."""
    from orket.exports.load import load_bucket_answers

    buckets = summary["matrix"]["buckets"]
    if summary["scope"] is not None or len(buckets) < 2:
        return
    several = len(summary["sessions"]) > 1
    timed = {
        session["model_id"]: tells_speed(session) for session in summary["sessions"]
    }
    rows = []
    found = load_bucket_answers(store, summary["sweep_id"], buckets, overrides)
    for bucket in buckets:
        for answer in found.get(bucket, ()):
            model = f"{answer['model_id']}: " if several else ""
            is_timed = timed[answer["model_id"]]
            rows.append(_row(f"{model}{bucket}", answer, is_timed))
    if not any(row["passes"] for row in rows):
        return  # What stands above holds for each of them.
    print_prose()
    print_prose(
        "By bucket of tasks, each by its own alone (--bucket). How sure: of the "
        "smallest that passes."
    )
    columns = [column for column in _COLUMNS if column != _BEST or any(timed.values())]
    shown = print_rows(rows, columns, "table", droppable=("tasks", "best"))
    for text in _legend(rows, shown):
        print_prose(text)


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


def _legend(rows: Sequence[Document], shown: Sequence[str]) -> Iterator[str]:
    """What the words and marks of the table mean, as far as they are in it."""
    if any(str(row["use"]).endswith(_SAFE) for row in rows):
        yield (
            "safe choice: the reference; by the tasks of that bucket alone nothing "
            "smaller is shown to do as well"
        )
    if any(row["use"] is None and row["passes"] for row in rows):
        yield "-: nothing is shown yet to do the work"
    if "best" in shown and any(str(row["best"]).endswith("?") for row in rows):
        yield "?: not told from others for sure"


def _row(name: str, answer: Document, is_timed: bool) -> dict[str, Any]:
    clear = answer["best_value_status"] == "CLEAR"
    best = answer["best_value_quant"] if is_timed else None
    use = answer["advised_quant"]
    # Where nothing smaller passes either, it is no choice for want of proof.
    passes = answer["minimum_viable_quant"]
    is_safe = use is not None and use == answer["baseline_quant_tag"] != passes
    return {
        "for": name,
        "tasks": answer["reference_tasks"],
        "use": f"{use}{_SAFE}" if is_safe else use,
        "passes": passes,
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

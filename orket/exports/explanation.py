"""One run with all that is known of it: what the views say, gathered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orket.errors import UsageError
from orket.exports.answers import failed_checks

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.session import Session

Row = dict[str, Any]

_MOST_NAMED = 5
_LEAST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Explained:
    """One attempt at a planned run."""

    attempt: Row
    """Its row of `v1.attempts`."""
    quality: Row
    """Its row of `v1.run_quality`."""
    counts: bool
    """Whether it is the attempt that counts for its run, and the run is valid."""
    figures: list[Row]
    evidence: list[Row]

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        attempt = self.attempt
        return {
            **{key: attempt[key] for key in _IDENTITY},
            "run_quality_status": self.quality["run_quality_status"],
            "run_quality_reasons": self.quality["run_quality_reasons"],
            "counts": self.counts,
            "answer": attempt["answer_text"],
            "failed_checks": list(failed_checks(attempt["check_details"])),
            "requested": attempt["requested"],
            "effective": attempt["effective"],
            "figures": [
                _without(row, "sweep_id", "attempt_id") for row in self.figures
            ],
            "formula_id": attempt["formula_id"],
            "raw_figures": attempt["raw_figures"],
            "evidence": [
                _without(row, "sweep_id", "attempt_id") for row in self.evidence
            ],
        }


_IDENTITY = (
    "sweep_id",
    "run_id",
    "attempt_id",
    "attempt_number",
    "phase",
    "model_id",
    "model_digest",
    "quant_tag",
    "test_id",
    "task_revision",
    "repetition",
    "started_at",
    "outcome",
    "error_class",
    "error_message",
    "stop_reason",
    "prompt_sha256",
)


def _without(row: Row, *keys: str) -> Row:
    return {key: value for key, value in row.items() if key not in keys}


def read_run(warehouse: Warehouse, name: str, sweep: str | None) -> list[Explained]:
    """The attempts at the run `name`: an id of a run or of an attempt, or its start.

    Looked for in `sweep`, else in the newest sweep and then in all. Raises UsageError
    where it is in none, or where several begin so.
    """
    if len(name) < _LEAST_PREFIX:
        raise UsageError(
            f"{name!r} is too short for a run",
            f"give {_LEAST_PREFIX} characters or more",
        )
    newest = warehouse.resolve(sweep or "latest")
    with warehouse.session(newest) as session:
        if found := _find(session, name):
            return [_read(session, row) for row in found]
    if sweep is None:
        with warehouse.session() as session:
            found = _find(session, name)
        if found:
            with warehouse.session(found[0]["sweep_id"]) as session:
                return [_read(session, row) for row in found]
    where = f"sweep {newest}" if sweep else warehouse.place
    raise UsageError(
        f"no run {name!r} in {where}",
        "orket why QUANT names runs, and so does orket sql: SELECT run_id FROM v1.runs",
    )


def _find(session: Session, name: str) -> list[Row]:
    """The attempts whose run, or which themselves, begin with `name`."""
    rows = session.rows(
        "SELECT sweep_id, run_id, attempt_id FROM v1.attempts "
        "WHERE starts_with(run_id, $name) OR starts_with(attempt_id, $name) "
        "ORDER BY sweep_id, executor_started_at, attempt_number, attempt_id",
        {"name": name},
    )
    exact = [row for row in rows if name in (row["run_id"], row["attempt_id"])]
    rows = exact or rows
    runs = list(dict.fromkeys((row["sweep_id"], row["run_id"]) for row in rows))
    if len(runs) > 1:
        named = ", ".join(run for _, run in runs[:_MOST_NAMED])
        raise UsageError(f"{len(runs)} runs begin with {name!r}", f"among them {named}")
    return rows


def _read(session: Session, row: Row) -> Explained:
    key = [row["sweep_id"], row["attempt_id"]]
    where = "WHERE sweep_id = ? AND attempt_id = ?"
    (attempt,) = session.rows(f"SELECT * FROM v1.attempts {where}", key)
    (quality,) = session.rows(f"SELECT * FROM v1.run_quality {where}", key)
    valid = session.rows(f"SELECT 1 FROM v1.runs {where} AND is_valid", key)
    figures = session.rows(f"SELECT * FROM v1.run_figure {where} ORDER BY place", key)
    evidence = session.rows(
        f"SELECT * FROM v1.run_evidence {where} ORDER BY reason", key
    )
    return Explained(attempt, quality, bool(valid), figures, evidence)

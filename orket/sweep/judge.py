"""What the executor asks the views: it decides nothing about quality by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from orket.sweep.failures import MEASURED_FAILURE
from orket.sweep.reporter import Standing
from orket.warehouse import Warehouse
from orket.warehouse.followed import FollowedSweep
from orket.warehouse.journal import Journal
from orket.warehouse.reasons import reason_named
from orket.warehouse.statements import statement


@dataclass(frozen=True, slots=True)
class PollutedRun:
    """A planned run without a clean attempt."""

    run_id: str
    is_curable: bool
    """Another attempt could be clean."""
    has_drifted: bool
    """The machine had drifted since the last good anchor."""


ASK = "ASK"


@dataclass(frozen=True, slots=True)
class Named:
    """A block of the plan that the view names."""

    block_index: int
    purpose: str
    """BREADTH, PROOF, POINT, BASELINE, REPEAT or SPEED."""
    is_further: bool
    """Only where a load is dear."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the view says of one model of an adaptive sweep."""

    model_id: str
    answer: str
    """ASK, or why it stops."""
    round: int | None
    """The round of tasks; None where it stops."""
    blocks: tuple[Named, ...]
    """Blocks of the plan to run, in order."""
    proof_quants: tuple[str, ...]
    """Those that the next proof asks: the quant, and the reference."""
    further_tasks: int | None
    """Tasks that this proof takes at least; None where none is in reach."""
    answer_row: dict[str, Any] = field(default_factory=dict)
    """All of the answer, with the counts behind it."""


@dataclass(frozen=True, slots=True)
class Due:
    """A model that goes on under looser thresholds."""

    model_id: str
    because: str
    """The code that was found."""
    found: str | None = None
    """The same in words, with its figures; None where the code says all."""
    remedy: str | None = None
    """What helps, where a quieter machine would not."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What the views say of the gate."""

    rows: list[dict[str, Any]]
    """One for each model."""
    runs: int
    disturbed: int
    """Of its runs, disturbed by other programs."""
    is_busy: bool
    """They are so many that the machine is too busy for what comes."""


class Judge:
    """Asks the views about a sweep that is running: its rows are read once."""

    def __init__(
        self, warehouse: Warehouse, sweep_id: str, journal: Journal | None = None
    ) -> None:
        """`journal` holds rows of the sweep that are in no part yet."""
        self._followed = FollowedSweep(warehouse, sweep_id)
        self._sweep_id = sweep_id
        self._journal = journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._followed.close()

    def list_polluted(self) -> list[PollutedRun]:
        """Planned matrix runs, tried and without a clean attempt, in plan order."""
        rows = self._ask(
            "SELECT runs.run_id, quality.is_curable, quality.has_drifted, "
            "runs.error_class "
            "FROM v1.runs AS runs "
            "INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id) "
            "WHERE sweep_id = ? AND runs.phase = 'matrix' "
            "AND quality.run_quality_status <> 'CLEAN' ORDER BY order_index"
        )
        return [
            PollutedRun(
                row["run_id"],
                row["is_curable"] and row["error_class"] not in MEASURED_FAILURE,
                row["has_drifted"],
            )
            for row in rows
        ]

    def read_rounds(self) -> list[Look]:
        """What each model of an adaptive sweep is asked next, or why nothing."""
        rounds = self._ask(
            "SELECT * EXCLUDE (sweep_id) FROM v1.next_round WHERE sweep_id = ? "
            "ORDER BY model_id"
        )
        quants = self._ask(
            "SELECT model_id, quant_tag, state, asked_tasks, passes, losses, gains, "
            "disturbed_tasks, proof_passes, proof_losses, least_passes, passes_needed "
            "FROM v1.proof WHERE sweep_id = ? "
            "ORDER BY model_id, place NULLS LAST, quant_tag"
        )
        return [
            _look(row, [q for q in quants if q["model_id"] == row["model_id"]])
            for row in rounds
        ]

    def read_starts(self) -> list[dict[str, Any]]:
        """Where each model's first chain of proofs would start, by rows so far."""
        return self._ask(
            "SELECT model_id, quant_tag, named_by FROM v1.start_quant "
            "WHERE sweep_id = ? AND model_id NOT IN ("
            "SELECT model_id FROM raw.events "
            "WHERE event = 'START_FIXED' AND model_id IS NOT NULL) ORDER BY model_id"
        )

    def read_standing(self) -> Standing:
        """How every quant stands, and what would be recommended by now."""
        quants = self._ask(
            "SELECT * FROM v1.quant_standing WHERE sweep_id = ? "
            "ORDER BY model_id, quant_rank DESC NULLS LAST, quant_tag"
        )
        told = self._ask(
            "SELECT model_id, recommendation_lines FROM v1.recommendation "
            "WHERE sweep_id = ? AND minimum_viable_quant IS NOT NULL ORDER BY model_id"
        )
        return Standing(
            quants, {row["model_id"]: row["recommendation_lines"] for row in told}
        )

    def read_fidelity(self) -> list[dict[str, Any]]:
        """What the phase `fidelity` found, by model, the most precise quant first."""
        return self._ask(
            "SELECT fidelity.*, quant.quant_rank FROM v1.fidelity AS fidelity "
            "INNER JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag) "
            "WHERE sweep_id = ? "
            "ORDER BY model_id, quant_rank DESC NULLS LAST, quant_tag"
        )

    def read_gate(self) -> Gate:
        """The gate, and whether other programs disturbed it."""
        rows = self._ask("SELECT * FROM v1.canary WHERE sweep_id = ? ORDER BY model_id")
        (busy,) = self._ask(statement("sweep", "busy"))
        return Gate(rows, **busy)

    def read_gate_yields(self) -> list[Due]:
        """Models whose gate asks for looser thresholds, as long as any are left."""
        rows = self._ask(
            "SELECT * FROM v1.canary WHERE sweep_id = ? AND yields_because IS NOT NULL "
            "ORDER BY model_id"
        )
        return [
            Due(
                row["model_id"],
                row["yields_because"],
                _gate_words(row),
                _remedy(row["yields_because"]),
            )
            for row in rows
        ]

    def read_starved(self) -> list[Due]:
        """Models whose quants lack runs by disturbances alone, with a step left."""
        return self._due("starved")

    def read_mostly_disturbed(self) -> list[Due]:
        """Models of whose latest runs every second one is lost, with a step left."""
        return self._due("mostly_disturbed")

    def read_steps(self) -> list[dict[str, Any]]:
        """The thresholds that rule each model, and what is left: `sweep/steps`."""
        return self._ask(statement("sweep", "steps"))

    def _due(self, question: str) -> list[Due]:
        return [
            Due(
                row["model_id"],
                row["because"],
                _meaning("run", row["because"]),
                _remedy(row["because"]),
            )
            for row in self._ask(statement("sweep", question))
        ]

    def _ask(self, query: str) -> list[dict[str, Any]]:
        if self._journal is not None:
            self._journal.fold()
        self._followed.refresh()
        return self._followed.rows(query, [self._sweep_id])


def _meaning(scope: str, code: str) -> str:
    reason = reason_named(scope, code)
    return reason.meaning if reason else code


def _remedy(code: str) -> str | None:
    """What helps against a disturbance that no waiting cures."""
    reason = reason_named("run", code)
    return reason.remedy if reason and reason.is_curable is False else None


def _gate_words(row: Mapping[str, Any]) -> str:
    """Why the gate asks for looser thresholds, by its figures."""
    because = row["yields_because"]
    if because in row["failed_reasons"]:
        return (
            f"equal calls varied by {row['latency_cv_micro'] / 10_000:.1f} %, and "
            f"{row['latency_cv_limit_ppm'] / 10_000:.0f} % is the limit"
        )
    return (
        f"{row['disturbed_runs']} of {row['runs']} equal calls were disturbed "
        f"({_meaning('run', because)})"
    )


def _look(row: dict[str, Any], quants: list[dict[str, Any]]) -> Look:
    wanted = row["proof_quant"]
    asked = next((quant for quant in quants if quant["quant_tag"] == wanted), None)
    further = (
        max(asked["passes_needed"] - asked["passes"], 0)
        if asked and asked["passes_needed"] is not None
        else None
    )
    return Look(
        row["model_id"],
        row["answer"],
        row["round"],
        tuple(
            Named(block["block_index"], block["purpose"], block["is_further"])
            for block in row["blocks"]
        ),
        (wanted, quants[0]["quant_tag"]) if asked else (),
        further,
        {**row, "quants": quants},
    )


def read_gate(warehouse: Warehouse, sweep_id: str) -> Gate:
    """The gate of a sweep that has ended."""
    with Judge(warehouse, sweep_id) as judge:
        return judge.read_gate()


def read_canary_failure(
    warehouse: Warehouse, sweep_id: str, model_id: str
) -> str | None:
    """Class and message of the gate's last failed call; None where none failed."""
    with warehouse.session(sweep_id) as session:
        rows = session.rows(
            "SELECT error_class, error_message FROM v1.attempts WHERE sweep_id = ? "
            "AND model_id = ? AND phase = 'canary' AND outcome <> 'OK' "
            "ORDER BY order_index DESC LIMIT 1",
            [sweep_id, model_id],
        )
    if not rows:
        return None
    return ": ".join(filter(None, (rows[0]["error_class"], rows[0]["error_message"])))


def read_determinism(warehouse: Warehouse, sweep_id: str) -> list[dict[str, Any]]:
    """Whether equal requests gave equal answers, one row for each task and quant."""
    with warehouse.session(sweep_id) as session:
        return session.rows(
            "SELECT * FROM v1.determinism WHERE sweep_id = ? "
            "ORDER BY model_id, quant_tag, test_id, seed, prompt_sha256",
            [sweep_id],
        )


def count_determinism(
    warehouse: Warehouse, sweep_id: str, required_ppm: int
) -> dict[str, Any]:
    """Groups of equal requests, how many gave one answer, and is that enough.

    `rate_micro` and `is_met` are None where nothing was repeated.
    """
    with warehouse.session(sweep_id) as session:
        (row,) = session.rows(
            statement("sweep", "determinism"),
            [required_ppm, sweep_id],
        )
    return row

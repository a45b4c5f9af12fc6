"""v1.quant_standing: how a quant stands while its sweep runs."""

from __future__ import annotations

from tests.adaptive_sweep import make
from tests.built_sweep import Sweep
from tests.together import Sight, together


def standing(sweep: Sweep) -> Sight:
    seen = yield sweep
    rows = seen.view("quant_standing")
    return {row["quant_tag"]: row for row in rows}


@together
def test_a_sweep_in_its_first_repetition():
    tasks = tuple(f"t{number}" for number in range(4))
    sweep = Sweep(tasks=tasks, quants=("F16", "Q8_0", "Q4_K_M", "Q2_K"))
    for task in tasks:
        sweep.add("F16", task)
        sweep.add("Q8_0", task)
    sweep.add("Q4_K_M", "t0", passed=0)
    found = yield from standing(sweep)
    states = {tag: row["state"] for tag, row in found.items()}
    assert states == {
        "F16": "BASELINE",
        "Q8_0": "PASSES",
        "Q4_K_M": "OPEN",
        "Q2_K": "NOT_ASKED",
    }
    assert found["Q8_0"]["adherence_score_micro"] == 1_000_000
    low, high = found["Q8_0"]["adherence_interval_micro"]
    assert 500_000 < low < high == 1_000_000
    assert found["Q4_K_M"]["adherence_score_micro"] == 0
    assert found["Q2_K"]["adherence_score_micro"] is None
    assert found["Q2_K"]["adherence_interval_micro"] is None
    assert found["Q2_K"]["attempts"] == 0
    judged = {tag: row["adherence_tasks"] for tag, row in found.items()}
    assert judged == {"F16": 4, "Q8_0": 4, "Q4_K_M": 1, "Q2_K": 0}
    assert found["Q8_0"]["asked_tasks"] is None


@together
def test_a_quant_that_is_out_says_why():
    sweep = Sweep()
    for task in sweep.tasks:
        sweep.add("F16", task)
        sweep.add("Q4_K_M", task)
        sweep.add("Q2_K", task, passed=0)
    row = (yield from standing(sweep))["Q2_K"]
    assert row["state"] == "OUT"
    assert row["out_reasons"] == ["ADHERENCE_BELOW_THRESHOLD"]


@together
def test_rounds_have_the_state_of_their_proofs():
    sweep = make(("F16", "Q4_K_M", "Q2_K"), tasks=20)
    session = yield sweep
    rows = session.rows(
        "SELECT standing.state AS shown, proof.state, standing.asked_tasks "
        "FROM v1.quant_standing AS standing "
        "INNER JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag)"
    )
    assert rows
    assert all(row["shown"] == row["state"] for row in rows)
    assert all(row["asked_tasks"] == 0 for row in rows)

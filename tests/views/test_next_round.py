"""Who is asked next in an adaptive sweep, what is proven, and why it stops."""

from __future__ import annotations

import pytest

from benchmarks.adaptive_simulator import simulate
from benchmarks.advice_worlds import Profile
from tests.adaptive_sweep import ask, drive, look, losing, make

LADDER = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
HALF = set(range(0, 136, 2))


def states(proofs):
    return {quant: row["state"] for quant, row in proofs.items()}


def test_the_first_rounds_ask_all_the_other_way_round_in_every_second(tmp_path):
    asked, _, proofs = drive(make(LADDER), losing({"Q2_K": HALF}), tmp_path, 3)
    everybody = [(quant, "BREADTH") for quant in LADDER]
    assert asked == [everybody, everybody[::-1], everybody]
    assert {row["asked_tasks"] for row in proofs.values()} == {34}


def test_the_first_chain_is_asked_beside_the_baseline_until_it_is_proven(tmp_path):
    """Two chains: 104 passes without a loss; 102 are reached with the seventh round."""
    asked, answer, proofs = drive(make(LADDER), losing({"Q2_K": HALF}), tmp_path)
    assert {frozenset(blocks) for blocks in asked[3:]} == {
        frozenset({("F16", "BASELINE"), ("Q4_K_M", "PROOF")})
    }
    assert states(proofs) == {
        "F16": "BASELINE",
        "Q8_0": "OPEN",
        "Q4_K_M": "PROVEN",
        "Q2_K": "SHOWN_NOT_VIABLE",
    }
    assert proofs["Q4_K_M"]["asked_tasks"] == 119
    assert proofs["Q8_0"]["asked_tasks"] == 34
    assert (answer["answer"], answer["proven_quant"]) == ("DECIDED", "Q4_K_M")
    assert answer["viable_quant"] == "Q4_K_M"


def test_the_chain_goes_on_below_its_start_and_the_next_one_catches_up(tmp_path):
    ladder = ("F16", "Q8_0", "Q4_K_M", "Q3_K_M")
    asked, answer, proofs = drive(make(ladder), losing({}), tmp_path)
    # Without a loss Q3_K_M passes by its score, and is asked for that from the start.
    assert states(proofs)["Q3_K_M"] == "PROVEN"
    assert answer["answer"] == "DECIDED"
    assert ("Q3_K_M", "POINT") in asked[3]


def test_a_quant_that_was_left_behind_catches_up_by_two_blocks(tmp_path):
    """Q4_K_M loses three early, so the second chain goes to Q8_0; Q6_K waits."""
    ladder = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
    lost = {"Q4_K_M": {1, 3, 5, 7}, "Q5_K_M": {2, 4, 6, 8}, "Q6_K": {40}}
    asked, _, _ = drive(make(ladder), losing(lost), tmp_path)
    purposes = [dict(blocks).get("Q6_K") for blocks in asked[3:]]
    assert "POINT" in purposes
    behind = make(ladder)
    drive(behind, losing({}), tmp_path / "behind", 3)
    # The baseline quant is five portions ahead of Q8_0 by now.
    answer, _ = look(behind, tmp_path / "before")
    for portion in range(3, 7):
        runs = [
            {"block_index": index}
            for index, block in behind.blocks().items()
            if block[0].quant_tag in ("F16", "Q4_K_M") and index // 5 == portion
        ]
        ask(behind, {"blocks": runs}, losing({"Q4_K_M": set(range(40, 60))}))
    answer, proofs = look(behind, tmp_path / "after")
    assert states(proofs)["Q4_K_M"] in ("CANNOT_BE_PROVEN", "SHOWN_NOT_VIABLE")
    assert proofs["F16"]["next_portion"] == 7
    caught = [b for b in answer["blocks"] if b["quant_tag"] == "Q8_0"]
    assert [b["block_index"] // 5 for b in caught] == [3, 4]
    assert not [b for b in answer["blocks"] if b["quant_tag"] == "F16"]


def test_when_the_first_chain_fails_the_second_comes_from_the_top(tmp_path):
    lost = {"Q4_K_M": {5, 20}, "Q2_K": HALF}
    asked, answer, proofs = drive(make(LADDER), losing(lost), tmp_path)
    assert states(proofs)["Q4_K_M"] == "CANNOT_BE_PROVEN"
    assert states(proofs)["Q8_0"] == "PROVEN"
    assert any(("Q8_0", "PROOF") in blocks for blocks in asked)
    assert answer["proven_quant"] == "Q8_0"


def test_a_lost_task_ends_the_hope_but_not_the_point_estimate(tmp_path):
    """136 passes and one loss: the list has one row only, 104, for no loss."""
    lost = {"Q8_0": {3}, "Q4_K_M": {5, 20, 77}, "Q2_K": HALF}
    asked, answer, proofs = drive(make(LADDER), losing(lost), tmp_path)
    assert states(proofs)["Q8_0"] == "CANNOT_BE_PROVEN"
    assert proofs["Q8_0"]["asked_tasks"] == 136
    assert answer["answer"] == "BANK_EXHAUSTED"
    assert answer["proven_quant"] is None
    assert all(dict(blocks).get("Q8_0") == "POINT" for blocks in asked[3:])


def test_what_no_task_could_prove_is_said_at_once(tmp_path):
    """34 tasks: 90 passes are out of reach."""
    _, answer, proofs = drive(make(LADDER, tasks=34), losing({"Q2_K": HALF}), tmp_path)
    assert answer["answer"] == "CANNOT_BE_PROVEN"
    assert states(proofs)["Q4_K_M"] == "CANNOT_BE_PROVEN"
    assert answer["viable_quant"] == "Q4_K_M"


def test_two_quants_are_one_chain_with_all_of_the_chance(tmp_path):
    _, answer, proofs = drive(make(("F16", "Q4_K_M")), losing({}), tmp_path)
    assert proofs["Q4_K_M"]["least_passes"] == 90
    assert proofs["Q4_K_M"]["asked_tasks"] == 102
    assert answer["answer"] == "DECIDED"


def test_tasks_in_families_are_looked_at_once_at_half_the_chance(tmp_path):
    families = {f"t{number:03}": f"f{number % 13}" for number in range(400)}
    for quants, least in ((("F16", "Q4_K_M"), 104), (LADDER, 117)):
        sweep = make(quants, tasks=400, families=families)
        _, proofs = look(sweep, tmp_path / str(least))
        assert proofs["Q4_K_M"]["least_passes"] == least
        one_lost = make(quants, tasks=400, families=families)
        _, _, proofs = drive(
            one_lost, losing({"Q4_K_M": {0}}), tmp_path / f"lost-{least}", 3
        )
        assert states(proofs)["Q4_K_M"] == "CANNOT_BE_PROVEN"


@pytest.mark.parametrize(("lost", "is_shown"), [(9, False), (10, True)])
def test_ten_lost_of_sixteen_show_that_a_quant_is_not_viable(tmp_path, lost, is_shown):
    sweep = make(("F16", "Q4_K_M"), tasks=16)
    _, _, proofs = drive(sweep, losing({"Q4_K_M": set(range(lost))}), tmp_path)
    assert proofs["Q4_K_M"]["is_shown_not_viable"] is is_shown


def test_the_baseline_is_never_missing_beside_another(tmp_path):
    sweep = make(LADDER)
    for step in range(12):
        answer, proofs = look(sweep, tmp_path / f"{step}")
        ahead = proofs["F16"]["asked_tasks"]
        assert all(row["asked_tasks"] <= ahead for row in proofs.values())
        ask(sweep, answer, losing({"Q2_K": HALF}))


def test_a_round_that_was_cut_goes_on_with_what_is_missing(tmp_path):
    sweep = make(LADDER)
    answer, _ = look(sweep, tmp_path / "first")
    ask(sweep, answer, losing({}))
    del sweep.runs[-8:]  # Q2_K was not reached, Q4_K_M was cut behind four tasks.
    answer, proofs = look(sweep, tmp_path / "cut")
    assert [b["quant_tag"] for b in answer["blocks"]] == ["Q4_K_M", "Q2_K"]
    assert {b["block_index"] for b in answer["blocks"]} == {2, 3}
    assert proofs["Q4_K_M"]["asked_tasks"] == 4


def test_a_quant_that_does_not_answer_is_not_asked_again(tmp_path):
    sweep = make(LADDER)
    _, answer, _ = drive(sweep, losing({}), tmp_path, 1)
    for entry in answer["blocks"]:
        for run in sweep.blocks()[entry["block_index"]]:
            task = run.test_id.removeprefix("bank/")
            if run.quant_tag == "Q4_K_M":
                sweep.add(
                    run.quant_tag,
                    task,
                    passed=None,
                    outcome="FAILED",
                    error_class="TRANSPORT",
                )
            else:
                sweep.add(run.quant_tag, task, passed=1)
    answer, proofs = look(sweep, tmp_path / "lost")
    assert states(proofs)["Q4_K_M"] == "NOT_ANSWERING"
    assert "Q4_K_M" not in [b["quant_tag"] for b in answer["blocks"]]
    assert not proofs["Q4_K_M"]["is_shown_not_viable"]
    assert answer["answer"] == "ASK"


def test_over_drawn_sweeps_little_is_asked_and_what_is_proven_is_true(tmp_path):
    """Flat: nothing is ever lost. Below: every quant keeps a point too little."""
    profiles = (
        Profile("flat", "flat", tasks=120, quants=3),
        Profile("below", "below", tasks=120, quants=3),
    )
    tallies = simulate(tmp_path, profiles, sweeps=2, seed=3)
    assert tallies["flat"].proven == tallies["flat"].sweeps == 2
    assert tallies["below"].falsely_proven == 0
    for tally in tallies.values():
        assert tally.calls * 3 < tally.grid_calls

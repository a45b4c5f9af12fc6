"""The words of the recommendation, over a table of situations, each to the letter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orket.policy import Policy
from tests.adaptive_sweep import make
from tests.built_sweep import MS, Sweep
from tests.golden_cases import after_rounds
from tests.together import together
from tests.views.test_advice import ask, built

PAIR = ("F16", "Q4_K_M")
LADDER = ("F16", "Q4_K_M", "Q3_K_M", "Q2_K")


def score_of(lost, gained=0):
    """F16 passes all but the last `gained` tasks of 24; others lose the first."""

    def score(quant, task):
        if quant == "F16":
            return int(task < 24 - gained)
        return int(task >= lost)

    return score


def steps(**milliseconds):
    """Wall time by quant, the same in every repetition."""
    return lambda quant, repetition: milliseconds[quant]


def lost_by(**tasks):
    """Each quant fails its first tasks, so many of them."""
    return lambda quant, task: int(task >= tasks.get(quant, 0))


def half_done() -> Sweep:
    """Of two checks a task one passes on a single task, and nothing else does."""
    sweep = Sweep(
        sweep_id="s", quants=PAIR, tasks=tuple(f"t{number:03}" for number in range(24))
    )
    for quant in PAIR:
        for number, task in enumerate(sweep.tasks):
            sweep.add(quant, task, passed=int(number == 0), total=2)
    return sweep


def unfinished() -> Sweep:
    """Q4_K_M stopped half-way, Q2_K was never run."""
    sweep = built(quants=("F16", "Q4_K_M", "Q2_K"))
    half = [f"bank/t{number:03}" for number in range(12)]
    sweep.runs = [
        run
        for run in sweep.runs
        if run.quant_tag == "F16" or (run.quant_tag == "Q4_K_M" and run.test_id in half)
    ]
    return sweep


def families() -> Sweep:
    sweep = built(lost_by(Q4_K_M=1), tasks=140, quants=PAIR)
    sweep.families = {task: f"kind {n % 13}" for n, task in enumerate(sweep.tasks)}
    return sweep


def rounds(portions: int, quants: tuple[str, ...] = ("F16", "Q4_K_M", "Q2_K")) -> Sweep:
    """An adaptive sweep after so many portions of its tasks; Q2_K loses half."""
    lost = {"Q2_K": set(range(0, 136, 2))}
    later = {"F16": portions, "Q4_K_M": portions}
    return after_rounds("s", lost, later, quants)


SITUATIONS: dict[str, tuple[Callable[[], Sweep], list[str]]] = {
    "the fastest is the smallest": (
        lambda: built(
            tasks=104, quants=PAIR, repetitions=3, wall_ms=steps(F16=600, Q4_K_M=400)
        ),
        [
            "m: use Q4_K_M: the fastest, and the smallest that is shown to do at "
            "least 95 % of the work that F16 does.",
            "How sure: shown on 104 tasks like these: Q4_K_M did all 104 that F16 "
            "did; 1 chance in 100 of error.",
            "If these 104 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 104 of them, F16 104.",
            "Speed: Q4_K_M takes 0.400 s a task, F16 0.600 s.",
        ],
    ),
    "three winners": (
        lambda: built(
            lost_by(Q2_K=3),
            tasks=104,
            quants=LADDER,
            repetitions=3,
            wall_ms=steps(F16=600, Q4_K_M=300, Q3_K_M=400, Q2_K=500),
        ),
        [
            "m: use Q4_K_M: the fastest of those that are shown to do at least 95 % "
            "of the work that F16 does.",
            "If memory is tight: Q3_K_M, the smallest that is shown to do so. Q2_K "
            "may do too (it did 101 of the 104 tasks that F16 did), but that is not "
            "shown yet.",
            "How sure: shown on 104 tasks like these: Q4_K_M did all 104 that F16 "
            "did; 1 chance in 100 of error.",
            "To show Q2_K too: at least 198 tasks would be needed, if Q2_K loses none "
            "of the further ones; about 877, if it goes on losing as it does.",
            "If these 104 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 104 of them, F16 104.",
            "Speed: Q4_K_M takes 0.300 s a task, F16 0.600 s.",
        ],
    ),
    "the baseline is the fastest": (
        lambda: built(
            tasks=104, quants=PAIR, repetitions=3, wall_ms=steps(F16=300, Q4_K_M=600)
        ),
        [
            "m: use F16: the fastest.",
            "If memory is tight: Q4_K_M, the smallest that is shown to do at least 95 "
            "% of the work that F16 does.",
            "How sure: shown on 104 tasks like these: Q4_K_M did all 104 that F16 "
            "did; 1 chance in 100 of error.",
            "Speed: F16 takes 0.300 s a task.",
        ],
    ),
    "best for its time, not the fastest": (
        lambda: built(
            lost_by(Q2_K=4),
            tasks=110,
            quants=("F16", "Q4_K_M", "Q2_K"),
            repetitions=3,
            wall_ms=steps(F16=600, Q4_K_M=401, Q2_K=400),
        ),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "If memory is tight: Q2_K may do too (it did 106 of the 110 tasks that "
            "F16 did), but that is not shown yet.",
            "How sure: shown on 110 tasks like these: Q4_K_M did all 110 that F16 "
            "did; 1 chance in 100 of error.",
            "To show Q2_K too: at least 229 tasks would be needed, if Q2_K loses none "
            "of the further ones.",
            "If these 110 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 110 of them, F16 110.",
            "Speed: Q4_K_M looks best so far with 0.401 s a task, but it cannot be "
            "told for sure from Q2_K.",
        ],
    ),
    "a tie": (
        lambda: built(
            tasks=104,
            quants=("F16", "Q4_K_M", "Q3_K_M"),
            repetitions=3,
            wall_ms=steps(F16=600, Q4_K_M=400, Q3_K_M=400),
        ),
        [
            "m: use Q3_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "How sure: shown on 104 tasks like these: Q3_K_M did all 104 that F16 "
            "did; 1 chance in 100 of error.",
            "If these 104 tasks are all your work, the score itself is the answer: "
            "Q3_K_M does 104 of them, F16 104.",
            "Speed: Q4_K_M looks best so far with 0.400 s a task (Q3_K_M 0.400 s), "
            "but it cannot be told for sure from Q3_K_M.",
        ],
    ),
    "not proven": (
        lambda: built(tasks=12, quants=PAIR),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (on 12 tasks no difference from "
            "F16 was seen), but that is not shown yet.",
            "How sure: not yet; at least 90 tasks would be needed, if Q4_K_M loses "
            "none of the further ones.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "lost and gained": (
        lambda: built(score_of(1, 1), quants=PAIR),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (it did 22 of the 23 tasks that "
            "F16 did, and 1 that F16 did not), but that is not shown yet.",
            "How sure: not yet; at least 131 tasks would be needed, if Q4_K_M loses "
            "none of the further ones.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "loses too many to be shown": (
        lambda: built(lost_by(Q4_K_M=6), tasks=120, quants=PAIR),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (it did 114 of the 120 tasks that "
            "F16 did), but that is not shown yet.",
            "How sure: not yet; at least 288 tasks would be needed, if Q4_K_M loses "
            "none of the further ones.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "one run disturbed": (
        lambda: built(tasks=90, quants=PAIR, polluted={("Q4_K_M", 3)}),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (on 89 tasks no difference from "
            "F16 was seen), but that is not shown yet.",
            "How sure: not yet; at least 130 tasks would be needed, if Q4_K_M loses "
            "none of the further ones; about 198, if it goes on losing as it does. 1 "
            "task counts as lost only for want of an undisturbed run: one more run of "
            "it would settle that.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "two runs disturbed": (
        lambda: built(tasks=90, quants=PAIR, polluted={("Q4_K_M", 3), ("F16", 5)}),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (on 88 tasks no difference from "
            "F16 was seen), but that is not shown yet.",
            "How sure: not yet; at least 165 tasks would be needed, if Q4_K_M loses "
            "none of the further ones; about 478, if it goes on losing as it does. 2 "
            "tasks count as lost only for want of an undisturbed run: one more run of "
            "each would settle that.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "a smaller one is not shown": (
        lambda: built(lost_by(Q3_K_M=3), tasks=104, quants=("F16", "Q4_K_M", "Q3_K_M")),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "If memory is tight: Q3_K_M may do too (it did 101 of the 104 tasks that "
            "F16 did), but that is not shown yet.",
            "How sure: shown on 104 tasks like these: Q4_K_M did all 104 that F16 "
            "did; 1 chance in 100 of error.",
            "To show Q3_K_M too: at least 198 tasks would be needed, if Q3_K_M loses "
            "none of the further ones; about 877, if it goes on losing as it does.",
            "If these 104 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 104 of them, F16 104.",
            "Speed: F16 looks best so far with 0.600 s a task (Q4_K_M 0.600 s), but "
            "it cannot be told for sure from Q4_K_M, Q3_K_M; one repetition cannot "
            "tell speed from chance.",
        ],
    ),
    "few families": (
        families,
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (it did 139 of the 140 tasks that "
            "F16 did), but that is not shown yet.",
            "How sure: not yet; at least 234 tasks like these or 18 families of tasks "
            "(now 13) would be needed, if Q4_K_M loses none of the further ones.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "shifted": (
        lambda: built(polluted={("F16", n) for n in range(4)}),
        [
            "Mind: F16 could not be judged, so Q4_K_M stands in for it; nothing is "
            "shown against F16.",
            "m: a first impression only, not shown yet: Q2_K may do (on 24 tasks no "
            "difference from Q4_K_M was seen).",
            "How sure: not yet; nothing is shown against F16.",
            "Speed: Q4_K_M looks best so far with 0.600 s a task, but it cannot be "
            "told for sure from Q2_K; one repetition cannot tell speed from chance.",
            "Not judged: F16 (too many disturbed runs).",
        ],
    ),
    "polluted out": (
        lambda: built(quants=PAIR, polluted={("Q4_K_M", n) for n in range(4)}),
        [
            "m: F16 is the safe choice: no other quant could be judged, so it is not "
            "shown yet that a smaller one will do.",
            "Speed: F16 takes 0.600 s a task.",
            "Not judged: Q4_K_M (too many disturbed runs).",
        ],
    ),
    "all polluted out": (
        lambda: built(quants=PAIR, polluted={(q, n) for n in range(4) for q in PAIR}),
        [
            "No recommendation for m: none of its 2 quants could be judged. Too many "
            "disturbed runs: F16, Q4_K_M.",
            "8 of 48 runs were disturbed and do not count.",
        ],
    ),
    "polluted used": (
        lambda: built(
            quants=PAIR,
            polluted={("Q4_K_M", 1)},
            policy=Policy(include_polluted="fill"),
        ),
        [
            "m: a first impression only, not shown yet: Q4_K_M may do (on 24 tasks no "
            "difference from F16 was seen).",
            "How sure: not at all yet; 1 disturbed run was used.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M; one repetition cannot tell speed from chance.",
        ],
    ),
    "none eligible": (
        lambda: built(policy=Policy(latency_ceiling_ns=500 * MS)),
        [
            "No recommendation for m: none of its 3 quants will do. Too slow: F16, "
            "Q4_K_M, Q2_K.",
            "One would do if 0.6 s a task were allowed; the latency ceiling is 0.5 s.",
        ],
    ),
    "too slow or too bad": (
        lambda: built(
            lost_by(Q2_K=12),
            policy=Policy(latency_ceiling_ns=500 * MS),
            wall_ms=steps(F16=600, Q4_K_M=510, Q2_K=300),
        ),
        [
            "No recommendation for m: none of its 3 quants will do. Too slow: F16, "
            "Q4_K_M. Does too little of the work: Q2_K.",
            "One would do if 50 % of that work were enough; the adherence threshold "
            "is 95 %.",
            "One would do if 0.51 s a task were allowed; the latency ceiling is 0.5 s.",
        ],
    ),
    "the baseline is too slow": (
        lambda: built(
            tasks=12,
            policy=Policy(latency_ceiling_ns=500 * MS),
            quants=PAIR,
            wall_ms=steps(F16=600, Q4_K_M=300),
        ),
        [
            "m: not shown yet that any quant will do; F16 itself will not (too slow).",
            "Q4_K_M may do (on 12 tasks no difference from F16 was seen).",
            "How sure: not yet; at least 90 tasks would be needed, if Q4_K_M loses "
            "none of the further ones.",
            "Speed: Q4_K_M takes 0.300 s a task, F16 0.600 s.",
        ],
    ),
    "one quant": (
        lambda: built(quants=("F16",)),
        [
            "m: only F16 was measured, so there is nothing to compare it with; it did "
            "24 of 24 tasks.",
        ],
    ),
    "the baseline alone": (
        lambda: built(score_of(8)),
        [
            "m: use F16: none of the other 2 quants judged does at least 95 % of the "
            "work that F16 does within 10.0 s a task.",
            "How sure: by their scores on 24 tasks; F16, which they are held against, "
            "needs no proof.",
            "Speed: F16 takes 0.600 s a task.",
        ],
    ),
    "the reference fails": (
        lambda: built(lambda quant, task: int(task < 10)),
        [
            "Mind: F16 itself does only 10 of 24 tasks. A model that cannot do the "
            "work cannot lose much of it.",
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q2_K may do too (on 24 tasks no difference from F16 "
            "was seen), but that is not shown yet.",
            "How sure: not yet; at least 104 tasks would be needed, if Q2_K loses "
            "none of the further ones.",
            "Speed: F16 looks best so far with 0.600 s a task, but it cannot be told "
            "for sure from Q4_K_M, Q2_K; one repetition cannot tell speed from chance.",
        ],
    ),
    "the reference does nothing": (
        lambda: built(lambda quant, task: 0, quants=PAIR),
        [
            "No recommendation for m: F16 itself does none of the 24 tasks in full, "
            "so there is nothing to hold the others against.",
            "What to do: ask tasks that this model can do, best those of your own "
            "work, or measure a larger model.",
        ],
    ),
    "the reference does nothing in full": (
        half_done,
        [
            "No recommendation for m: F16 itself does none of the 24 tasks in full, "
            "so there is nothing to hold the others against.",
            "What to do: ask tasks that this model can do, best those of your own "
            "work, or measure a larger model.",
        ],
    ),
    "quality only": (
        lambda: built(
            tasks=90,
            quants=PAIR,
            policy=Policy(quality_only=True),
            polluted={("Q4_K_M", 3), ("F16", 5)},
        ),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "How sure: shown on 90 tasks like these: Q4_K_M did all 90 that F16 did; "
            "1 chance in 100 of error.",
            "If these 90 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 90 of them, F16 90.",
            "Answers alone were judged, as by --quality-only: nothing is said of "
            "speed.",
        ],
    ),
    "unsupported checks": (
        lambda: built(tasks=104, quants=PAIR, unsupported={("Q4_K_M", 3)}),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "How sure: shown on 103 tasks like these: Q4_K_M did all 103 that F16 "
            "did; 1 chance in 100 of error.",
            "If these 103 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 103 of them, F16 103.",
            "Speed: F16 looks best so far with 0.600 s a task (Q4_K_M 0.600 s), but "
            "it cannot be told for sure from Q4_K_M; one repetition cannot tell speed "
            "from chance.",
            "Compared without 1 of 104 tasks: a check could not be run on some "
            "quant's answer.",
        ],
    ),
    "latency unknown": (
        lambda: built(
            quants=PAIR,
            untimed=True,
            policy=Policy(include_polluted="always", allow_unobserved=True),
        ),
        [
            "No recommendation for m: none of its 2 quants will do. Time not known: "
            "F16, Q4_K_M.",
        ],
    ),
    "a loose canary": (
        lambda: built(
            tasks=90,
            quants=PAIR,
            repetitions=2,
            policy=Policy(canary_max_latency_cv_ppm=1_000_000),
            wall_ms=steps(F16=600, Q4_K_M=200),
        ),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "How sure: shown on 90 tasks like these: Q4_K_M did all 90 that F16 did; "
            "1 chance in 100 of error.",
            "If these 90 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 90 of them, F16 90.",
            "Nothing is said of speed: the check before the sweep did not show that "
            "times repeat on this machine.",
        ],
    ),
    "unfinished": (
        unfinished,
        [
            "m: F16 is the safe choice: no other quant could be judged, so it is not "
            "shown yet that a smaller one will do.",
            "Speed: F16 takes 0.600 s a task.",
            "Not judged: Q4_K_M (not run to the end); Q2_K (not run).",
            "Incomplete: 36 of 72 planned runs were not made.",
        ],
    ),
    "not begun": (
        lambda: replace(unfinished(), runs=[]),
        [
            "No recommendation for m: none of its 3 quants could be judged. Not run: "
            "F16, Q4_K_M, Q2_K.",
            "Incomplete: 72 of 72 planned runs were not made.",
        ],
    ),
    "budget ended": (
        lambda: rounds(3),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (on 34 tasks no difference from "
            "F16 was seen), but that is not shown yet.",
            "How sure: not yet; at least 56 more tasks that F16 does would be needed, "
            "if Q4_K_M loses none of them.",
            "Speed: F16 looks best so far with 0.500 s a task, but it cannot be told "
            "for sure from Q4_K_M.",
            "Asked, of the 136 tasks: 34 of F16, Q4_K_M, Q2_K. Not decided yet: more "
            "time would tell more.",
        ],
    ),
    "time ended in the middle of a round: one quant is ahead of the reference": (
        lambda: after_rounds(
            "s",
            {"Q2_K": set(range(0, 136, 2))},
            {"F16": 3, "Q4_K_M": 5},
            ("F16", "Q4_K_M", "Q2_K"),
        ),
        [
            "m: F16 is the safe choice: it is not shown yet that a smaller one does "
            "at least 95 % of its work.",
            "If memory is tight: Q4_K_M may do too (on 34 tasks no difference from "
            "F16 was seen), but that is not shown yet.",
            "How sure: not yet; at least 56 more tasks that F16 does would be needed, "
            "if Q4_K_M loses none of them.",
            "Speed: F16 looks best so far with 0.500 s a task, but it cannot be told "
            "for sure from Q4_K_M.",
            "Asked, of the 136 tasks: 68 of Q4_K_M; 34 of F16, Q2_K. Not decided yet: "
            "more time would tell more.",
        ],
    ),
    "rounds decided": (
        lambda: rounds(7),
        [
            "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the "
            "work that F16 does.",
            "How sure: shown on 102 tasks like these: Q4_K_M did all 102 that F16 "
            "did; 1 chance in 100 of error.",
            "If these 102 tasks are all your work, the score itself is the answer: "
            "Q4_K_M does 102 of them, F16 102.",
            "Speed: F16 looks best so far with 0.500 s a task (Q4_K_M 0.500 s), but "
            "it cannot be told for sure from Q4_K_M.",
            "Asked, of the 136 tasks: 102 of F16, Q4_K_M; 34 of Q2_K. Stopped: "
            "decided, for the smallest that passes is proven.",
        ],
    ),
    "rounds of one quant": (
        lambda: rounds(3, ("F16",)),
        [
            "m: only F16 was measured, so there is nothing to compare it with; it did "
            "34 of 34 tasks.",
            "Asked, of the 136 tasks: 34 of F16. Stopped: decided, for there is no "
            "other quant to decide about; --grid asks it every task.",
        ],
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
@together
def test_each_situation_in_words(name):
    make_sweep, lines = SITUATIONS[name]
    row = yield from ask(make_sweep())
    assert row["recommendation_lines"] == lines
    assert row["recommendation"] == " ".join(lines)


@pytest.mark.parametrize(
    ("score", "polluted", "said"),
    [
        # Q2_K loses a third: the one that stands in is not compared with itself.
        (
            lambda quant, task: int(quant != "Q2_K" or task % 3 > 0),
            {("F16", number) for number in range(4)},
            "no other quant judged does at least 95 % of the work",
        ),
        (
            lambda quant, task: 1,
            {(quant, number) for quant in ("F16", "Q2_K") for number in range(4)},
            "no quant but Q4_K_M could be judged",
        ),
    ],
    ids=["the other loses", "no other is judged"],
)
@together
def test_a_first_impression_compares_no_quant_with_itself(score, polluted, said):
    row = yield from ask(built(score, polluted=polluted))
    assert row["confidence"] == "PROVISIONAL"
    assert row["minimum_viable_quant"] == row["baseline_quant_tag"] == "Q4_K_M"
    assert f"m: a first impression only, not shown yet: {said}" in row["recommendation"]
    assert "between Q4_K_M and Q4_K_M" not in row["recommendation"]


@together
def test_a_task_that_is_done_in_part_is_a_difference():
    sweep = built(quants=PAIR, tasks=12)
    half, *rest = [run for run in sweep.runs if run.quant_tag == "Q4_K_M"]
    assert half.checks is not None
    sweep.runs = [run for run in sweep.runs if run.quant_tag == "F16"] + rest
    for run in list(sweep.runs):
        if run.test_id == half.test_id:
            sweep.runs.remove(run)
    for quant, passed in (("F16", 2), ("Q4_K_M", 1)):
        sweep.add(quant, half.test_id.removeprefix("bank/"), passed=passed, total=3)
    said = (yield from ask(sweep))["recommendation"]
    assert "no difference" not in said
    assert "it did 11 of the 11 tasks that F16 did" in said


@together
def test_each_of_two_models_has_its_own_lines():
    one = built(quants=PAIR, tasks=104)
    other = built(lost_by(Q4_K_M=60), quants=PAIR, tasks=104, model_id="other")
    own, theirs = one.sweep_row(), other.sweep_row()
    assert own.plan is not None and theirs.plan is not None
    one.manifest = {
        "models": [*own.models, *theirs.models],
        "quants": [*own.quants, *theirs.quants],
        "plan": [*own.plan, *theirs.plan],
    }
    one.runs += other.runs
    session = yield one.finish()
    rows = session.rows("SELECT * FROM v1.recommendation ORDER BY model_id")
    first = [row["recommendation_lines"][0] for row in rows]
    assert first == [
        "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the work "
        "that F16 does.",
        "other: use F16: no other quant judged does at least 95 % of the work that "
        "F16 does within 10.0 s a task.",
    ]


@together
def test_a_quant_that_answered_other_tasks_than_the_reference_was_not_disturbed():
    """F16 answers nothing; Q8_0 stands in for it, and failed where Q4_K_M was asked."""
    sweep = make(("F16", "Q8_0", "Q4_K_M"))
    failed: dict[str, Any] = {"passed": None, "outcome": "FAILED", "answer_text": None}
    for number, task in enumerate(sweep.tasks[:68]):
        sweep.add("Q8_0", task, **(failed if number < 3 else {}))
        if number < 34:
            sweep.add("Q4_K_M", task)
        if number < 17:
            sweep.add("F16", task, **failed)
    session = yield sweep.finish()
    (out,) = session.rows("SELECT unjudged_text FROM v1.left_out")
    (why,) = session.rows("SELECT * FROM v1.quant_why WHERE quant_tag = 'Q4_K_M'")
    told = "F16 (no answers); Q4_K_M (too few tasks in common)"
    assert out["unjudged_text"] == told
    assert "has answered too" in str(why)
    assert "--include-polluted" not in str(why)

"""What is advised: the rules against sweeps whose truth is known, and the words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from benchmarks.advice_simulator import (
    Tally,
    clopper_pearson,
    compare,
    mirror,
    simulate,
)
from benchmarks.advice_worlds import PROFILES, Profile, dice_of, draw_world
from orket.policy import Policy
from tests.built_sweep import MODEL_BYTES, MS, Sweep
from tests.together import Sight, together

SHORT = (
    Profile("flat", "flat", tasks=140, quants=3, repetitions=2),
    Profile("below", "below", tasks=104, quants=4, repetitions=1),
    Profile("families", "below", tasks=104, quants=3, repetitions=1, families=13),
    Profile("one file twice", "flat", tasks=24, quants=2, equal_speed=True,
            same_file=True),
    Profile("drift", "flat", tasks=12, quants=4, equal_speed=True, drift=0.1,
            repetitions=2),
)  # fmt: skip


UNSUPPORTED: dict[str, Any] = {
    "checks_passed": 0,
    "checks_total": 0,
    "checks_unsupported": 1,
}
UNTIMED: dict[str, Any] = dict.fromkeys(
    ("wall_ns", "realtime_ns", "prefill_ns", "decode_ns")
)


def ask(sweep: Sweep) -> Sight:
    """What the views advise for one sweep."""
    session = yield sweep.finish()
    (row,) = session.rows("SELECT * FROM v1.recommendation")
    return row


def built(
    score=lambda quant, task: 1,
    *,
    quants=("F16", "Q4_K_M", "Q2_K"),
    tasks=24,
    wall_ms=lambda quant, repetition: 600,
    polluted=(),
    unsupported=(),
    untimed=False,
    **facts,
) -> Sweep:
    """A sweep in which `score` says what passes; a polluted run is (quant, task)."""
    names = tuple(f"t{number:03}" for number in range(tasks))
    sweep = Sweep(sweep_id="s", quants=quants, tasks=names, **facts)
    for repetition in range(1, sweep.repetitions + 1):
        for quant in quants:
            for number, task in enumerate(names):
                sweep.add(
                    quant,
                    task,
                    repetition,
                    passed=score(quant, number),
                    wall_ms=wall_ms(quant, repetition),
                    other_models_resident=["x"] if (quant, number) in polluted else [],
                    **(UNSUPPORTED if (quant, number) in unsupported else {}),
                    **(UNTIMED if untimed else {}),
                )
    return sweep


def test_what_is_proven_is_true_and_equals_are_never_told_apart():
    tallies = simulate(SHORT, sweeps=2, seed=5, judge=compare)
    total = Tally()
    for tally in tallies.values():
        total += tally
    assert total.sweeps == 2 * len(SHORT)
    assert total.supported > 0
    assert total.supported_viable == total.supported
    assert tallies["flat"].smaller_proven > 0
    assert tallies["families"].smaller_proven == 0
    assert tallies["one file twice"].clear == tallies["drift"].clear == 0


def test_claims_hold_over_all_kinds_of_worlds():
    """By the mirror, which the test above holds to the views."""
    tallies = simulate(PROFILES, sweeps=12, seed=1, judge=mirror)
    total = Tally()
    for tally in tallies.values():
        total += tally
    assert total.supported > 100
    assert 100 * (total.supported - total.supported_viable) <= total.supported
    assert total.clear > 80
    assert total.clear_wrong == 0
    assert tallies["temperature, below"].supported == 0
    for name in ("equal speed", "one file twice", "drift"):
        assert tallies[name].clear == 0
    for name in ("steep", "flat", "jagged"):
        assert tallies[name].smaller_proven >= 8


def test_one_more_polluted_run_moves_no_claim():
    """Of three repetitions; by the mirror."""
    dice = dice_of("one more")
    for profile in PROFILES[:4]:
        for number in range(15):
            world = draw_world(profile, number, seed=9)
            polluted = world.is_polluted.copy()
            polluted[tuple(dice.integers(polluted.shape))] = True
            before, after = mirror([world, replace(world, is_polluted=polluted)])
            assert replace(after, best_status=before.best_status) == before


def test_the_interval_of_a_share_is_exact():
    assert clopper_pearson(0, 100) == pytest.approx((0, 0.0362167), abs=1e-6)
    assert clopper_pearson(2, 146) == pytest.approx((0.0016633, 0.0486066), abs=1e-6)
    assert clopper_pearson(5, 5) == pytest.approx((0.4781762, 1), abs=1e-6)


ALIKE = {f"t{number:03}": f"family {number % 13}" for number in range(140)}


@together
def test_few_families_prove_a_quant_that_loses_nothing_and_no_other():
    def score(quant, task):
        return int(quant != "Q2_K" or task > 0)

    row = yield from ask(built(score, tasks=140, families=ALIKE))
    assert row["smallest_supported_quant"] == "Q4_K_M"
    # Each task by itself, one loss of 140 is little.
    more = yield from ask(built(score, tasks=140))
    assert more["smallest_supported_quant"] == "Q2_K"


@pytest.mark.parametrize(
    ("alike", "tasks", "is_proven", "needed"),
    [
        ({}, 90, True, None),
        ({}, 89, False, 90),
        # Ten of one family are worth seven of their own.
        (ALIKE, 130, True, None),
        (ALIKE, 129, False, 130),
    ],
)
@together
def test_few_families_ask_for_more_tasks(alike, tasks, is_proven, needed):
    row = yield from ask(built(tasks=tasks, families=alike))
    assert (row["smallest_supported_quant"] == "Q2_K") is is_proven
    assert row["tasks_needed"] == row["tasks_likely"] == needed
    if alike and not is_proven:
        assert row["families_needed"] == 14


@together
def test_many_families_may_lose_a_task():
    def score(quant, task):
        return int(quant == "F16" or task > 0)

    pairs = {f"t{number:03}": f"family {number % 70}" for number in range(140)}
    row = yield from ask(built(score, tasks=140, families=pairs))
    assert row["smallest_supported_quant"] == "Q2_K"


@together
def test_what_repetitions_lose_counts_beside_what_the_majority_does():
    """Each task fails in one of three runs: by majority nothing is ever lost."""
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=tuple(f"t{n:03}" for n in range(140)))
    sweep.repetitions = 3
    for repetition in (1, 2, 3):
        for quant in sweep.quants:
            for number, task in enumerate(sweep.tasks):
                is_bad = quant == "Q4_K_M" and number < 20 and repetition == 1
                sweep.add(quant, task, repetition, passed=int(not is_bad))
    session = yield sweep.finish()
    rows = session.rows("SELECT * FROM v1.support ORDER BY quant_tag")
    (row,) = session.rows("SELECT * FROM v1.recommendation")
    counts = {r["quant_tag"]: (r["losses"], r["proof_losses"]) for r in rows}
    assert counts == {"F16": (0, 0), "Q4_K_M": (0, 7)}
    assert row["minimum_viable_quant"] == "Q4_K_M"
    assert row["confidence"] == "NEEDS_MORE_TASKS"


def test_the_profiles_of_the_simulator_differ():
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)


@together
def test_one_polluted_run_moves_no_yardstick():
    def score(quant, task):
        return int(quant == "F16" or task % 8 > 0)

    clean = yield from ask(built(score, tasks=96))
    shaken = yield from ask(built(score, tasks=96, polluted={("F16", 0)}))
    for row in (clean, shaken):
        assert row["baseline_quant_tag"] == "F16"
        assert row["minimum_viable_quant"] == "F16"
        assert not row["baseline_shifted"]


@together
def test_a_yardstick_that_is_lost_is_said_and_proves_nothing():
    row = yield from ask(built(polluted={("F16", n) for n in range(4)}))
    assert row["baseline_quant_tag"] == "Q4_K_M"
    assert row["advisories"] == ["BASELINE_QUANT_SHIFTED"]
    assert row["confidence"] == row["best_value_confidence"] == "PROVISIONAL"
    assert row["smallest_supported_quant"] is None
    assert "could not be judged, so Q4_K_M stands in for it" in row["recommendation"]


@together
def test_a_task_that_one_lacks_counts_as_lost():
    whole = yield from ask(built(tasks=90, quants=("F16", "Q4_K_M")))
    lacking = yield from ask(
        built(tasks=90, quants=("F16", "Q4_K_M"), polluted={("Q4_K_M", 3)}),
    )
    assert (whole["confidence"], whole["evidence_losses"]) == ("SUPPORTED", 0)
    assert (lacking["confidence"], lacking["evidence_losses"]) == (
        "NEEDS_MORE_TASKS",
        1,
    )
    assert lacking["tasks_needed"] == 130


@pytest.mark.parametrize(
    ("wall_ms", "status"),
    [
        (lambda quant, repetition: 600, "WITHIN_NOISE"),
        (lambda quant, repetition: 600 - 200 * (quant == "Q4_K_M"), "CLEAR"),
        # Twice as fast in one repetition, as much slower in the other: no block agrees.
        (
            lambda quant, repetition: (
                600 + (quant == "Q4_K_M") * (300 if repetition == 1 else -310)
            ),
            "WITHIN_NOISE",
        ),
        # Faster in every run, by less than the canary's limit bounds.
        (lambda quant, repetition: 600 - 10 * (quant == "Q4_K_M"), "WITHIN_NOISE"),
    ],
)
@together
def test_clear_needs_blocks_that_agree_beyond_the_bound(wall_ms, status):
    sweep = built(tasks=104, repetitions=3, quants=("F16", "Q4_K_M"), wall_ms=wall_ms)
    row = yield from ask(sweep)
    assert row["best_value_status"] == status


@pytest.mark.parametrize(
    ("disturbed", "further", "needed"),
    [
        # With all four it is clear.
        ((), 0, None),
        # Four would do if all counted; three of four did, so that it takes six.
        ((4,), 0, 6),
        ((3, 4), 0, 8),
        # Most runs do not count: nothing is promised.
        ((3, 4), 2, None),
    ],
)
@together
def test_what_repetitions_would_bring_follows_from_how_many_count(
    disturbed,
    further,
    needed,
):
    times = {1: 330, 2: 420, 3: 450, 4: 400}
    sweep = built(
        tasks=104,
        repetitions=4,
        quants=("F16", "Q4_K_M"),
        wall_ms=lambda quant, number: 600 if quant == "F16" else times[number],
    )
    for place, run in enumerate(sweep.runs):
        if run.repetition in disturbed or (
            run.repetition == 1 and run.test_id < f"bank/t{further:03}"
        ):
            assert run.before and run.after and run.before.host_busy_ns is not None
            busy = run.before.host_busy_ns + 2 * 10**9
            after = msgspec.structs.replace(run.after, host_busy_ns=busy)
            sweep.runs[place] = msgspec.structs.replace(run, after=after)
    row = yield from ask(sweep)
    assert row["repetitions_needed"] == needed
    assert row["best_value_status"] == ("WITHIN_NOISE" if disturbed else "CLEAR")
    promise = f"{needed} repetitions would do" if needed else "repetitions would do"
    assert (promise in row["recommendation"]) == (needed is not None)


@together
def test_speed_is_never_told_apart_from_one_repetition():
    sweep = built(
        tasks=104,
        quants=("F16", "Q4_K_M"),
        wall_ms=lambda quant, repetition: 600 - 300 * (quant == "Q4_K_M"),
    )
    row = yield from ask(sweep)
    assert row["best_value_status"] == "WITHIN_NOISE"
    assert "one repetition cannot tell speed from chance" in row["recommendation"]


@together
def test_the_evidence_rule_bet_wants_more_and_counts_gains():
    policy = Policy(evidence_rule="bet")
    pair = ("F16", "Q4_K_M")
    few = yield from ask(built(tasks=104, quants=pair, policy=policy))
    enough = yield from ask(built(tasks=123, quants=pair, policy=policy))
    assert few["confidence"] == "NEEDS_MORE_TASKS"
    assert enough["confidence"] == "SUPPORTED"


@together
def test_few_kinds_of_tasks_prove_little():
    def score(quant, task):
        return int(quant == "F16" or task > 0)

    sweep = built(score, tasks=140, quants=("F16", "Q4_K_M"))
    sweep.families = {task: f"kind {n % 13}" for n, task in enumerate(sweep.tasks)}
    row = yield from ask(sweep)
    assert row["confidence"] == "NEEDS_MORE_TASKS"
    assert row["evidence_families"] == 13
    assert row["families_needed"] == 18
    assert (
        "at least 234 tasks like these or 18 families of tasks (now 13) would be "
        "needed, if Q4_K_M loses none of the further ones." in row["recommendation"]
    )


@together
def test_runs_that_stood_still_do_not_count():
    sweep = Sweep(quants=("F16",), tasks=tuple(f"t{n}" for n in range(6)))
    for number, task in enumerate(sweep.tasks):
        wall_ms = 8_571 if number % 3 == 2 else 6_000
        record = sweep.add("F16", task, wall_ms=wall_ms)
        # The server worked for 6 s of each.
        assert record.before is not None
        start = record.before.server_cpu_ns or 0
        worked = 2 * 6_000 * MS * 95 // 100
        sweep.runs[-1] = replaced(record, start + worked, wall_ms)
    session = yield sweep.finish()
    rows = session.rows(
        "SELECT test_id, run_quality_reasons FROM v1.run_quality ORDER BY test_id"
    )
    stalled = [row["test_id"] for row in rows if row["run_quality_reasons"]]
    assert stalled == ["bank/t2", "bank/t5"]
    assert {tuple(row["run_quality_reasons"]) for row in rows} == {
        (),
        ("SERVER_STALLED",),
    }


def replaced(record, server_cpu_ns, wall_ms):
    """The record, its server having worked so long and nobody else at all."""
    from msgspec.structs import replace

    busy = record.before.host_busy_ns + server_cpu_ns - record.before.server_cpu_ns
    after = replace(
        record.after,
        server_cpu_ns=server_cpu_ns,
        host_busy_ns=busy + wall_ms * MS // 50,
    )
    return replace(record, after=after)


ALL = MODEL_BYTES["F16"]


@pytest.mark.parametrize(
    ("said", "limit", "status", "source"),
    [
        ((1_000, 0, None), 100_000, "POLLUTED", "server"),
        ((1_000, 500, None), 300_000, "CLEAN", "server"),
        ((1_000, 1_000, None), 500_000, "CLEAN", "server"),
        # Nobody says it: what its processes hold on GPUs shows it, or nothing does.
        ((None, None, ALL), 500_000, "CLEAN", "observer"),
        ((None, None, ALL - 1), 100_000, "POLLUTED", "unknown"),
        ((None, None, None), 100_000, "POLLUTED", "unknown"),
        # Its word goes before what is held: a cache is no layer.
        ((1_000, 0, ALL), 100_000, "POLLUTED", "server"),
    ],
)
@together
def test_foreign_load_weighs_by_where_the_model_lies(said, limit, status, source):
    from tests.built_sweep import quiet_counters

    sweep = Sweep(quants=("F16",), tasks=("t1",), model={"cpu_only": None})
    stop = 600 * MS
    # A fifth of both CPUs for somebody else.
    busy = stop * 192 // 100 - stop * 60 // 100 + stop * 40 // 100
    sweep.add(
        "F16",
        "t1",
        after=quiet_counters(stop, server_cpu_ns=stop * 130 // 100, host_busy_ns=busy),
        reported_model_bytes=said[0],
        reported_gpu_bytes=said[1],
        peak_gpu_memory_bytes=said[2],
    )
    session = yield sweep.finish()
    (row,) = session.rows("SELECT * FROM v1.run_quality")
    assert row["foreign_cpu_limit_ppm"] == limit
    assert row["gpu_share_source"] == source
    assert row["run_quality_status"] == status

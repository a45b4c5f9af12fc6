"""Tables of evidence against the definitions they stand for."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import comb, isclose, log

import pytest

from orket import evidence


@pytest.mark.parametrize(
    ("threshold_ppm", "alpha_ppm", "least"),
    [
        (950_000, 10_000, [90, 130, 165, 198, 229, 259]),
        (950_000, 25_000, [72, 110, 142, 173, 202, 230]),
        (900_000, 10_000, [44, 64, 81, 97, 113, 127]),
        (980_000, 10_000, [228, 330, 418, 499, 577]),
    ],
)
def test_passes_that_prove_retention(threshold_ppm, alpha_ppm, least):
    table = evidence.retention_table(threshold_ppm, alpha_ppm)
    assert [row.least_passes for row in table[: len(least)]] == least


@pytest.mark.parametrize("threshold_ppm", [800_000, 953_000])
@pytest.mark.parametrize("claims", [1, 3])
def test_the_least_passes_are_the_least(threshold_ppm, claims):
    loss = 1 - Fraction(threshold_ppm, 10**6)
    alpha = Fraction(1, 100 * claims)

    def chance(losses, passes):
        return sum(
            comb(passes, hit) * loss**hit * (1 - loss) ** (passes - hit)
            for hit in range(losses + 1)
        )

    table = evidence.retention_table(threshold_ppm, 10_000, claims, 200)
    assert table
    for row in table:
        assert chance(row.losses, row.least_passes) <= alpha
        assert chance(row.losses, row.least_passes - 1) > alpha


@pytest.mark.parametrize("threshold_ppm", [0, 1_000_000])
def test_no_table_where_nothing_can_be_shown(threshold_ppm):
    assert evidence.retention_table(threshold_ppm, 10_000) == ()
    assert evidence.bet_table(threshold_ppm) == ()


def test_power_is_that_of_the_row():
    for row in evidence.retention_table(950_000, 10_000)[:20]:
        assert row.powered_loss_ppm is not None
        loss = row.powered_loss_ppm / 1e6
        chance = sum(
            comb(row.least_passes, hit)
            * loss**hit
            * (1 - loss) ** (row.least_passes - hit)
            for hit in range(row.losses + 1)
        )
        assert chance == pytest.approx(0.8, abs=1e-3)


def test_a_bet_never_pays_more_than_its_logarithm():
    for bet in evidence.bet_table(950_000):
        for pay, value in (
            (bet.from_nano, bet.from_log_nano),
            (bet.to_nano, bet.to_log_nano),
        ):
            exact = log(1 + bet.stake_ppm / 1e6 * pay / 1e9 / 0.95)
            assert value == pytest.approx(1e9 * exact, abs=2)
            assert value <= 1e9 * exact + 1e-3
    assert evidence.bet_needed_nano(10_000) == 5_991_464_548
    assert evidence.bet_needed_nano(10_000, 2) > evidence.bet_needed_nano(10_000)


def test_a_bet_loses_on_average_where_the_quant_is_not_viable():
    # A quant that keeps exactly 95 of 100 tasks, at every stake.
    for stake_ppm in evidence.STAKES_PPM:
        stake = Fraction(stake_ppm, 10**6) / Fraction(95, 100)
        kept, lost = 1 + stake * Fraction(5, 100), 1 - stake * Fraction(95, 100)
        assert Fraction(95, 100) * kept + Fraction(5, 100) * lost <= 1


def test_wins_that_a_coin_does_not_reach():
    table = dict(evidence.sign_table(10_000, 120))
    assert min(table) == 7
    for pairs, wins in table.items():
        tail = sum(comb(pairs, hit) for hit in range(wins, pairs + 1))
        assert 100 * tail <= 2**pairs < 100 * (tail + comb(pairs, wins - 1))


def test_quantiles_are_those_of_the_books():
    table = {row.degrees: row for row in evidence.spread_table(10_000)}
    printed = {1: 31.821, 2: 6.965, 3: 4.541, 4: 3.747, 8: 2.896, 30: 2.457, 60: 2.390}
    for degrees, value in printed.items():
        assert table[degrees].t_milli == pytest.approx(1000 * value, abs=1.5)
    # Chi-square at 5 %: 2.733 with 8 degrees of freedom, 10.117 with 19.
    assert table[8].upper_milli == pytest.approx(1000 * (8 / 2.733) ** 0.5, abs=1.5)
    assert table[19].upper_milli == pytest.approx(1000 * (19 / 10.117) ** 0.5, abs=1.5)


@pytest.mark.parametrize(
    ("threshold_ppm", "shares", "tasks", "least"),
    [
        (900_000, 1, 136, [51, 73, 94, 111]),
        (900_000, 1, 216, [51, 73, 94, 118, 139, 163, 186, 203]),
        (900_000, 1, 500, [51, 73, 94, 118, 139, 163, 186, 203]),
        (900_000, 2, 136, [57, 81, 104, 121]),
        (900_000, 2, 216, [57, 81, 104, 127, 150, 173, 190]),
        (900_000, 2, 500, [57, 81, 104, 127, 150, 173, 196, 214]),
        (950_000, 1, 136, [90]),
        (950_000, 1, 216, [104, 149, 182]),
        (950_000, 1, 265, [104, 149, 195, 227]),
        (950_000, 1, 500, [104, 149, 195, 240, 286, 332, 380, 413]),
        (950_000, 2, 136, [104]),
        (950_000, 2, 216, [117, 166, 199]),
        (950_000, 2, 265, [117, 166, 212, 246]),
        (950_000, 2, 500, [117, 166, 212, 260, 306, 353, 401, 436]),
        (980_000, 1, 136, [228]),
        (980_000, 1, 216, [228]),
        (980_000, 1, 500, [263, 379, 460]),
        (980_000, 2, 136, [263]),
        (980_000, 2, 216, [263]),
        (980_000, 2, 500, [297, 386]),
    ],
)
def test_passes_that_prove_retention_at_every_look(threshold_ppm, shares, tasks, least):
    found = evidence.proof_min_passes(threshold_ppm, 10_000, tasks, shares)
    assert list(found) == least


@pytest.mark.parametrize("tasks", [40, 136, 216])
def test_a_list_is_met_by_chance_no_more_often_than_its_level(tasks):
    """Every path of losses is walked; a proof once made is kept."""
    loss = Fraction(1, 10)
    least = evidence.proof_min_passes(900_000, 10_000, tasks)
    paths = {0: Fraction(1)}
    proven = Fraction(0)
    for passes in range(1, least[-1] + 1):
        walked: dict[int, Fraction] = {}
        for losses, chance in paths.items():
            walked[losses] = walked.get(losses, Fraction(0)) + chance * (1 - loss)
            if losses + 1 < len(least):
                walked[losses + 1] = walked.get(losses + 1, Fraction(0)) + chance * loss
        met = {losses for losses in walked if passes >= least[losses]}
        proven += sum((walked[losses] for losses in met), Fraction(0))
        paths = {n: chance for n, chance in walked.items() if n not in met}
    assert Fraction(8, 1000) < proven <= Fraction(1, 100)


@pytest.mark.parametrize(
    ("threshold_ppm", "both", "lost"),
    [
        (
            900_000,
            [10050336, 30459208, 61875404, 99820336],
            [86177696, 239016900, 431782416, 617884696],
        ),
        (
            950_000,
            [5012542, 15113638, 30459208, 48665172],
            [90754363, 250758718, 451075619, 643168810],
        ),
        (
            980_000,
            [2002003, 6018073, 12072582, 19182820],
            [93490343, 257738196, 462475362, 658038003],
        ),
    ],
)
def test_what_a_task_is_worth_in_a_bet_against_a_quant(threshold_ppm, both, lost):
    table = evidence.stake_table(threshold_ppm)
    assert [stake.both_nano for stake in table] == both
    assert [stake.lost_nano for stake in table] == lost
    gain = [105360516, 356674944, 916290732, 2995732274]
    assert [stake.gain_nano for stake in table] == gain
    assert evidence.bet_needed_nano(10_000) == 5991464548


@pytest.mark.parametrize("correlation", [0, 100_000, 300_000, 1_000_000])
def test_tasks_of_a_family_are_worth_between_one_and_all_of_them(correlation):
    table = evidence.family_table(950_000, correlation, 60)
    assert table[0] == 1_000_000
    steps = [after - before for before, after in pairwise(table)]
    assert all(0 <= step <= 1_000_000 for step in steps)
    assert all(after <= before + 1 for before, after in pairwise(steps))
    if correlation == 0:
        assert table[-1] == 60_000_000
    if correlation == 1_000_000:
        assert table[-1] == 1_000_000


def test_the_worth_of_a_family_is_that_of_tasks_all_kept_as_often():
    kept, shared = Fraction(95, 100), Fraction(1, 10)
    # Beta-binomial: each that is kept makes the next likelier, by Polya's urn.
    chance = Fraction(1)
    for before in range(10):
        chance *= (kept * (1 - shared) + before * shared) / (
            1 - shared + before * shared
        )
    worth = evidence.family_table(950_000, 100_000, 10)[-1]
    assert isclose(0.95 ** (worth / 1e6), chance, rel_tol=1e-6)
    assert evidence.family_table(1_000_000, 100_000) == ()

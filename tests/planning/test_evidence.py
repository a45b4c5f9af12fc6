"""What the planned tasks can show at best, said before anything is run."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.evidence import family_table, least_without_loss, reach_table
from orket.planning.evidence import count_families, warn_of_few
from orket.planning.schedule import PlannedModel
from orket.records import Controls, Policy, TaskEntry
from orket.tasks.bank import load_bank


def entries(families: Sequence[str | None]) -> list[TaskEntry]:
    return [
        TaskEntry(
            test_id=f"b/{number}",
            bank="b",
            task_id=str(number),
            bucket="logic",
            family=family,
            task_revision="r",
            checks_total=1,
            max_tokens=8,
        )
        for number, family in enumerate(families)
    ]


def models(*thresholds: int) -> list[PlannedModel]:
    return [
        PlannedModel(
            f"m{number}", (), Controls(), Policy(adherence_threshold_ppm=threshold)
        )
        for number, threshold in enumerate(thresholds)
    ]


@pytest.mark.parametrize(
    ("threshold", "least"),
    [(950_000, 90), (900_000, 44), (990_000, 459), (0, 1), (1_000_000, None)],
)
def test_the_fewest_tasks_without_a_loss(threshold: int, least: int | None) -> None:
    assert least_without_loss(threshold, 10_000) == least


@given(st.integers(1, 990_000))
def test_the_fewest_tasks_do_and_one_less_does_not(threshold: int) -> None:
    least = least_without_loss(threshold, 10_000)
    kept = Fraction(threshold, 10**6)

    assert least is not None
    assert kept**least <= Fraction(1, 100)
    assert least == 1 or kept ** (least - 1) > Fraction(1, 100)


def test_a_task_without_a_family_is_its_own() -> None:
    assert count_families(entries(["a", "a", None, None, "b"])) == 4


def test_tasks_of_few_families_say_less() -> None:
    (said,) = warn_of_few(entries(list("ab") * 100), models(950_000, 950_000))
    assert said == (
        "200 tasks in 2 families say as much as 45 that fail by themselves, too few to "
        "show that a quant keeps 95 % of the work: it takes 90 or more that the most "
        "precise quant passes, and no loss"
    )
    (said,) = warn_of_few(entries(list("abcdefghijklm") * 16), models(950_000))
    assert said == (
        "208 tasks in 13 families say as much as 122 that fail by themselves: they can "
        "show that a quant keeps 95 % of the work only where it loses none of them"
    )
    assert (
        warn_of_few(entries(list("abcdefghijklmnopqrst") * 10), models(950_000)) == []
    )


def test_most_tasks_of_the_core_bank_say_as_much_as_single_ones() -> None:
    sizes = Counter(task.family for task in load_bank("core").tasks)
    table = family_table(950_000, 100_000)

    assert max(sizes.values()) <= 6
    assert sum(table[size - 1] for size in sizes.values()) // 10**6 == 228


def test_by_rounds_it_takes_as_many_as_their_looks_do() -> None:
    """13 families of 16 are worth one look; 45 of five are worth 184, and two."""
    none_lost = "they can show that a quant keeps 95 % of the work only where it"
    few = entries(list("abcdefghijklm") * 16)
    (said,) = warn_of_few(few, models(950_000), is_adaptive=True)
    assert none_lost in said and "as much as 122 " in said
    many = entries([f"f{number % 45}" for number in range(225)])
    assert warn_of_few(many, models(950_000), is_adaptive=True) == []
    (said,) = warn_of_few(entries([None] * 89), models(950_000), is_adaptive=True)
    assert said.endswith(
        "it takes 90 or more that the most precise quant passes, and no loss"
    )
    (said,) = warn_of_few(entries(list("ab") * 100), models(950_000), True)
    assert "as much as 45 that fail by themselves, too few" in said
    assert warn_of_few(few, models(0), is_adaptive=True) == []


def test_a_family_that_hangs_together_no_more_is_no_family() -> None:
    alike = entries(["a", "b"] * 50)
    policy = Policy(family_correlation_ppm=0)
    assert warn_of_few(alike, [PlannedModel("m", (), Controls(), policy)]) != []
    assert (
        warn_of_few(
            entries(["a", "b"] * 65), [PlannedModel("m", (), Controls(), policy)]
        )
        == []
    )


def test_each_threshold_has_its_own_number() -> None:
    few = entries([None] * 50)

    (said,) = warn_of_few(few, models(900_000, 950_000))
    assert said == (
        "50 tasks are few to show that a quant keeps 95 % of the work: it takes 90 or "
        "more that the most precise quant passes, and no loss"
    )
    assert warn_of_few(few, models(900_000)) == []
    (never,) = warn_of_few(few, models(1_000_000))
    assert "takes more than 2000 that" in never


@pytest.mark.parametrize(
    ("tasks", "needed", "alpha"),
    [(30, 12, 10_000), (30, 30, 10_000), (60, 20, 200_000), (19, 1, 400_000)],
)
def test_what_is_out_of_reach_is_so_by_the_exact_chance(
    tasks: int, needed: int, alpha: int
) -> None:
    """One pass more has more than its part of the chance at that number of tasks."""
    rows = dict(reach_table(tasks, needed, alpha))
    part = Fraction(alpha, 1_000_000 * tasks)

    def chance(asked: int, most: int) -> Fraction:
        ways = sum(
            math.comb(needed, hits) * math.comb(tasks - needed, asked - hits)
            for hits in range(min(most, asked) + 1)
        )
        return Fraction(ways, math.comb(tasks, asked))

    assert rows
    for asked in range(1, tasks + 1):
        most = rows.get(asked, -1)
        assert most < needed
        assert most < 0 or chance(asked, most) <= part
        if most + 1 < min(needed, asked):
            assert chance(asked, most + 1) > part
    # With all tasks asked, whoever does fewer than are needed has not reached it.
    assert rows[tasks] == needed - 1


def test_whoever_reaches_it_is_hardly_ever_told_that_it_is_out_of_reach() -> None:
    """Just as many as are needed, looked at behind every task, in drawn orders."""
    drawn, rows = random.Random(5), dict(reach_table(60, 20, 100_000))
    told = 0
    for _ in range(2_000):
        order = drawn.sample([True] * 20 + [False] * 40, 60)
        done = 0
        for asked, passed in enumerate(order, start=1):
            done += passed
            if done <= rows.get(asked, -1):
                told += 1
                break
    # A tenth is allowed; the rule is one for any look, so that it is fewer.
    assert 0 < told < 200


def test_nothing_is_out_of_reach_of_too_few_tasks_or_without_any_error() -> None:
    assert reach_table(24, 104, 10_000) == ()
    assert reach_table(265, 104, 0) == ()

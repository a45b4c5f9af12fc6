"""How often proofs by rounds are wrong where tasks come in families, in the thousands.

    python -m benchmarks.adaptive_mirror --sweeps 100000 --seed 1

It follows sql/v1 (015, 078, 095) over sweeps whose tasks pass or fail, from the same
tables of orket/evidence.py, and looks after every round. All smaller quants keep
exactly the threshold, or lose a point more of all tasks, so whatever is proven is
wrong. With one chain the start quant is right below the most precise one; with two
another is between them. A test holds it to the views.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from benchmarks.advice_worlds import PASS_RATE, THRESHOLD, dice_of
from orket.evidence import family_table, proof_min_passes
from orket.planning.rounds import FIRST_SIZES, LATER_SIZE
from orket.policy import Policy

POLICY = Policy()
PPM = 1_000_000
AT_ONCE = 2_000
"""Sweeps drawn at a time."""
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sweep."""

    tasks: int
    families: int
    correlation: float
    """Of the normal variables behind the losses of one family."""
    points_below: float = 0.0
    """Points of all tasks that are lost beyond what the threshold allows."""


@dataclass(slots=True)
class Found:
    """Sweeps with a wrong proof."""

    sweeps: int = 0
    one_chain: int = 0
    two_chains: int = 0


KINDS = tuple(
    Kind(tasks, families, correlation, points)
    for correlation in (0.3, 0.6)
    for points in (0.0, 1.0)
    for families in (13, 40)
    for tasks in (136, 216, 240)
)


def worth_of(kind: Kind) -> int:
    """Single tasks that say as much as all the planned ones."""
    sizes = np.bincount(np.arange(kind.tasks) % kind.families)
    return int(_worth_micro(kind.tasks)[sizes].sum()) // PPM


def lists_of(kind: Kind) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The passes that prove, by losses: with one chain, and with two."""
    alone, halved = (
        proof_min_passes(
            POLICY.adherence_threshold_ppm,
            POLICY.evidence_level_ppm,
            worth_of(kind),
            shares,
        )
        for shares in (1, 2)
    )
    return alone, halved


def simulate(kind: Kind, sweeps: int, seed: int) -> Found:
    """Draw sweeps of a kind: how many of them prove something that is wrong."""
    dice = dice_of(f"{seed}/{kind}")
    alone, halved = lists_of(kind)
    found = Found()
    while found.sweeps < sweeps:
        number = min(AT_ONCE, sweeps - found.sweeps)
        passed = dice.random((number, kind.tasks)) < PASS_RATE
        start, other = (passed & _draw_lost(kind, number, dice) for _ in range(2))
        worth = worth_so_far(kind, passed)
        found.sweeps += number
        found.one_chain += int(is_proven(worth, start, alone).sum())
        found.two_chains += int(
            (is_proven(worth, start, halved) | is_proven(worth, other, halved)).sum()
        )
    return found


def is_proven(worth: Integers, lost: Truths, least: tuple[int, ...]) -> Truths:
    """Whether each sweep meets the list at any of its looks.

    `worth`: in millionths, by sweep and task, of the task and all before it.
    """
    looks = _looks(lost.shape[1])
    losses = np.cumsum(lost, axis=1)[:, looks]
    needed = np.array([*least, PPM])[np.minimum(losses, len(least))]
    meets: Truths = np.greater_equal(worth[:, looks] // PPM, needed)
    return np.asarray(meets.any(axis=1))


def worth_so_far(kind: Kind, passed: Truths) -> Integers:
    """What the passes up to each task are worth, in millionths."""
    table = _worth_micro(kind.tasks)
    added = np.zeros(passed.shape, dtype=np.int64)
    for family in range(kind.families):
        own = passed[:, family :: kind.families]
        worth = table[np.cumsum(own, axis=1)]
        added[:, family :: kind.families] = np.diff(worth, axis=1, prepend=0)
    return np.cumsum(added, axis=1)


def _looks(tasks: int) -> list[int]:
    """The last task of each round."""
    ends = range(sum(FIRST_SIZES[:2]), tasks, LATER_SIZE)
    return [end - 1 for end in (*ends, tasks)]


def _draw_lost(kind: Kind, sweeps: int, dice: np.random.Generator) -> Truths:
    family = np.arange(kind.tasks) % kind.families
    shared = dice.normal(size=(sweeps, kind.families))[:, family]
    alone = dice.normal(size=(sweeps, kind.tasks))
    rate = 1 - THRESHOLD + kind.points_below / 100 / PASS_RATE
    below = NormalDist().inv_cdf(rate)
    weight = kind.correlation
    lost: Truths = weight**0.5 * shared + (1 - weight) ** 0.5 * alone < below
    return lost


@cache
def _worth_micro(most: int) -> Integers:
    """Worth by number of tasks of a family, from none on."""
    table = family_table(
        POLICY.adherence_threshold_ppm, POLICY.family_correlation_ppm, most
    )
    return np.array([0, *table], dtype=np.int64)


def main() -> None:
    """Print a line per kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for kind in KINDS:
        found = simulate(kind, options.sweeps, options.seed)
        where = f"{kind.points_below:g} points below" if kind.points_below else "margin"
        print(
            f"{kind.tasks} tasks in {kind.families} families, worth {worth_of(kind)}, "
            f"correlation {kind.correlation:g}, {where}: of {found.sweeps} wrong "
            f"{found.one_chain} with one chain "
            f"({100 * found.one_chain / found.sweeps:.2f} %), "
            f"{found.two_chains} with two "
            f"({100 * found.two_chains / found.sweeps:.2f} %); "
            f"lists {' '.join(str(list(least)) for least in lists_of(kind))}",
            flush=True,
        )


if __name__ == "__main__":
    main()

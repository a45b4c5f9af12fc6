"""The rules of advice once more, in Python, for sweeps by the hundred thousand.

It follows sql/v1 (061, 074, 075, 085, 090, 094, 096, 098) over what
benchmarks/advice_worlds.py draws: grids in which every answer could be checked, judged
by the policy of the package, from the same tables of orket/evidence.py.
`python -m benchmarks.advice_simulator --check` holds it to the views.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.advice_worlds import Advice, Integers, Truths, World
from orket.evidence import family_table, retention_table, sign_table, spread_table
from orket.policy import Policy

POLICY = Policy()
NANO = 1_000_000_000
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a sweep, by quant and task, over valid runs."""

    is_valid: Truths
    """By repetition, quant and task."""
    adherence: Integers
    """1e-9; 0 without a verdict."""
    is_judged: Truths
    """Has a verdict."""
    is_passed: Truths
    typical_ns: Integers


@dataclass(slots=True)
class Quant:
    """One quant of a sweep against the reference."""

    tag: str
    place: int
    """0 is the most precise."""
    losses: int
    gains: int
    baseline_passes: int
    is_eligible: bool
    utility: tuple[int, ...]
    strength: int
    is_proven: bool = False


def judge_by_mirror(world: World) -> Advice:
    """What the views would say of this sweep."""
    facts = _facts(world)
    tasks = world.profile.tasks
    judged = facts.is_judged.sum(axis=1) * PPM >= tasks * POLICY.min_pair_ppm
    if not judged.any():
        raise ValueError("no quant of the sweep can be a baseline")
    first = int(judged.argmax())
    quants = [_compare(place, first, facts, world) for place in range(len(world.tags))]
    _prove(quants, first)
    eligible = [quant for quant in quants if quant.is_eligible]
    best = max(eligible, key=lambda quant: quant.utility)
    smallest = max(eligible, key=lambda quant: quant.place)
    proven = [quant for quant in eligible if quant.is_proven]
    is_clear = _is_clear(world, facts, best, eligible, first)
    return Advice(
        baseline=world.tags[first],
        minimum_viable=smallest.tag,
        confidence=_confidence(smallest, first),
        smallest_supported=None
        if first or not proven
        else max(proven, key=lambda quant: quant.place).tag,
        best_value=best.tag,
        best_confidence=_confidence(best, first),
        best_status="CLEAR" if is_clear else "WITHIN_NOISE",
        proven=frozenset(quant.tag for quant in quants if quant.is_proven),
        eligible=frozenset(quant.tag for quant in eligible),
    )


def _confidence(quant: Quant, first: int) -> str:
    if first:
        return "PROVISIONAL"
    return "SUPPORTED" if quant.is_proven else "NEEDS_MORE_TASKS"


def _facts(world: World) -> Facts:
    is_valid = world.is_made & ~world.is_polluted
    runs = is_valid.sum(axis=0)
    checks = world.profile.checks
    passed = np.where(is_valid, world.passed, 0).sum(axis=0)
    whole = (is_valid & (world.passed == checks)).sum(axis=0)
    total = np.maximum(checks * runs, 1)
    # The median by nearest rank.
    times = np.sort(np.where(is_valid, world.wall_ns, np.iinfo(np.int64).max), axis=0)
    typical = np.take_along_axis(times, np.maximum(runs - 1, 0)[None] // 2, axis=0)[0]
    return Facts(
        is_valid=is_valid,
        adherence=(2 * passed * NANO + total) // (2 * total),
        is_judged=runs > 0,
        is_passed=2 * whole > runs,
        typical_ns=typical,
    )


def _compare(place: int, first: int, facts: Facts, world: World) -> Quant:
    """Counts against the reference, and what they are worth as evidence."""
    is_paired = facts.is_judged[place] & facts.is_judged[first]
    own, base = facts.adherence[place], facts.adherence[first]
    own_passed, base_passed = facts.is_passed[place], facts.is_passed[first]
    own_sum = int(own[is_paired].sum())
    base_sum = int(base[is_paired].sum())
    tasks = world.profile.tasks
    is_judged = int(is_paired.sum()) * PPM >= tasks * POLICY.min_pair_ppm
    is_eligible = is_judged and (
        own_sum * PPM >= base_sum * POLICY.adherence_threshold_ppm
    )
    utility: tuple[int, ...] = ()
    if is_eligible:
        relative = _scaled(own_sum, base_sum)
        latency = _scaled(
            int(facts.typical_ns[place][is_paired].sum()),
            int(facts.typical_ns[first][is_paired].sum()),
        )
        utility = _scaled(relative, latency), relative, -latency, -place
    return Quant(
        tag=world.tags[place],
        place=place,
        losses=int((is_paired & base_passed & ~own_passed).sum()),
        gains=int((is_paired & ~base_passed & own_passed).sum()),
        baseline_passes=int((is_paired & base_passed).sum()),
        is_eligible=is_eligible,
        utility=utility,
        strength=_strength(place, first, facts, world) if is_judged else 0,
    )


def _strength(place: int, first: int, facts: Facts, world: World) -> int:
    """How often the chance of error may be divided and still prove this quant."""
    has_base = facts.is_judged[first]
    has_both = has_base & facts.is_judged[place]
    counts = facts.is_passed[first] | ~has_base
    losses = counts & ~(has_both & facts.is_passed[place])
    reached = np.where(has_base, facts.adherence[first], NANO)
    lost = np.maximum(reached - np.where(has_both, facts.adherence[place], 0), 0)
    sizes: dict[object, int] = {}
    for task in np.flatnonzero(counts):
        name = world.families[task]
        family = int(task) if name is None else name
        sizes[family] = sizes.get(family, 0) + 1
    worth = sum(_worth_micro()[size - 1] for size in sizes.values())
    return _claims(
        min(worth // PPM, int(reached.sum()) // NANO),
        max(int(losses.sum()), -(-int(lost.sum()) // NANO)),
        len(world.tags),
    )


@cache
def _worth_micro() -> tuple[int, ...]:
    return family_table(POLICY.adherence_threshold_ppm, POLICY.family_correlation_ppm)


def _prove(quants: list[Quant], first: int) -> None:
    """The walk from the top down, and Holm's method beside it."""
    below = quants[first + 1 :]
    is_walked = True
    for quant in below:
        is_walked = is_walked and quant.strength >= 1
        quant.is_proven = is_walked
    ranked = sorted(below, key=lambda quant: (-quant.strength, quant.tag))
    for place, quant in enumerate(ranked):
        if quant.strength < 2 * (len(ranked) - place):
            break
        quant.is_proven = True
    quants[first].is_proven = True


@cache
def _least_passes(claims: int) -> dict[int, int]:
    """Losses -> the passes that prove retention, for so many claims."""
    table = retention_table(
        POLICY.adherence_threshold_ppm, POLICY.evidence_level_ppm, claims
    )
    return {row.losses: row.least_passes for row in table}


@cache
def _claims(passes: int, losses: int, quants: int) -> int:
    """Into how many claims the chance of error may be divided; 0 without any proof."""
    return max(
        (
            claims
            for claims in (1, *range(2, 2 * max(quants - 1, 1) + 1, 2))
            if passes >= _least_passes(claims).get(losses, passes + 1)
        ),
        default=0,
    )


@cache
def _least_wins() -> dict[int, int]:
    return dict(sign_table(POLICY.evidence_level_ppm, 5_000))


@cache
def _t_milli() -> dict[int, int]:
    return {row.degrees: row.t_milli for row in spread_table(POLICY.evidence_level_ppm)}


def _is_clear(
    world: World, facts: Facts, best: Quant, eligible: list[Quant], first: int
) -> bool:
    """Whether the best value beats every other eligible quant."""
    ratios: dict[int, list[int]] = {}
    counts: dict[int, tuple[int, int]] = {}
    for place in range(len(world.tags)):
        both = facts.is_valid[:, best.place] & facts.is_valid[:, place]
        own, other = world.wall_ns[:, best.place], world.wall_ns[:, place]
        sums = [
            (int(own[n][both[n]].sum()), int(other[n][both[n]].sum()))
            for n in range(len(both))
            if both[n].any()
        ]
        if place != best.place and sums:
            ratios[place] = [rival * PPM // mine for mine, rival in sums]
            counts[place] = (
                int((both & (own != other)).sum()),
                int((both & (own < other)).sum()),
            )
    freedom = sum(len(blocks) - 1 for blocks in ratios.values())
    squares = sum(
        (abs(PPM * (len(blocks) * ratio - sum(blocks))) // sum(blocks)) ** 2
        for blocks in ratios.values()
        for ratio in blocks
    )
    same_file = set(world.tags[-2:]) if world.profile.same_file else set()
    degrees = min(60, 4 * freedom // (len(ratios) + 3))
    own_doubt = _doubt(best, first)
    for rival in eligible:
        if rival is best:
            continue
        doubt = _doubt(rival, first)
        if (
            {rival.tag, best.tag} == same_file or rival.place not in ratios
            or degrees not in _t_milli() or doubt is None or own_doubt is None
        ):  # fmt: skip
            return False
        blocks = ratios[rival.place]
        common = facts.is_judged[best.place] & facts.is_judged[rival.place]
        own_sum = int(facts.adherence[best.place][common].sum())
        rival_sum = int(facts.adherence[rival.place][common].sum())
        gap = min(own_sum * sum(blocks) // (rival_sum * len(blocks)) - PPM, NANO)
        own_passed = facts.is_passed[best.place][common]
        differing = own_passed != facts.is_passed[rival.place][common]
        pairs, wins = counts[rival.place]
        is_faster = pairs >= POLICY.rival_min_pairs and _wins(wins, pairs)
        is_better = _wins(int((differing & own_passed).sum()), int(differing.sum()))
        noise = squares // (freedom * len(blocks)) + 1 + doubt + own_doubt
        if not (
            (is_faster or is_better) and len(blocks) >= 2
            and gap * gap * PPM > _t_milli()[degrees] ** 2 * noise
            # No canary was run: its limit is the bound.
            and gap > POLICY.canary_max_latency_cv_ppm
        ):  # fmt: skip
            return False
    return True


def _wins(wins: int, pairs: int) -> bool:
    return wins >= _least_wins().get(pairs, wins + 1)


def _doubt(quant: Quant, first: int) -> int | None:
    """Variance of an adherence relative to the reference's, in ppm squared."""
    if quant.place == first:
        return 0
    if not quant.baseline_passes:
        return None
    return PPM * PPM * (quant.losses + quant.gains + 1) // quant.baseline_passes**2


def _scaled(number: int, whole: int) -> int:
    """The ratio in 1e-9, rounded half up."""
    return (2 * number * NANO + whole) // (2 * whole)

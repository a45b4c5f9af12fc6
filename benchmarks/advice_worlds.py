"""Sweeps whose truth is known: kinds of worlds, and one sweep drawn from each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

MS = 1_000_000
THRESHOLD = 0.95
PASS_RATE = 0.9
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of world."""

    name: str
    losses: str
    """How loss grows down the ladder: flat, steep, ladder, jagged, margin or below."""
    tasks: int = 216
    quants: int = 9
    repetitions: int = 3
    gains: bool = False
    families: int = 0
    """Families whose tasks fail together; 0: each task by itself."""
    correlation: float = 0.3
    """Of the normal variables behind the losses of one family."""
    are_declared: bool = True
    is_random: bool = False
    """Answers are drawn anew in each repetition: temperature above 0."""
    is_uncertain: bool = False
    """Then tasks differ in how often the reference passes them."""
    checks: int = 1
    """Of each task; each is lost by itself."""
    pass_rate: float = PASS_RATE
    missing: float = 0.0
    """Share of the runs that were not made."""
    speed_step: float = 0.12
    """By how much a quant is faster than the one before."""
    equal_speed: bool = False
    same_file: bool = False
    """The last two quants are one file under two names."""
    block_noise: float = 0.02
    drift: float = 0.0
    polluted: float = 0.0
    """Share of runs during which another model was loaded."""


PROFILES = (
    Profile("steep", "steep"),
    Profile("ladder", "ladder"),
    Profile("ladder with gains", "ladder", gains=True),
    Profile("flat", "flat", quants=4),
    Profile("jagged", "jagged"),
    Profile("few tasks", "ladder", tasks=12, quants=4),
    Profile("96 tasks, two quants", "ladder", tasks=96, quants=2),
    Profile("500 tasks", "ladder", tasks=500, quants=5, repetitions=2),
    Profile("at the margin", "margin", quants=4),
    Profile("one point below", "below", quants=4),
    Profile("300 tasks, one point below", "below", tasks=300, repetitions=1),
    Profile("declared families", "ladder", families=13),
    Profile("many families", "ladder", families=40),
    Profile("families below", "below", quants=4, families=13),
    Profile("136 in families below", "below", tasks=136, quants=4, families=13),
    Profile("strong families", "ladder", families=13, correlation=0.6),
    Profile("strong families below", "below", quants=4, families=13, correlation=0.6),
    Profile("families nobody declared", "ladder", families=13, are_declared=False),
    Profile("temperature", "ladder", tasks=136, quants=4, is_random=True),
    Profile("temperature, uncertain", "ladder", quants=4, is_random=True,
            is_uncertain=True),
    Profile("temperature, below", "below", quants=4, is_random=True),
    Profile("partial credit", "ladder", quants=4, checks=3),
    Profile("failing baseline", "ladder", pass_rate=0.3),
    Profile("missing runs", "ladder", quants=5, repetitions=1, missing=0.01),
    Profile("close speeds", "flat", tasks=96, quants=5, speed_step=0.02),
    Profile("equal speed", "flat", tasks=48, quants=4, equal_speed=True),
    Profile("one file twice", "flat", tasks=48, quants=2, equal_speed=True,
            same_file=True),
    Profile("drift", "flat", tasks=48, quants=4, equal_speed=True, drift=0.1,
            repetitions=2),
    Profile("noisy blocks", "flat", tasks=96, quants=4, speed_step=0.03,
            block_noise=0.06),
    Profile("polluted", "ladder", tasks=136, quants=4, polluted=0.01),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truth:
    """What a sweep should find."""

    viable: dict[str, bool]
    utility: dict[str, float]


@dataclass(frozen=True, slots=True)
class World:
    """One sweep: its truth, and what every run of it answers and takes."""

    profile: Profile
    truth: Truth
    tags: list[str]
    families: list[str | None]
    """Of each task; None where it is not declared."""
    passed: Integers
    """Checks passed by repetition, quant and task."""
    wall_ns: Integers
    is_made: Truths
    is_polluted: Truths


@dataclass(frozen=True, slots=True)
class Advice:
    """What a sweep is told."""

    baseline: str | None
    minimum_viable: str | None
    confidence: str | None
    smallest_supported: str | None
    best_value: str | None
    best_confidence: str | None
    best_status: str | None
    proven: frozenset[str]
    eligible: frozenset[str]


def draw_world(profile: Profile, number: int, seed: int) -> World:
    """One sweep of a profile: the same number and seed draw the same."""
    dice = dice_of(f"{seed}/{profile.name}/{number}")
    quants, shape = profile.quants, (profile.repetitions, profile.quants, profile.tasks)
    tags = [f"Q{place}" for place in range(quants)]
    lost, gained = true_rates(profile, dice)
    step = 0.0 if profile.equal_speed else profile.speed_step
    speeds = [1 / (1 + step * place) for place in range(quants)]
    passed = draw_answers(profile, lost, gained, dice)
    scores, keeps = _true_scores(profile, lost, gained)
    # Every second repetition is run the other way round.
    place = np.arange(quants)
    blocks = np.stack(
        [
            repetition * quants + (place[::-1] if repetition % 2 else place)
            for repetition in range(profile.repetitions)
        ]
    )
    shared = dice.normal(1, profile.block_noise, blocks.shape)
    shared *= 1 + profile.drift * blocks / max(blocks.size - 1, 1)
    lengths = dice.lognormal(0, 0.5, profile.tasks)
    alone = dice.normal(1, 0.03, shape)
    alone *= np.where(dice.random(shape) < 0.05, 1.6, 1)
    wall_ns = (
        600 * MS * np.array(speeds)[:, None] * shared[:, :, None] * lengths * alone
    )
    return World(
        profile=profile,
        truth=Truth(
            dict(zip(tags, keeps, strict=True)),
            {tag: scores[n] / speeds[n] for n, tag in enumerate(tags)},
        ),
        tags=tags,
        families=[
            f"f{task % profile.families}"
            if profile.families and profile.are_declared
            else None
            for task in range(profile.tasks)
        ],
        passed=passed,
        wall_ns=np.maximum(wall_ns.astype(np.int64), 20 * MS),
        is_made=dice.random(shape) >= profile.missing,
        is_polluted=dice.random(shape) < profile.polluted,
    )


def dice_of(name: str) -> np.random.Generator:
    """Dice that fall the same for the same name."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


def _true_scores(
    profile: Profile, lost: Sequence[float], gained: Sequence[float]
) -> tuple[list[float], list[bool]]:
    """The true adherence of each quant, and whether it keeps the threshold of it.

    Of several checks each is lost by itself, so a quant loses more whole tasks than
    checks; it is viable when it keeps the threshold of both.
    """
    rate = profile.pass_rate
    kept = [rate - out + more for out, more in zip(lost, gained, strict=True)]
    whole = [(share / rate) ** profile.checks for share in kept]
    return kept, [
        min(share / rate, all_of) >= THRESHOLD - 1e-12
        for share, all_of in zip(kept, whole, strict=True)
    ]


def true_rates(
    profile: Profile, dice: np.random.Generator
) -> tuple[list[float], list[float]]:
    """How many of all tasks each quant loses and gains, the baseline first."""
    margin = (1 - THRESHOLD) * profile.pass_rate
    number, kind = profile.quants, profile.losses
    place = np.arange(number)
    lost: npt.NDArray[np.floating]
    if kind == "flat":
        lost = np.zeros(number)
    elif kind == "steep":
        cliff = dice.integers(min(3, number), number, endpoint=True)
        lost = margin * dice.uniform(0, 0.1) * 2.0**place
        lost += np.where(place >= cliff, margin * dice.uniform(1.5, 6, number), 0)
    elif kind == "ladder":
        lost = margin * dice.uniform(0.05, 0.5) * 2.2 ** (place - 1)
    elif kind == "jagged":
        lost = margin * dice.choice((0, 0.1, 0.3, 1.5, 3), number)
    else:
        lost = np.full(number, margin + (0.01 if kind == "below" else 1e-9))
    lost = np.minimum(lost, 0.95 * profile.pass_rate)
    lost[0] = 0.0
    gained = np.minimum(0.6 * lost, 0.02) if profile.gains else np.zeros(number)
    return lost.tolist(), gained.tolist()


def draw_answers(
    profile: Profile,
    lost: Sequence[float],
    gained: Sequence[float],
    dice: np.random.Generator,
) -> Integers:
    """How many checks are passed, by repetition, quant and task.

    Greedy answers are the same in every repetition.
    """
    rate = profile.pass_rate
    cells = (profile.quants, profile.tasks, profile.checks)
    base = dice.random(cells[1:]) < rate
    if profile.is_random:
        chances = base.astype(float)
        if profile.is_uncertain:
            chances = dice.beta(4 * rate, 4 * (1 - rate), cells[1:])
        kept = 1 - np.array(lost) / rate
        drawn = dice.random((profile.repetitions, *cells))
        answers: Integers = (drawn < chances * kept[:, None, None]).sum(axis=3)
        return answers
    normal = dice.normal(size=cells)
    if profile.families:
        shared = dice.normal(size=(profile.quants, profile.families))
        family = np.arange(profile.tasks) % profile.families
        normal *= (1 - profile.correlation) ** 0.5
        normal += profile.correlation**0.5 * shared[:, family, None]
    # Lost below this place of a normal variable; gained below the other.
    lost_below = np.array([_place(out / rate) for out in lost])[:, None, None]
    gained_below = np.array([_place(more / (1 - rate)) for more in gained])
    passes = np.where(base, normal >= lost_below, normal < gained_below[:, None, None])
    return np.repeat(passes.sum(axis=2)[None], profile.repetitions, axis=0)


def _place(share: float) -> float:
    """Below it lies so much of a normal variable."""
    if share <= 0:
        return -math.inf
    return NormalDist().inv_cdf(share) if share < 1 else math.inf

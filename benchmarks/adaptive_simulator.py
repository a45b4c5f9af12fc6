"""Adaptive sweeps whose truth is known, told by the product's own views whom to ask.

    python -m benchmarks.adaptive_simulator --sweeps 20 --seed 1

Each profile draws sweeps as benchmarks/advice_simulator.py does. All of them go on
round by round: the view names the blocks, their answers are written as raw rows, until
every sweep stops. Printed per profile, beside the grid of three repetitions judged by
the exact test from the top down: the share of its calls and of the time in them (loads
are left out), how often something smaller is proven, how often falsely, and how often
the minimum viable quant truly is.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.advice_simulator import make_manifest, make_run
from benchmarks.advice_worlds import (
    MS,
    PASS_RATE,
    THRESHOLD,
    Profile,
    dice_of,
    draw_answers,
    true_rates,
)
from orket.evidence import family_table, retention_table
from orket.planning.budget import PROOF
from orket.planning.rounds import ADAPTIVE, cut_rounds
from orket.policy import Policy
from orket.records import EventRow, PlannedRun
from orket.warehouse import Warehouse

POLICY = Policy()
GRID_REPETITIONS = 3
MOST_ROUNDS = 60
PROFILES = (
    Profile("steep", "steep", tasks=136, quants=7),
    Profile("ladder", "ladder", tasks=136, quants=7),
    Profile("equal", "flat", tasks=136, quants=7),
    Profile("jagged", "jagged", tasks=136, quants=7),
    Profile("at the margin", "margin", tasks=136, quants=7),
    Profile("declared families", "ladder", tasks=136, quants=7, families=13),
)


@dataclass(slots=True)
class Tally:
    """What was found over the sweeps of a profile."""

    sweeps: int = 0
    calls: int = 0
    grid_calls: int = 0
    wall_ns: int = 0
    grid_wall_ns: int = 0
    proven: int = 0
    falsely_proven: int = 0
    grid_proven: int = 0
    grid_falsely_proven: int = 0
    viable_named: int = 0
    """Sweeps whose minimum viable quant truly is viable."""
    stops: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _World:
    """One sweep: its plan, its truth, and what was asked so far."""

    profile: Profile
    tags: list[str]
    blocks: dict[int, list[PlannedRun]]
    passes: Callable[[int, int, int], int]
    kept: list[float]
    wall_ns: Callable[[int, int], int]
    clock: int = 0
    calls: int = 0

    def is_viable(self, tag: str) -> bool:
        return self.kept[self.tags.index(tag)] >= THRESHOLD * PASS_RATE - 1e-12

    def grid_proven(self) -> str:
        """What the grid proves: the exact test at 1 %, from the top down.

        Tasks of declared families are counted by what they are worth.
        """
        table = retention_table(
            POLICY.adherence_threshold_ppm, POLICY.evidence_level_ppm
        )
        least = {row.losses: row.least_passes for row in table}
        tasks = range(self.profile.tasks)
        base = [task for task in tasks if self.passes(0, task, 1)]
        families = self.profile.families if self.profile.are_declared else 0
        sizes = Counter(task % families if families else task for task in base)
        worth = family_table(
            POLICY.adherence_threshold_ppm, POLICY.family_correlation_ppm
        )
        counted = sum(worth[size - 1] for size in sizes.values()) // 1_000_000
        proven = 0
        for quant in range(1, len(self.tags)):
            losses = sum(not self.passes(quant, task, 1) for task in base)
            if counted < least.get(losses, counted + 1):
                break
            proven = quant
        return self.tags[proven]


def simulate(
    folder: Path,
    profiles: Iterable[Profile],
    sweeps: int,
    seed: int,
    is_faithful: bool = False,
) -> dict[str, Tally]:
    """Draw sweeps and ask them to their ends: a tally per profile.

    The proofs start where fidelity names it, if `is_faithful`, else in the middle.
    """
    warehouse = Warehouse.open(folder)
    worlds: dict[str, _World] = {}
    for profile in profiles:
        for number in range(sweeps):
            name = f"{profile.name.replace(' ', '-')}-{number}"
            worlds[name] = _begin(warehouse, name, profile, dice_of(f"{seed}/{name}"))
    if is_faithful:
        named = [_name_start(name, world, seed) for name, world in worlds.items()]
        warehouse.append("events", [event for event in named if event is not None])
    tallies: dict[str, Tally] = {}
    going = list(worlds)
    for _ in range(MOST_ROUNDS):
        for look in _look(warehouse, going):
            name = look["sweep_id"]
            world = worlds[name]
            if look["answer"] == "ASK":
                _answer(warehouse, name, world, look["blocks"])
                continue
            _score(tallies.setdefault(world.profile.name, Tally()), world, look)
            going.remove(name)
        if not going:
            break
    return tallies


def _look(warehouse: Warehouse, names: Sequence[str]) -> list[dict[str, Any]]:
    """What the view says of these sweeps; those that ended are not read again."""
    with warehouse.session_over(names, threads=1) as session:
        return session.rows("SELECT * FROM v1.next_round ORDER BY sweep_id")


def _name_start(name: str, world: _World, seed: int) -> EventRow | None:
    """Where fidelity would have the proofs start: the true loss seen through noise.

    A quant is named as long as it is seen to lose no more than an eighth of the margin.
    None where not even the most precise one is.
    """
    dice = dice_of(f"{seed}/{name}/start")
    limit = (1 - THRESHOLD) / 8
    lost = [(PASS_RATE - kept) / PASS_RATE for kept in world.kept]
    seen = [(max(loss, 0.0) + 2e-4) * dice.lognormal(0, 0.6) for loss in lost]
    named = [place for place in range(1, len(seen)) if seen[place] <= limit]
    if not named:
        return None
    return EventRow(
        event_id=f"start-{name}",
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        event="START_FIXED",
        sweep_id=name,
        model_id="m",
        quant_tag=world.tags[named[-1]],
        reason="FIDELITY",
    )


def _begin(
    warehouse: Warehouse, name: str, profile: Profile, dice: np.random.Generator
) -> _World:
    tags = [f"Q{number}" for number in range(profile.quants)]
    lost, gained = true_rates(profile, dice)
    # All are drawn now: the truth does not hang on who is asked first.
    answers = draw_answers(profile, lost, gained, dice)
    lengths = dice.lognormal(0, 0.5, profile.tasks).tolist()

    def passes(quant: int, task: int, repetition: int) -> int:
        return int(answers[repetition - 1, quant, task])

    tasks = [f"t{number:03}" for number in range(profile.tasks)]
    manifest = make_manifest(name, profile, tags, tasks, [])
    planned: list[PlannedRun] = []
    blocks: dict[int, list[PlannedRun]] = {}
    for portion in cut_rounds(manifest.tasks):
        for tag in tags:
            block = len(blocks)
            blocks[block] = [
                PlannedRun(
                    run_id=f"{name}:{tag}:{task.task_id}",
                    order_index=len(planned) + place,
                    phase="matrix",
                    model_id="m",
                    quant_tag=tag,
                    test_id=task.test_id,
                    repetition=1,
                    block_index=block,
                )
                for place, task in enumerate(portion)
            ]
            planned += blocks[block]
    row = msgspec.structs.replace(
        manifest, order=ADAPTIVE, until=PROOF, repetitions=1, plan=planned
    )
    warehouse.append("sweeps", [row], name)

    def wall_ns(quant: int, task: int) -> int:
        return max(int(600 * MS * lengths[task] / (1 + 0.12 * quant)), 20 * MS)

    kept = [PASS_RATE - lost[n] + gained[n] for n in range(profile.quants)]
    return _World(profile, tags, blocks, passes, kept, wall_ns)


def _answer(
    warehouse: Warehouse, name: str, world: _World, blocks: list[dict[str, Any]]
) -> None:
    rows = []
    for entry in blocks:
        if entry["is_further"]:
            continue  # For servers where a load is dear.
        for run in world.blocks[entry["block_index"]]:
            quant = world.tags.index(run.quant_tag)
            task = int(run.test_id.removeprefix("bank/t"))
            wall_ns = world.wall_ns(quant, task)
            passed = world.passes(quant, task, 1)
            rows.append(make_run(name, run, passed, wall_ns, world.clock, False))
            world.clock += wall_ns
    world.calls += len(rows)
    warehouse.append("runs", rows, name)


def _score(tally: Tally, world: _World, look: dict[str, str]) -> None:
    profile = world.profile
    grid = GRID_REPETITIONS * profile.quants * profile.tasks
    tally.sweeps += 1
    tally.calls += world.calls
    tally.grid_calls += grid
    tally.wall_ns += world.clock
    tally.grid_wall_ns += GRID_REPETITIONS * sum(
        world.wall_ns(quant, task)
        for quant in range(profile.quants)
        for task in range(profile.tasks)
    )
    if look["proven_quant"]:
        tally.proven += 1
        tally.falsely_proven += not world.is_viable(look["proven_quant"])
    by_grid = world.grid_proven()
    if by_grid != world.tags[0]:
        tally.grid_proven += 1
        tally.grid_falsely_proven += not world.is_viable(by_grid)
    viable = look["viable_quant"]
    tally.viable_named += bool(viable) and world.is_viable(viable)
    tally.stops[look["answer"]] = tally.stops.get(look["answer"], 0) + 1


def main() -> None:
    """Print a line per profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=10, help="of each profile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--fidelity", action="store_true", help="start the proofs where it names"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tallies = simulate(
            Path(folder), PROFILES, options.sweeps, options.seed, options.fidelity
        )
    for name, tally in tallies.items():
        print(_line(name, tally))


def _line(name: str, tally: Tally) -> str:
    stops = ", ".join(f"{key} {count}" for key, count in sorted(tally.stops.items()))
    return (
        f"{name:18} calls {tally.calls / tally.grid_calls:.3f} "
        f"time {tally.wall_ns / tally.grid_wall_ns:.3f} of the grid; of {tally.sweeps} "
        f"proven {tally.proven} (false {tally.falsely_proven}), "
        f"grid {tally.grid_proven} (false {tally.grid_falsely_proven}); "
        f"minimum viable truly is {tally.viable_named}; {stops}"
    )


if __name__ == "__main__":
    main()

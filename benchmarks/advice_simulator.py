"""Sweeps whose truth is known, judged by the product's own views.

    python benchmarks/advice_simulator.py --sweeps 100 --seed 1

Each profile draws sweeps: how much each quant really loses, what it answers, how long
it takes, and what disturbs the machine. They are written as raw rows into one
warehouse and judged in one session. Printed per profile: how often a smaller quant was
proven, how many of these truly keep the threshold, how often the best value was CLEAR.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orket.records import (
    CallFacts,
    Capabilities,
    CheckFacts,
    Controls,
    Counters,
    Hardware,
    ModelEntry,
    PlannedRun,
    Policy,
    QuantEntry,
    RunRecord,
    SweepRow,
    TaskEntry,
)
from orket.warehouse import Warehouse

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
MS = 1_000_000
THRESHOLD = 0.95
PASS_RATE = 0.9
CONTROLS = Controls(
    seed=7, temperature_milli=0, threads="2", affinity="none", warmup="1"
)


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
    are_declared: bool = True
    is_random: bool = False
    """Answers are drawn anew in each repetition: temperature above 0."""
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
    Profile("at the margin", "margin", quants=4),
    Profile("one point below", "below", quants=4),
    Profile("declared families", "below", quants=4, families=13),
    Profile("families nobody declared", "ladder", families=13, are_declared=False),
    Profile("temperature", "ladder", tasks=136, quants=4, is_random=True),
    Profile("equal speed", "flat", tasks=48, quants=4, equal_speed=True),
    Profile("one file twice", "flat", tasks=48, quants=2, equal_speed=True,
            same_file=True),
    Profile("drift", "flat", tasks=48, quants=4, equal_speed=True, drift=0.1,
            repetitions=2),
    Profile("polluted", "ladder", tasks=136, quants=4, polluted=0.01),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truth:
    """What a sweep should find."""

    profile: str
    viable: dict[str, bool]
    utility: dict[str, float]


@dataclass(slots=True)
class Tally:
    """What was found over the sweeps of a profile."""

    sweeps: int = 0
    smaller_proven: int = 0
    """Sweeps in which something smaller than the baseline is proven."""
    falsely_proven: int = 0
    supported: int = 0
    """Recommendations of a smaller quant that are SUPPORTED."""
    supported_viable: int = 0
    clear: int = 0
    clear_wrong: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def simulate(
    folder: Path, profiles: Iterable[Profile], sweeps: int, seed: int
) -> dict[str, Tally]:
    """Draw, write and judge: a tally per profile."""
    warehouse = Warehouse.open(folder)
    truths: dict[str, Truth] = {}
    for profile in profiles:
        for number in range(sweeps):
            sweep_id = f"{profile.name.replace(' ', '-').replace(',', '')}-{number}"
            dice = random.Random(f"{seed}/{sweep_id}")
            truths[sweep_id] = _write(warehouse, sweep_id, profile, dice)
    with warehouse.session() as session:
        choices = session.rows("SELECT * FROM v1.choice ORDER BY sweep_id")
        eligible = session.rows(
            "SELECT sweep_id, quant_tag FROM v1.frontier WHERE is_eligible"
        )
    admitted: dict[str, set[str]] = {}
    for row in eligible:
        admitted.setdefault(row["sweep_id"], set()).add(row["quant_tag"])
    tallies: dict[str, Tally] = {}
    for row in choices:
        truth = truths[row["sweep_id"]]
        tally = tallies.setdefault(truth.profile, Tally())
        tally += _score(row, truth, admitted.get(row["sweep_id"], set()))
    return tallies


def _score(row: dict[str, object], truth: Truth, eligible: set[str]) -> Tally:
    tally = Tally(sweeps=1)
    baseline, proven = row["baseline_quant_tag"], row["smallest_supported_quant"]
    if proven is not None and proven != baseline:
        tally.smaller_proven = 1
        tally.falsely_proven = int(not truth.viable[str(proven)])
    for quant, confidence in (
        (row["minimum_viable_quant"], row["confidence"]),
        (row["best_value_quant"], row["best_value_confidence"]),
        (proven, "SUPPORTED"),
    ):
        if quant is not None and confidence == "SUPPORTED" and quant != baseline:
            tally.supported += 1
            tally.supported_viable += int(truth.viable[str(quant)])
    if row["best_value_status"] == "CLEAR" and len(eligible) > 1:
        tally.clear = 1
        best = max(truth.utility[quant] for quant in eligible)
        own = truth.utility[str(row["best_value_quant"])]
        others = [truth.utility[q] for q in eligible if q != row["best_value_quant"]]
        # To be CLEAR among equals is as wrong as to be CLEAR and worse.
        tally.clear_wrong = int(own < best or own <= max(others) * (1 + 1e-9))
    return tally


def _write(
    warehouse: Warehouse, sweep_id: str, profile: Profile, dice: random.Random
) -> Truth:
    tags = [f"Q{number}" for number in range(profile.quants)]
    lost, gained = true_rates(profile, dice)
    speeds = [
        1.0 if profile.equal_speed else 1 / (1 + 0.12 * number)
        for number in range(profile.quants)
    ]
    tasks = [f"t{number:03}" for number in range(profile.tasks)]
    passes = draw_answers(profile, lost, gained, dice)
    rows: list[RunRecord] = []
    planned: list[PlannedRun] = []
    clock, block = 0, 0
    lengths = [dice.lognormvariate(0, 0.5) for _ in tasks]
    for repetition in range(1, profile.repetitions + 1):
        order = list(range(profile.quants))
        for quant in order if repetition % 2 else order[::-1]:
            shared = dice.gauss(1, profile.block_noise)
            place = block / max(profile.repetitions * profile.quants - 1, 1)
            shared *= 1 + profile.drift * place
            for task, length in zip(tasks, lengths, strict=True):
                alone = dice.gauss(1, 0.03) * (1.6 if dice.random() < 0.05 else 1)
                wall_ns = max(int(600 * MS * length * speeds[quant] * shared * alone),
                              20 * MS)  # fmt: skip
                passed = passes(quant, tasks.index(task), repetition)
                entry = PlannedRun(
                    run_id=f"{sweep_id}:{tags[quant]}:{task}:{repetition}",
                    order_index=len(planned),
                    phase="matrix",
                    model_id="m",
                    quant_tag=tags[quant],
                    test_id=f"bank/{task}",
                    repetition=repetition,
                    block_index=block,
                )
                planned.append(entry)
                polluted = dice.random() < profile.polluted
                rows.append(make_run(sweep_id, entry, passed, wall_ns, clock, polluted))
                clock += wall_ns
            block += 1
    warehouse.append(
        "sweeps", [make_manifest(sweep_id, profile, tags, tasks, planned)], sweep_id
    )
    warehouse.append("runs", rows, sweep_id)
    kept = [PASS_RATE - lost[n] + gained[n] for n in range(profile.quants)]
    return Truth(
        profile.name,
        {tags[n]: kept[n] >= THRESHOLD * PASS_RATE - 1e-12 for n in range(len(tags))},
        {tags[n]: kept[n] / speeds[n] for n in range(len(tags))},
    )


def true_rates(
    profile: Profile, dice: random.Random
) -> tuple[list[float], list[float]]:
    """How many of all tasks each quant loses and gains, the baseline first."""
    margin = (1 - THRESHOLD) * PASS_RATE
    number, kind = profile.quants, profile.losses
    if kind == "flat":
        lost = [0.0] * number
    elif kind == "steep":
        scale, cliff = dice.uniform(0, 0.1), dice.randint(min(3, number), number)
        lost = [
            margin * (scale * 2.0**n + (dice.uniform(1.5, 6) if n >= cliff else 0))
            for n in range(number)
        ]
    elif kind == "ladder":
        scale = dice.uniform(0.05, 0.5)
        lost = [margin * scale * 2.2 ** (n - 1) for n in range(number)]
    elif kind == "jagged":
        lost = [margin * dice.choice((0, 0.1, 0.3, 1.5, 3)) for _ in range(number)]
    else:
        lost = [margin + (0.01 if kind == "below" else 1e-9)] * number
    lost = [min(rate, 0.95 * PASS_RATE) for rate in lost]
    lost[0] = 0.0
    gained = [min(0.6 * rate, 0.02) if profile.gains else 0.0 for rate in lost]
    return lost, gained


def draw_answers(
    profile: Profile,
    lost: Sequence[float],
    gained: Sequence[float],
    dice: random.Random,
) -> Callable[[int, int, int], bool]:
    """Whether a quant passes a task in a repetition, as it will ever be asked."""
    base = [dice.random() < PASS_RATE for _ in range(profile.tasks)]
    correlation = 0.3 if profile.families else 0.0
    shared = {
        (quant, family): dice.gauss(0, 1)
        for quant in range(profile.quants)
        for family in range(profile.families or 1)
    }
    drawn: dict[tuple[int, int, int], bool] = {}

    def passes(quant: int, task: int, repetition: int) -> bool:
        key = (quant, task, repetition if profile.is_random else 1)
        if key in drawn:
            return drawn[key]
        if profile.is_random:
            rate = (1.0 if base[task] else 0.1) * (1 - lost[quant] / PASS_RATE)
            drawn[key] = dice.random() < rate
        elif quant == 0:
            drawn[key] = base[task]
        else:
            family = shared[quant, task % profile.families if profile.families else 0]
            own = (1 - correlation) ** 0.5 * dice.gauss(0, 1)
            place = _normal(own + correlation**0.5 * family)
            kept = place >= lost[quant] / PASS_RATE
            drawn[key] = kept if base[task] else place < gained[quant] / (1 - PASS_RATE)
        return drawn[key]

    return passes


def _normal(value: float) -> float:
    from math import erf

    return 0.5 * (1 + erf(value / 2**0.5))


def make_run(
    sweep_id: str,
    entry: PlannedRun,
    passed: bool,
    wall_ns: int,
    clock: int,
    polluted: bool,
) -> RunRecord:
    """A row of a planned run at that place of the clock, in ns."""
    inner = wall_ns - 5 * MS
    return RunRecord(
        sweep_id=sweep_id,
        run_id=entry.run_id,
        attempt_id=f"{entry.run_id}#1",
        attempt_number=1,
        executor_started_at=START,
        recorded_at=START + timedelta(microseconds=(clock + wall_ns) // 1000),
        phase="matrix",
        model_id="m",
        quant_tag=entry.quant_tag,
        test_id=entry.test_id,
        bucket="logic",
        task_revision="r1",
        repetition=entry.repetition,
        order_index=entry.order_index,
        block_index=entry.block_index,
        started_at=START + timedelta(microseconds=clock // 1000),
        started_ns=clock,
        ended_ns=clock + wall_ns,
        prompt_sha256=f"prompt-{entry.test_id}",
        max_tokens=64,
        requested=CONTROLS,
        effective=CONTROLS,
        call=CallFacts(
            outcome="OK",
            answer_text="yes" if passed else "no",
            stop_reason="stop",
            prompt_tokens=40,
            cached_prompt_tokens=0,
            completion_tokens=21,
            prefill_ns=inner // 5,
            decode_ns=inner - inner // 5,
            decode_clock="first_token",
            prefill_kind="internal",
            formula_id="simulated",
            prompt_cache="disabled",
            streamed=True,
            wall_ns=wall_ns,
            realtime_ns=wall_ns,
            ttft_ns=inner // 5 + MS,
        ),
        checks=CheckFacts(checks_passed=int(passed), checks_total=1),
        locality="child",
        before=_counters(clock),
        after=_counters(clock + wall_ns),
        other_models_resident=["another"] if polluted else [],
    )


def _counters(moment_ns: int) -> Counters:
    """Two CPUs on which only the server and the client work."""
    return Counters(
        host_total_ns=2 * moment_ns,
        host_busy_ns=moment_ns * 192 // 100,
        host_steal_ns=0,
        server_cpu_ns=moment_ns * 190 // 100,
        client_cpu_ns=moment_ns * 2 // 100,
        server_requests_processing=0,
    )


def make_manifest(
    sweep_id: str,
    profile: Profile,
    tags: Sequence[str],
    tasks: Sequence[str],
    planned: list[PlannedRun],
) -> SweepRow:
    """The manifest of a sweep of a profile."""

    def family(place: int) -> str | None:
        declared = profile.families and profile.are_declared
        return f"f{place % profile.families}" if declared else None

    same = {tags[-1], tags[-2]} if profile.same_file else set()
    return SweepRow(
        sweep_id=sweep_id,
        manifest_id=f"{sweep_id}-manifest",
        kind="START",
        started_at=START,
        orket_version="0.0.0-simulated",
        preset="simulated",
        plan_hash="sha256:plan",
        policy_hash="sha256:policy",
        hardware=Hardware(os="Linux", cpu="simulated", logical_cpus=2, gpus=[]),
        order="reversed",
        repetitions=profile.repetitions,
        models=[
            ModelEntry(
                model_id="m",
                provider="embedded",
                locality="child",
                server_logical_cpus=2,
                cpu_only=True,
                capabilities=Capabilities(
                    streaming=True,
                    token_counts=True,
                    cached_counts=True,
                    internal_timings=True,
                ),
                controls=CONTROLS,
                control_profile="quiet",
                policy=Policy(),
            )
        ],
        quants=[
            QuantEntry(
                model_id="m",
                quant_tag=tag,
                quant_key=tag,
                nominal_bpw_milli=16_000 - 1_500 * number,
                model_bytes=2_000_000_000 - 150_000_000 * number,
                parameters=1_000_000_000,
                model_digest="sha256:same" if tag in same else f"sha256:{tag}",
            )
            for number, tag in enumerate(tags)
        ],
        tasks=[
            TaskEntry(
                test_id=f"bank/{task}",
                bank="bank",
                task_id=task,
                bucket="logic",
                family=family(place),
                task_revision="r1",
                checks_total=1,
                max_tokens=64,
            )
            for place, task in enumerate(tasks)
        ],
        plan=planned,
    )


def main() -> None:
    """Print a line per profile, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=20, help="of each profile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="append", help="only profiles so named")
    options = parser.parse_args()
    chosen = [
        profile
        for profile in PROFILES
        if not options.profile or profile.name in options.profile
    ]
    total = Tally()
    print(
        f"{'profile':26} {'smaller proven':>14} {'falsely':>8} "
        f"{'viable | SUPPORTED':>19} {'CLEAR':>7} {'wrong':>6}"
    )
    for profile in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found = simulate(Path(folder), [profile], options.sweeps, options.seed)
        total += found[profile.name]
        print(_line(profile.name, found[profile.name]), flush=True)
    print(_line("all", total))


def _line(name: str, tally: Tally) -> str:
    viable = f"{tally.supported_viable}/{tally.supported}"
    return (
        f"{name:26} {tally.smaller_proven:>6} of {tally.sweeps:>4} "
        f"{tally.falsely_proven:>8} {viable:>19} {tally.clear:>7} "
        f"{tally.clear_wrong:>6}"
    )


if __name__ == "__main__":
    main()

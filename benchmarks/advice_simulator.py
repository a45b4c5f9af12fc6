"""Sweeps whose truth is known, judged by the product's own views.

    python -m benchmarks.advice_simulator --sweeps 100 --seed 1
    python -m benchmarks.advice_simulator --mirror --sweeps 10000 --seed 1
    python -m benchmarks.advice_simulator --check --sweeps 20 --seed 1

Each profile draws sweeps: how much each quant really loses, what it answers, how long
it takes, and what disturbs the machine. They are written as raw rows into one
warehouse and judged in one session; with --mirror they are judged by
benchmarks/advice_mirror.py, which says the same a hundred times faster, and --check
asks both and stops where they differ. Printed per profile: how often a smaller quant
was proven, how many claims truly hold, how often the best value was CLEAR, each with
the 95 % interval of Clopper and Pearson.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.advice_mirror import judge_by_mirror
from benchmarks.advice_worlds import (
    MS,
    PROFILES,
    Advice,
    Profile,
    Truth,
    World,
    draw_world,
)
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
CONTROLS = Controls(
    seed=7, temperature_milli=0, threads="2", affinity="none", warmup="1"
)
BATCH = 25
"""Sweeps that are written into one warehouse."""


@dataclass(slots=True)
class Tally:
    """What was found over the sweeps of a profile."""

    sweeps: int = 0
    smaller_proven: int = 0
    """Sweeps in which something smaller than the baseline is proven."""
    falsely_proven: int = 0
    """Of these, those in which something is proven that is not so."""
    supported: int = 0
    """Recommendations of a smaller quant that are SUPPORTED."""
    supported_viable: int = 0
    minimum: int = 0
    minimum_viable: int = 0
    best: int = 0
    best_viable: int = 0
    smallest: int = 0
    smallest_viable: int = 0
    baseline: int = 0
    """Recommendations of the reference itself, counted apart."""
    clear: int = 0
    clear_wrong: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


Judge = Callable[[list[World]], list[Advice]]


def simulate(
    profiles: Iterable[Profile], sweeps: int, seed: int, judge: Judge
) -> dict[str, Tally]:
    """Draw and judge so many sweeps of each profile: a tally per profile."""
    tallies: dict[str, Tally] = {}
    cases = itertools.product(profiles, range(sweeps))
    while batch := list(itertools.islice(cases, BATCH)):
        worlds = [draw_world(profile, number, seed) for profile, number in batch]
        for world, advice in zip(worlds, judge(worlds), strict=True):
            tally = tallies.setdefault(world.profile.name, Tally())
            tally += score(advice, world.truth)
    return tallies


def judge_by_views(worlds: list[World]) -> list[Advice]:
    """Write the sweeps into a warehouse of their own and ask the views."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse.open(Path(folder))
        for number, world in enumerate(worlds):
            write_world(warehouse, f"s{number:04}", world)
        with warehouse.session() as session:
            choices = session.rows("SELECT * FROM v1.choice ORDER BY sweep_id")
            quants = session.rows(
                "SELECT sweep_id, quant_tag, is_eligible, is_proven "
                "FROM v1.frontier INNER JOIN v1.support "
                "USING (sweep_id, model_id, quant_tag)"
            )
    found: dict[str, tuple[set[str], set[str]]] = {}
    for row in quants:
        proven, eligible = found.setdefault(row["sweep_id"], (set(), set()))
        if row["is_proven"]:
            proven.add(row["quant_tag"])
        if row["is_eligible"]:
            eligible.add(row["quant_tag"])
    return [
        Advice(
            baseline=row["baseline_quant_tag"],
            minimum_viable=row["minimum_viable_quant"],
            confidence=row["confidence"],
            smallest_supported=row["smallest_supported_quant"],
            best_value=row["best_value_quant"],
            best_confidence=row["best_value_confidence"],
            best_status=row["best_value_status"],
            proven=frozenset(found[row["sweep_id"]][0]),
            eligible=frozenset(found[row["sweep_id"]][1]),
        )
        for row in choices
    ]


def score(advice: Advice, truth: Truth) -> Tally:
    """What one sweep was told, against its truth."""
    tally = Tally(sweeps=1)
    smaller = advice.proven - {advice.baseline}
    tally.smaller_proven = int(advice.smallest_supported not in (None, advice.baseline))
    tally.falsely_proven = int(
        tally.smaller_proven and not all(truth.viable[quant] for quant in smaller)
    )
    for name, quant, confidence in (
        ("minimum", advice.minimum_viable, advice.confidence),
        ("best", advice.best_value, advice.best_confidence),
        ("smallest", advice.smallest_supported, "SUPPORTED"),
    ):
        if quant is None or confidence != "SUPPORTED":
            continue
        if quant == advice.baseline:
            tally.baseline += 1
            continue
        holds = int(truth.viable[quant])
        setattr(tally, name, 1)
        setattr(tally, f"{name}_viable", holds)
        tally.supported += 1
        tally.supported_viable += holds
    if advice.best_status == "CLEAR" and len(advice.eligible) > 1:
        tally.clear = 1
        utility = truth.utility
        own = utility[str(advice.best_value)]
        rivals = [utility[q] for q in advice.eligible if q != advice.best_value]
        # To be CLEAR among equals is as wrong as to be CLEAR and worse.
        tally.clear_wrong = int(own <= max(rivals) * (1 + 1e-9))
    return tally


def write_world(warehouse: Warehouse, sweep_id: str, world: World) -> None:
    """Append a drawn sweep as the raw rows that a real one has."""
    profile = world.profile
    tasks = [f"t{number:03}" for number in range(profile.tasks)]
    rows: list[RunRecord] = []
    planned: list[PlannedRun] = []
    clock, block = 0, 0
    for repetition in range(profile.repetitions):
        order = list(range(profile.quants))
        for quant in order[::-1] if repetition % 2 else order:
            for number, task in enumerate(tasks):
                entry = PlannedRun(
                    run_id=f"{sweep_id}:{world.tags[quant]}:{task}:{repetition + 1}",
                    order_index=len(planned),
                    phase="matrix",
                    model_id="m",
                    quant_tag=world.tags[quant],
                    test_id=f"bank/{task}",
                    repetition=repetition + 1,
                    block_index=block,
                )
                planned.append(entry)
                cell = repetition, quant, number
                if not world.is_made[cell]:
                    continue
                wall_ns = int(world.wall_ns[cell])
                rows.append(
                    make_run(
                        sweep_id, entry, int(world.passed[cell]), wall_ns, clock,
                        bool(world.is_polluted[cell]), profile.checks,
                    )
                )  # fmt: skip
                clock += wall_ns
            block += 1
    warehouse.append(
        "sweeps",
        [make_manifest(sweep_id, profile, world.tags, tasks, planned)],
        sweep_id,
    )
    warehouse.append("runs", rows, sweep_id)


def make_run(
    sweep_id: str,
    entry: PlannedRun,
    passed: int,
    wall_ns: int,
    clock: int,
    polluted: bool,
    checks: int = 1,
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
            answer_text=str(passed),
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
        checks=CheckFacts(checks_passed=int(passed), checks_total=checks),
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
                checks_total=profile.checks,
                max_tokens=64,
            )
            for place, task in enumerate(tasks)
        ],
        plan=planned,
    )


def compare(worlds: list[World]) -> list[Advice]:
    """By the views and by the mirror; ValueError where they differ."""
    told = judge_by_views(worlds)
    for world, by_views, by_mirror in zip(worlds, told, mirror(worlds), strict=True):
        if by_views != by_mirror:
            name = world.profile.name
            raise ValueError(f"{name}: {by_views} by the views, not {by_mirror}")
    return told


def main() -> None:
    """Print a line per profile, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=20, help="of each profile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="append", help="only profiles so named")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--mirror", action="store_true", help="judge by the mirror")
    how.add_argument("--check", action="store_true", help="judge by both")
    options = parser.parse_args()
    judge = judge_by_views
    if options.mirror or options.check:
        judge = mirror if options.mirror else compare
    total = Tally()
    print(f"{'profile':26} {HEADINGS}")
    for profile in PROFILES:
        if options.profile and profile.name not in options.profile:
            continue
        found = simulate([profile], options.sweeps, options.seed, judge)
        total += found[profile.name]
        print(_line(profile.name, found[profile.name]), flush=True)
    print(_line("all", total))


HEADINGS = (
    f"{'smaller proven':>14} {'falsely':>20} {'minimum viable':>16} {'best':>13} "
    f"{'smallest':>13} {'not viable | SUPPORTED':>30} {'CLEAR':>7} {'wrong':>20}"
)


def _line(name: str, tally: Tally) -> str:
    wrong = tally.supported - tally.supported_viable
    return (
        f"{name:26} {tally.smaller_proven:>6} of {tally.sweeps:>5}"
        f" {_share(tally.falsely_proven, tally.sweeps):>20}"
        f" {tally.minimum_viable:>8}/{tally.minimum:<7}"
        f" {tally.best_viable:>6}/{tally.best:<6}"
        f" {tally.smallest_viable:>6}/{tally.smallest:<6}"
        f" {wrong:>8} {_share(wrong, tally.supported):>21}"
        f" {tally.clear:>7} {_share(tally.clear_wrong, tally.clear):>20}"
    )


def _share(hits: int, trials: int) -> str:
    """A share in percent with its 95 % interval."""
    if not trials:
        return "-"
    low, high = clopper_pearson(hits, trials)
    return f"{100 * hits / trials:.2f} ({100 * low:.2f}-{100 * high:.2f})"


def clopper_pearson(hits: int, trials: int, level: float = 0.05) -> tuple[float, float]:
    """The exact interval of a share: outside it, so many hits would be too rare."""

    def bound(most: int, target: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            is_below = _binomial_tail(trials, most, middle) > target
            low, high = (middle, high) if is_below else (low, middle)
        return low

    low = bound(hits - 1, 1 - level / 2) if hits else 0.0
    return low, bound(hits, level / 2) if hits < trials else 1.0


def _binomial_tail(trials: int, most: int, rate: float) -> float:
    """P(X <= most)."""
    if rate <= 0 or rate >= 1:
        return float(rate <= 0 or most >= trials)
    won, missed = math.log(rate), math.log1p(-rate)
    ways = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            ways
            - math.lgamma(hit + 1)
            - math.lgamma(trials - hit + 1)
            + hit * won
            + (trials - hit) * missed
        )
        for hit in range(most + 1)
    )


def mirror(worlds: list[World]) -> list[Advice]:
    """Judge by the mirror of the rules."""
    return [judge_by_mirror(world) for world in worlds]


if __name__ == "__main__":
    main()

"""Intervals, proofs and advice, from the raw rows by the formulas of docs/advice.md.

Nothing here reads SQL: fractions and floats of Python's own, over three sweeps. What
the views tell is only held against it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import Any

import pyarrow.parquet as pq
import pytest

from orket.records import Policy
from orket.warehouse import Warehouse
from tests.built_sweep import MS, Sweep, quiet_counters
from tests.places import ROOT

MOST_FOREIGN_PPM = 100_000
"""`max_foreign_cpu_share` as it is documented: a tenth of the machine."""


def shipped(folder) -> tuple[Warehouse, str]:
    store = Warehouse.open(ROOT / "warehouse")
    # The oldest: a developer's own sweeps lie beside it.
    return store, store.sweep_ids()[0]


def geometric(folder) -> tuple[Warehouse, str]:
    """Single tasks: no loss, two, and twenty; runs that other programs disturbed."""
    tasks = tuple(f"t{number:03}" for number in range(170))
    policy = Policy(max_foreign_cpu_ppm=MOST_FOREIGN_PPM)
    sweep = Sweep(quants=("F16", "Q8_0", "Q4_K_M", "Q2_K"), tasks=tasks, policy=policy)
    lost = {"F16": 1, "Q8_0": 1, "Q4_K_M": 3, "Q2_K": 21}
    for at, task in enumerate(tasks):
        for speed, (quant, losses) in enumerate(lost.items()):
            took = {"passed": int(at >= losses), "wall_ms": 900 - 100 * speed}
            if at % 40 == 7:
                # A fifth of two CPUs is somebody else's; the second attempt is quiet.
                disturb(sweep, quant, task, took, 400)
                sweep.add(quant, task, attempt=2, **took)
            elif at % 40 == 8:
                disturb(sweep, quant, task, took, 100)
            else:
                sweep.add(quant, task, **took)
    return sweep.finish().store(folder), sweep.sweep_id


def repeated(folder) -> tuple[Warehouse, str]:
    """Families of four, three repetitions that differ, checks that fail in part."""
    tasks = tuple(f"t{number:03}" for number in range(160))
    families = {task: f"f{at // 4}" for at, task in enumerate(tasks)}
    sweep = Sweep(
        quants=("F16", "Q6_K", "Q4_K_M"),
        tasks=tasks,
        families=families,
        repetitions=3,
        policy=Policy(max_foreign_cpu_ppm=MOST_FOREIGN_PPM),
    )
    for repetition in (1, 2, 3):
        for at, task in enumerate(tasks):
            for speed, quant in enumerate(sweep.quants):
                passed = 2
                if quant != "F16" and at % 53 == 5:
                    passed = 1
                if quant == "Q4_K_M" and at % 7 == repetition:
                    passed = 0
                sweep.add(
                    quant,
                    task,
                    repetition,
                    passed=passed,
                    total=2,
                    wall_ms=800 - 100 * speed,
                )
    return sweep.finish().store(folder), sweep.sweep_id


def disturb(
    sweep: Sweep, quant: str, task: str, took: dict[str, int], foreign_milli: int
) -> None:
    """A run beside which others computed for so many thousandths of one CPU."""
    start, span = sweep.clock_ns, took["wall_ms"] * MS
    end = start + span
    # The server gives way, so that the machine is as busy as ever.
    others = span * foreign_milli // 1000
    after = quiet_counters(end)
    changed = quiet_counters(end, server_cpu_ns=(after.server_cpu_ns or 0) - others)
    sweep.add(quant, task, **took, before=quiet_counters(start), after=changed)


class Recomputed:
    """One sweep of one model, from its Parquet files."""

    def __init__(self, store: Warehouse, sweep_id: str) -> None:
        self._session = store.session(sweep_id)
        manifests = [
            row
            for part in store.parts("sweeps", sweep_id)
            for row in pq.read_table(part).to_pylist()
        ]
        self.manifest = next(row for row in manifests if row["kind"] == "START")
        self.policy = self.manifest["models"][0]["policy"]
        self.families = {
            task["test_id"]: task["family"] or task["test_id"]
            for task in self.manifest["tasks"]
        }
        self.rows = [
            row
            for part in store.parts("runs", sweep_id)
            for row in pq.read_table(part).to_pylist()
            if row["phase"] in ("matrix", "repeat")
        ]
        quants = self.manifest["quants"]
        self.sizes = {quant["quant_tag"]: quant["model_bytes"] for quant in quants}
        self.ladder = sorted(self.sizes, key=lambda tag: -self.sizes[tag])

    def told(self, view: str) -> list[dict[str, Any]]:
        return self._session.rows(f"SELECT * FROM v1.{view}")

    def close(self) -> None:
        self._session.close()

    def count(self, valid: set[str]) -> None:
        """The runs that count: the last clean attempt of each that was answered."""
        chosen: dict[str, dict[str, Any]] = {}
        for row in sorted(self.rows, key=lambda row: row["attempt_number"]):
            if row["attempt_id"] in valid:
                chosen[row["run_id"]] = row
        self.cells: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in chosen.values():
            self.cells[row["quant_tag"]][row["test_id"]].append(row)

    def adherence(self, tag: str) -> Fraction:
        means = [task_mean(runs) for runs in self.cells[tag].values()]
        return sum(means, Fraction(0)) / len(means)

    def latency_ns(self, tag: str) -> Fraction:
        means = [
            Fraction(sum(run["call"]["wall_ns"] for run in runs), len(runs))
            for runs in self.cells[tag].values()
        ]
        return sum(means, Fraction(0)) / len(means)

    def eligible(self) -> list[str]:
        need = self.adherence(self.ladder[0]) * self.policy["adherence_threshold_ppm"]
        return [
            tag
            for tag in self.ladder
            if self.adherence(tag) * 1_000_000 >= need
            and self.latency_ns(tag) <= self.policy["latency_ceiling_ns"]
        ]

    def chance(self, tag: str) -> float:
        """Of so few losses, of a quant that keeps just less than the threshold."""
        base, own = self.cells[self.ladder[0]], self.cells[tag]
        passed = [task for task, runs in base.items() if passes(runs)]
        lost = [task for task in passed if not passes(own[task])]
        # By the sums of adherence beside the counts: the more losses count.
        work = sum(
            (task_mean(base[task]) - task_mean(own[task]) for task in base), Fraction(0)
        )
        losses = max(len(lost), math.ceil(work))
        passes_by_work = math.floor(sum(task_mean(runs) for runs in base.values()))
        share = 1 - self.policy["adherence_threshold_ppm"] / 1e6
        worth = sum(
            worth_of(count, share, self.policy["family_correlation_ppm"] / 1e6)
            for count in self.by_family(passed)
        )
        worth *= min(1, passes_by_work / len(passed))
        return binomial_at_most(losses, math.floor(worth + 1e-9), share)

    def by_family(self, tasks: list[str]) -> list[int]:
        sizes: dict[str, int] = defaultdict(int)
        for task in tasks:
            sizes[self.families[task]] += 1
        return list(sizes.values())

    def proven(self) -> set[str]:
        """A walk down the ladder at the level, and Holm's method at half of it."""
        level = self.policy["evidence_level_ppm"] / 1e6
        others = self.ladder[1:]
        found = {self.ladder[0]}
        for tag in others:
            if self.chance(tag) > level:
                break
            found.add(tag)
        ordered = sorted(others, key=self.chance)
        for at, tag in enumerate(ordered):
            if self.chance(tag) > level / 2 / (len(ordered) - at):
                break
            found.add(tag)
        return found


def task_mean(runs: list[dict[str, Any]]) -> Fraction:
    passed = sum(run["checks"]["checks_passed"] for run in runs)
    return Fraction(passed, sum(run["checks"]["checks_total"] for run in runs))


def passes(runs: list[dict[str, Any]]) -> bool:
    """By the majority of its runs, each in full."""
    return 2 * sum(task_mean([run]) == 1 for run in runs) > len(runs)


def wilson(share: float, tasks: int, z: float) -> tuple[float, float]:
    middle = share + z * z / (2 * tasks)
    half = z * math.sqrt(share * (1 - share) / tasks + z * z / (4 * tasks * tasks))
    return tuple((middle + sign * half) / (1 + z * z / tasks) for sign in (-1, 1))  # type: ignore[return-value]


def worth_of(tasks: int, lost: float, correlation: float) -> float:
    """So many single tasks are all kept as often as these of one family are."""
    total = (1 - correlation) / correlation
    kept = (1 - lost) * total
    log = sum(math.log((kept + at) / (total + at)) for at in range(tasks))
    return log / math.log(1 - lost)


def binomial_at_most(losses: int, tasks: int, share: float) -> float:
    return sum(
        math.comb(tasks, k) * share**k * (1 - share) ** (tasks - k)
        for k in range(losses + 1)
    )


def foreign_share(row: dict[str, Any]) -> Fraction:
    """Busy time that is neither the server's nor Orket's, of all there was."""

    def grew(name: str) -> int:
        return int(row["after"][name] - row["before"][name])

    foreign = grew("host_busy_ns") - grew("server_cpu_ns") - grew("client_cpu_ns")
    return Fraction(foreign, grew("host_total_ns"))


@pytest.fixture(scope="module", params=[shipped, geometric, repeated])
def sweep(request, tmp_path_factory) -> Iterator[Recomputed]:
    place = tmp_path_factory.mktemp("recomputed")
    with closing(Recomputed(*request.param(place))) as found:
        valid = {row["attempt_id"] for row in found.told("runs") if row["is_valid"]}
        found.count(valid)
        yield found


def test_what_is_clean_and_what_is_polluted(tmp_path):
    with closing(Recomputed(*geometric(tmp_path))) as found:
        told = {row["attempt_id"]: row for row in found.told("run_quality")}
        counted = {row["attempt_id"] for row in found.told("runs") if row["is_valid"]}
    polluted = set()
    for row in found.rows:
        # Longer than a window, and by more than five ticks: each is judged alone.
        is_foreign = foreign_share(row) * 1_000_000 > MOST_FOREIGN_PPM
        status = "POLLUTED" if is_foreign else "CLEAN"
        assert told[row["attempt_id"]]["run_quality_status"] == status
        polluted |= {row["attempt_id"]} if is_foreign else set()
    assert len(polluted) == 20
    assert counted == {row["attempt_id"] for row in found.rows} - polluted


def test_the_interval_of_each_score(sweep):
    for told in sweep.told("quant_standing"):
        share = sweep.adherence(told["quant_tag"])
        tasks = len(sweep.cells[told["quant_tag"]])
        assert told["adherence_score_micro"] == pytest.approx(share * 10**6, abs=1)
        bounds = wilson(float(share), tasks, sweep.policy["confidence_z_milli"] / 1000)
        assert told["adherence_interval_micro"] == pytest.approx(
            [bound * 1e6 for bound in bounds], abs=2
        )


def test_what_is_proven(sweep):
    told = {row["quant_tag"]: row["is_proven"] for row in sweep.told("support")}
    assert {tag for tag, is_proven in told.items() if is_proven} == sweep.proven()


def test_what_is_advised_and_how_sure_it_is(sweep):
    (told,) = sweep.told("choice")
    eligible, proven = sweep.eligible(), sweep.proven()
    best = max(eligible, key=lambda tag: sweep.adherence(tag) / sweep.latency_ns(tag))
    assert told["minimum_viable_quant"] == eligible[-1]
    assert told["best_value_quant"] == best
    assert told["smallest_supported_quant"] == [t for t in eligible if t in proven][-1]
    for name, tag in (("confidence", eligible[-1]), ("best_value_confidence", best)):
        sure = "SUPPORTED" if tag in proven else "NEEDS_MORE_TASKS"
        assert told[name] == sure, name
    clear = told["best_value_status"] == "CLEAR"
    advised = best if best in proven and clear else told["smallest_supported_quant"]
    assert told["advised_quant"] == advised


@pytest.mark.parametrize(
    ("counts", "sure"), [("fill", "PROVISIONAL"), ("never", "SUPPORTED")]
)
def test_what_rests_on_disturbed_runs_is_provisional(tmp_path, counts, sure):
    tasks = tuple(f"t{number:03}" for number in range(140))
    policy = Policy(max_foreign_cpu_ppm=MOST_FOREIGN_PPM, include_polluted=counts)
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=tasks, policy=policy)
    disturb(sweep, "Q4_K_M", tasks[0], {"passed": 1, "wall_ms": 600}, 400)
    store = sweep.fill().finish().store(tmp_path)
    with closing(Recomputed(store, sweep.sweep_id)) as found:
        (told,) = found.told("choice")
    # Without it a task is lost: of 140 one may be, of 129 none more.
    assert binomial_at_most(1, 140, 0.05) <= 0.01 < binomial_at_most(1, 129, 0.05)
    assert (told["minimum_viable_quant"], told["confidence"]) == ("Q4_K_M", sure)

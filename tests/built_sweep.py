"""Small sweeps as raw rows: every fact can be set, the rest is a quiet machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orket.records import (
    CallFacts,
    Capabilities,
    CheckFacts,
    Controls,
    Counters,
    EventRow,
    FidelityRow,
    Hardware,
    ModelEntry,
    PlannedRun,
    Policy,
    QuantEntry,
    RunRecord,
    SidecarRow,
    SweepRow,
    TaskEntry,
)
from orket.warehouse import Warehouse

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
MS = 1_000_000
CONTROLS = Controls(
    seed=7, temperature_milli=0, threads="2", affinity="none", warmup="1"
)
VERIFIED = Controls(seed=7, threads="2", affinity="none")
CAPABILITIES = Capabilities(
    streaming=True,
    token_counts=True,
    cached_counts=True,
    internal_timings=True,
    seed=True,
)
# About the sizes of a model of one billion weights.
MODEL_BYTES = {
    "F32": 4_000_000_000,
    "F16": 2_000_000_000,
    "Q8_0": 1_062_500_000,
    "Q6_K": 820_000_000,
    "Q5_K_M": 700_000_000,
    "Q4_K_M": 600_000_000,
    "Q3_K_M": 480_000_000,
    "Q3_K_S": 440_000_000,
    "Q2_K": 390_000_000,
}
PARAMETERS = 1_000_000_000


@dataclass
class Sweep:
    """One sweep under construction: one model, its quants, its tasks."""

    sweep_id: str = "sweep-1"
    model_id: str = "m"
    quants: tuple[str, ...] = ("F16", "Q4_K_M", "Q2_K")
    tasks: tuple[str, ...] = ("t1", "t2")
    buckets: dict[str, str] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    repetitions: int = 1
    policy: Policy = field(default_factory=Policy)
    capabilities: Capabilities = CAPABILITIES
    controls: Controls = CONTROLS
    started_at: datetime = START
    quant_facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    runs: list[RunRecord] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    sidecars: list[SidecarRow] = field(default_factory=list)
    fidelity: list[FidelityRow] = field(default_factory=list)
    clock_ns: int = 0
    _planned: tuple[Any, dict[str, PlannedRun]] | None = None

    def plan(self) -> list[PlannedRun]:
        """Repetition by repetition, quant by quant: one block each."""
        planned: list[PlannedRun] = []
        for repetition in range(1, self.repetitions + 1):
            for place, quant in enumerate(self.quants):
                block = (repetition - 1) * len(self.quants) + place
                for task in self.tasks:
                    planned.append(
                        PlannedRun(
                            run_id=self.run_id(quant, task, repetition),
                            order_index=len(planned),
                            phase="matrix",
                            model_id=self.model_id,
                            quant_tag=quant,
                            test_id=f"bank/{task}",
                            repetition=repetition,
                            block_index=block,
                        )
                    )
        return planned

    def run_id(self, quant: str, task: str, repetition: int) -> str:
        """A readable id in the place of a hash."""
        return f"{self.sweep_id}:{self.model_id}:{quant}:{task}:{repetition}"

    def sweep_row(self) -> SweepRow:
        """The manifest."""
        base: dict[str, Any] = {
            "sweep_id": self.sweep_id,
            "manifest_id": f"{self.sweep_id}-manifest",
            "kind": "START",
            "started_at": self.started_at,
            "orket_version": "0.0.0-test",
            "preset": "test",
            "plan_hash": "sha256:plan",
            "policy_hash": "sha256:policy",
            "hardware_fingerprint": "hw1-test",
            "fingerprint_version": "hw1",
            "hardware": Hardware(
                os="Linux",
                cpu="Test CPU",
                physical_cores=2,
                logical_cpus=2,
                ram_bytes=8 * 2**30,
                gpus=[],
                clock_tick_ns=10 * MS,
            ),
            "repetitions": self.repetitions,
            "models": [self.model_entry()],
            "quants": [self.quant_entry(quant) for quant in self.quants],
            "tasks": [self.task_entry(task) for task in self.tasks],
            "plan": self.plan(),
        }
        return SweepRow(**(base | self.manifest))

    def model_entry(self) -> ModelEntry:
        """The model, on a CPU-only server of two threads."""
        base: dict[str, Any] = {
            "model_id": self.model_id,
            "provider": "embedded",
            "provider_version": "1",
            "locality": "child",
            "server_logical_cpus": 2,
            "cpu_only": True,
            "capabilities": self.capabilities,
            "controls": self.controls,
            "control_profile": "quiet",
            "policy": self.policy,
        }
        return ModelEntry(**(base | self.model))

    def quant_entry(self, quant: str) -> QuantEntry:
        """A quant with a measured size."""
        base: dict[str, Any] = {
            "model_id": self.model_id,
            "quant_tag": quant,
            "quant_key": quant,
            "model_bytes": MODEL_BYTES.get(quant),
            "parameters": PARAMETERS if quant in MODEL_BYTES else None,
            "model_digest": f"sha256:{quant}",
        }
        return QuantEntry(**(base | self.quant_facts.get(quant, {})))

    def task_entry(self, task: str) -> TaskEntry:
        """A task with one check."""
        return TaskEntry(
            test_id=f"bank/{task}",
            bank="bank",
            task_id=task,
            bucket=self.buckets.get(task, "logic"),
            family=self.families.get(task),
            task_revision=f"rev-{task}",
            checks_total=1,
            max_tokens=64,
        )

    def add(
        self,
        quant: str,
        task: str,
        repetition: int = 1,
        *,
        passed: int | None = 1,
        total: int = 1,
        wall_ms: int = 600,
        attempt: int = 1,
        **changes: Any,
    ) -> RunRecord:
        """One attempt; `changes` are fields of the row or of any of its groups."""
        run_id = changes.pop("run_id", self.run_id(quant, task, repetition))
        place = self._places().get(run_id)
        start_ns, wall_ns = self.clock_ns, wall_ms * MS
        self.clock_ns = start_ns + wall_ns
        call = _call(passed, wall_ns)
        checks: dict[str, Any] | None = None
        if passed is not None:
            checks = {"checks_passed": passed, "checks_total": total, "answer_chars": 3}
        row: dict[str, Any] = {
            "sweep_id": self.sweep_id,
            "run_id": run_id,
            "attempt_id": f"{run_id}#{attempt}",
            "attempt_number": attempt,
            "executor_started_at": self.started_at,
            "recorded_at": self._moment(self.clock_ns),
            "phase": "matrix",
            "model_id": self.model_id,
            "model_digest": f"sha256:{quant}",
            "quant_tag": quant,
            "test_id": f"bank/{task}",
            "bucket": self.buckets.get(task, "logic"),
            "task_revision": f"rev-{task}",
            "repetition": repetition,
            "order_index": place.order_index if place else 0,
            "block_index": place.block_index if place else 0,
            "started_at": self._moment(start_ns),
            "started_ns": start_ns,
            "ended_ns": start_ns + wall_ns,
            "prompt_sha256": f"prompt-{task}",
            "max_tokens": 64,
            "requested": self.controls,
            "effective": VERIFIED,
            "locality": "child",
            "before": quiet_counters(start_ns),
            "after": quiet_counters(start_ns + wall_ns),
            "peak_server_rss_bytes": MODEL_BYTES.get(quant, 10**9) + 50_000_000,
            "other_models_resident": [],
        }
        for name, value in changes.items():
            if name in CallFacts.__struct_fields__:
                call[name] = value
            elif checks is not None and name in CheckFacts.__struct_fields__:
                checks[name] = value
            else:
                row[name] = value
        row["call"] = CallFacts(**call)
        row["checks"] = CheckFacts(**checks) if checks is not None else None
        record = RunRecord(**row)
        self.runs.append(record)
        return record

    def _places(self) -> dict[str, PlannedRun]:
        """The plan by run, made anew only where what it is made of has changed."""
        made_of = (self.sweep_id, self.model_id, self.quants, self.tasks)
        if self._planned is None or self._planned[0] != (*made_of, self.repetitions):
            planned = {entry.run_id: entry for entry in self.plan()}
            self._planned = (*made_of, self.repetitions), planned
        return self._planned[1]

    def score(
        self,
        quant: str,
        task: str,
        places: Sequence[Mapping[int, float]] | None,
        role: str = "QUANT",
        **changes: Any,
    ) -> FidelityRow:
        """What a quant says at each place of an answer: probabilities by token.

        The path is the first token of each place unless `path_ids` says otherwise.
        """
        row: dict[str, Any] = {
            "sweep_id": self.sweep_id,
            "fidelity_id": f"{self.sweep_id}:{quant}:{task}:{role}",
            "recorded_at": self.started_at,
            "role": role,
            "model_id": self.model_id,
            "model_digest": f"sha256:{quant}",
            "quant_tag": quant,
            "test_id": f"bank/{task}",
            "task_revision": f"rev-{task}",
            "prompt_sha256": f"prompt-{task}",
            "level": "PATH",
            "method": "GRAMMAR",
            "outcome": "OK",
            "k": 2,
            "max_tokens": 64,
            "ended": True,
        }
        if places is not None:
            row["path_ids"] = [next(iter(place)) for place in places]
            row["top_ids"] = [list(place) for place in places]
            row["top_nnats"] = [
                [round(math.log(p) * 1e9) for p in place.values()] for place in places
            ]
        record = FidelityRow(**(row | changes))
        self.fidelity.append(record)
        return record

    def fill(self, **changes: Any) -> Sweep:
        """One clean attempt for every planned run that has none yet."""
        have = {record.run_id for record in self.runs}
        for entry in self.plan():
            if entry.run_id not in have:
                task = entry.test_id.removeprefix("bank/")
                self.add(entry.quant_tag, task, entry.repetition, **changes)
        return self

    def finish(self) -> Sweep:
        """The event that says the sweep is complete."""
        self.events.append(
            EventRow(
                event_id=f"{self.sweep_id}-end",
                recorded_at=self.started_at + timedelta(hours=1),
                event="SWEEP_FINISHED",
                sweep_id=self.sweep_id,
            )
        )
        return self

    def store(self, folder: Path | str) -> Warehouse:
        """Append everything to the warehouse in `folder`, or at a URL."""
        warehouse = Warehouse.open(folder)
        warehouse.append("sweeps", [self.sweep_row()], self.sweep_id)
        if self.runs:
            warehouse.append("runs", self.runs, self.sweep_id)
        if self.sidecars:
            warehouse.append("sidecars", self.sidecars, self.sweep_id)
        if self.fidelity:
            warehouse.append("fidelity", self.fidelity, self.sweep_id)
        if self.events:
            warehouse.append("events", self.events)
        return warehouse

    def _moment(self, clock_ns: int) -> datetime:
        return self.started_at + timedelta(microseconds=clock_ns // 1000)


def _call(passed: int | None, wall_ns: int) -> dict[str, Any]:
    """A streamed answer of 21 tokens with 5 ms of overhead."""
    internal_ns = wall_ns - 5 * MS
    return {
        "outcome": "OK",
        "answer_text": "yes" if passed else "no",
        "stop_reason": "stop",
        "prompt_tokens": 40,
        "cached_prompt_tokens": 0,
        "completion_tokens": 21,
        "prefill_ns": internal_ns // 5,
        "decode_ns": internal_ns - internal_ns // 5,
        "decode_clock": "first_token",
        "prefill_kind": "internal",
        "formula_id": "test.v1",
        "prompt_cache": "disabled",
        "streamed": True,
        "wall_ns": wall_ns,
        "realtime_ns": wall_ns,
        "ttft_ns": internal_ns // 5 + MS,
    }


def quiet_counters(moment_ns: int, **changes: Any) -> Counters:
    """Two CPUs on which only the server (95 % of both) and the client (1 %) work."""
    facts: dict[str, Any] = {
        "host_total_ns": 2 * moment_ns,
        "host_busy_ns": moment_ns * 192 // 100,
        "host_steal_ns": 0,
        "server_cpu_ns": moment_ns * 190 // 100,
        "client_cpu_ns": moment_ns * 2 // 100,
        "cgroup_throttled_ns": 0,
        "thermal_throttle_count": 0,
        "thermal_throttled_ns": 0,
        "swap_in_bytes": 0,
        "swap_out_bytes": 0,
        "psi_memory_full_us": 0,
        "server_major_faults": 0,
        "on_battery": False,
        "server_requests_processing": 0,
    }
    return Counters(**(facts | changes))

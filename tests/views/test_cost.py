"""What a passed task costs: exact sums, true reasons, and no estimate."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orket.records import Counters, Hardware, Policy
from tests.built_sweep import MS, VERIFIED, Sweep, quiet_counters

GIB = 1 << 30
WATT_CPU, WATT_GPU = 20, 200
"""Of the machine here, always: uJ in a microsecond."""
GPU_MACHINE = {
    "hardware": Hardware(logical_cpus=2, ram_bytes=64 * GIB, gpus=["NVIDIA X"])
}


def powered(moment_ns: int, **changes: Any) -> Any:
    """Counters of a machine whose packages and GPUs draw a steady power."""
    return quiet_counters(
        moment_ns,
        **{
            "cpu_energy_uj": moment_ns // 1000 * WATT_CPU,
            "gpu_energy_uj": moment_ns // 1000 * WATT_GPU,
            "gpu_foreign_busy": False,
        }
        | changes,
    )


def measure(sweep_id: str, lost: int = 1, **facts: Any) -> Sweep:
    """Two quants, four tasks, two repetitions of 600 ms; Q4_K_M fails `lost` tasks."""
    changes = facts.pop("changes", {})
    run = facts.pop("run", {})
    sweep = Sweep(
        sweep_id=sweep_id,
        quants=("F16", "Q4_K_M"),
        tasks=("t1", "t2", "t3", "t4"),
        repetitions=2,
        **facts,
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        fails = planned.quant_tag == "Q4_K_M" and int(task[1:]) <= lost
        start_ns = sweep.clock_ns
        sweep.add(
            planned.quant_tag,
            task,
            planned.repetition,
            passed=0 if fails else 1,
            before=powered(start_ns, **changes),
            after=powered(start_ns + 600 * MS, **changes),
            effective=replace(VERIFIED, context_tokens=4096),
            **run,
        )
    return sweep.finish()


def disturbed() -> Sweep:
    """The last run of Q4_K_M's second block beside a busy program."""
    sweep = measure("disturbed")
    for place, run in enumerate(sweep.runs):
        is_last = run.test_id == "bank/t4" and run.repetition == 2
        if is_last and run.quant_tag == "Q4_K_M":
            assert run.after and run.after.host_busy_ns
            busy_ns = run.after.host_busy_ns + 300 * MS
            after = replace(run.after, host_busy_ns=busy_ns)
            sweep.runs[place] = replace(run, after=after)
    return sweep


def busy_cpu() -> Sweep:
    """On a GPU, while a tenth of the CPU is somebody else's."""
    sweep = measure(
        "busy_cpu",
        manifest=GPU_MACHINE,
        model={"cpu_only": False},
        policy=Policy(max_foreign_cpu_ppm=50_000, max_foreign_cpu_gpu_ppm=500_000),
        run={"reported_model_bytes": GIB, "reported_gpu_bytes": GIB},
    )

    def less(counters: Counters | None) -> Counters:
        assert counters
        return replace(counters, server_cpu_ns=(counters.server_cpu_ns or 0) * 17 // 19)

    sweep.runs = [
        replace(run, before=less(run.before), after=less(run.after))
        for run in sweep.runs
    ]
    return sweep


def trained(tokens: int) -> dict[str, int]:
    return {"trained_context_tokens": tokens}


def on_gpus(sweep_id: str, sizes: list[int] | None, **run: Any) -> Sweep:
    """The model lies on a GPU, where it takes 2 GiB at its peak."""
    status = "denied" if sizes is None else "ok"
    hardware = replace(
        GPU_MACHINE["hardware"], gpu_memory_bytes=sizes, gpu_memory_status=status
    )
    facts = {
        "reported_model_bytes": 2 * GIB,
        "reported_gpu_bytes": 2 * GIB,
        "peak_gpu_memory_bytes": 2 * GIB,
    }
    return measure(
        sweep_id,
        manifest={"hardware": hardware},
        model={"cpu_only": False},
        quant_facts={"Q4_K_M": {"kv_cache_bytes": 4096 * 100_000} | trained(131_072)},
        run=facts | run,
    )


NO_ENERGY = {"cpu_energy_uj": None, "gpu_energy_uj": None}
GAPS = ["cpu_energy_uj=denied", "gpu_energy_uj=absent"]
CASES = {
    "plain": lambda: measure("plain"),
    "nothing": lambda: measure("nothing", lost=4),
    "alone": lambda: measure("alone", policy=Policy(quality_only=True)),
    "disturbed": disturbed,
    "busy_cpu": busy_cpu,
    "context": lambda: measure(
        "context", quant_facts={"Q4_K_M": {"kv_cache_bytes": 4096 * 100_000}}
    ),
    "divided": lambda: measure(
        "divided",
        quant_facts={
            "Q4_K_M": {"kv_cache_bytes": 16384 * 100_000, "context_tokens": 16384}
        },
    ),
    "trained_longer": lambda: measure(
        "trained_longer",
        quant_facts={"Q4_K_M": {"kv_cache_bytes": 4096 * 100_000} | trained(131_072)},
    ),
    "trained_shorter": lambda: measure(
        "trained_shorter",
        quant_facts={
            "F16": {"kv_cache_bytes": 4096 * 100_000} | trained(4096),
            "Q4_K_M": {"kv_cache_bytes": 4096 * 100_000} | trained(8192),
        },
    ),
    "one_gpu": lambda: on_gpus("one_gpu", [6 * GIB]),
    "two_gpus": lambda: on_gpus("two_gpus", [6 * GIB, 6 * GIB]),
    "gpu_in_part": lambda: on_gpus("gpu_in_part", [6 * GIB], reported_gpu_bytes=GIB),
    "gpu_denied": lambda: on_gpus("gpu_denied", None),
    "no_sensor": lambda: measure(
        "no_sensor", changes=NO_ENERGY, run={"sensor_gaps": GAPS}
    ),
    "old_rows": lambda: measure("old_rows", changes=NO_ENERGY),
    "remote": lambda: measure("remote", model={"locality": "remote"}),
    "others": lambda: measure("others", changes={"gpu_foreign_busy": None}),
    "dead": lambda: measure("dead", changes={"cpu_energy_uj": 5}),
}


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """(sweep, quant) -> its row."""
    folder = tmp_path_factory.mktemp("cost")
    for make in CASES.values():
        warehouse = make().store(folder)
    with warehouse.session() as session:
        rows = session.rows("SELECT * FROM v1.quant_cost")
    return {(row["sweep_id"], row["quant_tag"]): row for row in rows}


def test_all_that_was_spent_is_shared_by_what_passes(costs):
    full, small = costs["plain", "F16"], costs["plain", "Q4_K_M"]
    assert (full["passed_runs"], small["passed_runs"]) == (8, 6)
    # 8 runs of 600 ms, of which 8 and 6 pass.
    assert full["wall_per_pass_ns"] == 600 * MS
    assert small["wall_per_pass_ns"] == 800 * MS
    # 4.8 s at 20 W and at 200 W.
    assert full["cpu_energy_per_pass_uj"] == 12_000_000
    assert small["cpu_energy_per_pass_uj"] == 16_000_000
    assert small["gpu_energy_per_pass_uj"] == 160_000_000
    assert small["cpu_energy_blocks"] == small["gpu_energy_blocks"] == 2
    # 3 of 4 tasks: 95 % Wilson 0.300636 to 0.954414.
    assert small["wall_per_pass_low_ns"] == pytest.approx(600e6 / 0.954414, abs=1000)
    assert small["wall_per_pass_high_ns"] == pytest.approx(600e6 / 0.300636, abs=4000)


def test_nothing_passed_costs_nothing_that_could_be_told(costs):
    small = costs["nothing", "Q4_K_M"]
    assert small["time_status"] == small["cpu_energy_status"] == "NOTHING_PASSED"
    for figure in ("wall_per_pass_ns", "cpu_energy_per_pass_uj"):
        assert small[figure] is None


@pytest.mark.parametrize(
    ("name", "cpu", "gpu"),
    [
        ("no_sensor", "SENSOR_DENIED", "NO_DEVICE"),
        ("old_rows", "NOT_RECORDED", "NOT_RECORDED"),
        ("remote", "REMOTE_SERVER", "REMOTE_SERVER"),
        ("others", "OK", "OTHERS_NOT_TOLD_APART"),
        ("dead", "STANDS_STILL", "OK"),
    ],
)
def test_where_energy_cannot_be_told_the_reason_is(costs, name, cpu, gpu):
    small = costs[name, "Q4_K_M"]
    assert (small["cpu_energy_status"], small["gpu_energy_status"]) == (cpu, gpu)
    assert (small["cpu_energy_per_pass_uj"] is None) is (cpu != "OK")
    assert (small["gpu_energy_per_pass_uj"] is None) is (gpu != "OK")


def test_a_block_with_a_disturbed_run_gives_no_energy_and_the_others_do(costs):
    small = costs["disturbed", "Q4_K_M"]
    assert (small["valid_runs"], small["passed_runs"]) == (7, 5)
    assert small["cpu_energy_blocks"] == 1
    # 2.4 s at 20 W over the three that pass in the other block.
    assert small["cpu_energy_per_pass_uj"] == 16_000_000


def test_what_is_clean_on_a_gpu_may_share_too_much_of_the_cpu(costs):
    small = costs["busy_cpu", "Q4_K_M"]
    assert small["valid_runs"] == 8
    assert small["cpu_energy_status"] == "NO_QUIET_BLOCK"
    assert small["gpu_energy_status"] == "OK"
    assert small["context_status"] == "GPU_MEMORY_NOT_KNOWN"


def test_context_that_is_left_follows_from_the_peak_and_the_kv_cache(costs):
    small = costs["context", "Q4_K_M"]
    assert (small["context_status"], small["context_tokens"]) == ("OK", 4096)
    # 8 GiB without the peak of 650 MB, at 100,000 bytes a token.
    assert small["context_left_tokens"] == (8 * GIB - 650_000_000) // 100_000
    full = costs["context", "F16"]
    assert full["context_status"] == "KV_CACHE_NOT_KNOWN"
    assert full["context_left_tokens"] is None


def test_a_context_that_slots_share_tells_nothing_of_what_is_left(costs):
    small = costs["divided", "Q4_K_M"]
    assert small["context_status"] == "CONTEXT_NOT_KNOWN"
    assert small["context_tokens"] is None
    assert small["context_left_tokens"] is None


def test_answers_alone_have_no_time(costs):
    full = costs["alone", "F16"]
    assert (full["time_status"], full["wall_per_pass_ns"]) == (
        "COST_ANSWERS_ALONE",
        None,
    )


def test_no_more_context_is_left_than_the_model_was_trained_for(costs):
    def left(sweep, quant="Q4_K_M"):
        row = costs[sweep, quant]
        return row["context_left_limit"], row["context_left_tokens"]

    held = (8 * GIB - 650_000_000) // 100_000
    assert left("context") == ("MEMORY_ALONE", held)
    assert left("trained_longer") == ("MEMORY", held)
    assert left("trained_shorter") == ("TRAINING", 4096)
    assert left("trained_shorter", "F16") == ("TRAINING", 0)
    assert costs["trained_shorter", "F16"]["trained_context_tokens"] == 4096


def test_context_on_a_gpu_is_bounded_by_its_own_memory(costs):
    row = costs["one_gpu", "Q4_K_M"]
    assert row["context_status"] == "OK" and row["context_left_limit"] == "MEMORY"
    assert row["context_left_tokens"] == 4 * GIB // 100_000
    for sweep, why in {
        "two_gpus": "SEVERAL_GPUS",
        "gpu_in_part": "NOT_ON_GPU_ALONE",
        "gpu_denied": "SENSOR_DENIED",
        "busy_cpu": "GPU_MEMORY_NOT_KNOWN",
    }.items():
        row = costs[sweep, "Q4_K_M"]
        assert row["context_status"] == why and row["context_left_tokens"] is None

"""Rules of v1.telemetry and v1.run_quality, one hand-checked situation each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orket.records import Capabilities, Policy
from tests.built_sweep import CONTROLS, MS, VERIFIED, Sweep, quiet_counters
from tests.together import Sight, together


def judged(sweep: Sweep, view: str = "run_quality") -> Sight:
    seen = yield sweep
    return seen.rows(f"SELECT * FROM v1.{view} ORDER BY attempt_id")


def one_run(*, view: str = "run_quality", sweep: Sweep | None = None, **facts) -> Sight:
    sweep = sweep or Sweep(quants=("F16",), tasks=("t1",))
    sweep.add("F16", "t1", **facts)
    (row,) = yield from judged(sweep, view)
    return row


@together
def test_what_was_never_run_was_polluted_by_nothing():
    """One is whole, two lack runs alone, one failed, one was not begun."""
    quants = ("F16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K")
    sweep = Sweep(quants=quants, tasks=("t1", "t2"))
    for task in sweep.tasks:
        sweep.add("F16", task)
    sweep.add("Q8_0", "t1")
    sweep.add("Q6_K", "t1")
    sweep.add("Q6_K", "t2", outcome="CANCELLED", passed=None)
    sweep.add("Q4_K_M", "t1", outcome="FAILED", error_class="HTTP_500", passed=None)
    session = yield sweep.finish()
    rows = session.rows("SELECT quant_tag, run_quality_status FROM v1.quant_aggregate")
    assert {row["quant_tag"]: row["run_quality_status"] for row in rows} == {
        "F16": "CLEAN",
        "Q8_0": "UNFINISHED",
        "Q6_K": "UNFINISHED",
        "Q4_K_M": "POLLUTED",
        "Q2_K": "NOT_RUN",
    }


@together
def test_quiet_run_is_clean_and_says_what_it_could_not_see():
    row = yield from one_run()
    assert row["run_quality_status"] == "CLEAN"
    assert row["run_quality_reasons"] == []
    assert row["advisories"] == []
    assert row["unobserved_reasons"] == ["DRIFT_SINCE_ANCHOR", "MODEL_LOADED_IN_RUN"]
    assert row["foreign_cpu_micro"] == 0


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, "OK"),
        ({"prompt_tokens": None}, "TOKEN_COUNT_UNAVAILABLE"),
        ({"completion_tokens": None}, "TOKEN_COUNT_UNAVAILABLE"),
        ({"prefill_ns": None}, "TIMING_UNAVAILABLE"),
        ({"decode_ns": None}, "TIMING_UNAVAILABLE"),
        ({"prompt_tokens": None, "decode_ns": None}, "TOKEN_AND_TIMING_UNAVAILABLE"),
        ({"completion_tokens": 1, "decode_ns": None}, "OK"),
        ({"completion_tokens": 1, "decode_ns": 0}, "OK"),
        ({"completion_tokens": 0, "decode_ns": None}, "OK"),
        ({"completion_tokens": 2, "decode_ns": None}, "TIMING_UNAVAILABLE"),
        (
            {"completion_tokens": 1, "decode_ns": None, "decode_clock": "prefill_end"},
            "TIMING_UNAVAILABLE",
        ),
        (
            {"completion_tokens": 1, "decode_ns": None, "prompt_tokens": None},
            "TOKEN_COUNT_UNAVAILABLE",
        ),
    ],
)
@together
def test_token_status(facts, status):
    assert (yield from one_run(view="telemetry", **facts))[
        "token_metrics_status"
    ] == status


@pytest.mark.parametrize(
    ("facts", "rate", "reason"),
    [
        # 20 tokens after the first in 0.4 s; 21 where the first is inside the clock.
        ({"completion_tokens": 21, "decode_ns": 400 * MS}, 50_000, None),
        (
            {
                "completion_tokens": 21,
                "decode_ns": 400 * MS,
                "decode_clock": "prefill_end",
            },
            52_500,
            None,
        ),
        ({"completion_tokens": 0}, None, "ZERO_COMPLETION_TOKENS"),
        ({"completion_tokens": 1}, None, "SINGLE_TOKEN_COMPLETION"),
        ({"decode_ns": 0}, None, "ZERO_DURATION"),
        ({"decode_ns": None}, None, "TIMING_UNAVAILABLE"),
        ({"completion_tokens": None}, None, "TOKEN_COUNT_UNAVAILABLE"),
        ({"decode_clock": None}, None, "DECODE_CLOCK_UNKNOWN"),
        # The prompt count is not part of this rate.
        (
            {"prompt_tokens": None, "completion_tokens": 21, "decode_ns": 400 * MS},
            50_000,
            None,
        ),
    ],
)
@together
def test_generation_rate(facts, rate, reason):
    row = yield from one_run(view="telemetry", **facts)
    assert row["generation_tokens_per_second_milli"] == rate
    assert row["generation_rate_reason"] == reason


@pytest.mark.parametrize(
    ("facts", "rate", "reason"),
    [
        ({"prompt_tokens": 40, "prefill_ns": 100 * MS}, 400_000, None),
        # A template's first tokens always hit: 16 of 40 leave 24 new ones.
        (
            {"prompt_tokens": 40, "cached_prompt_tokens": 16, "prefill_ns": 100 * MS},
            240_000,
            None,
        ),
        ({"cached_prompt_tokens": 17}, None, "PROMPT_CACHE_HIT"),
        # 5 % of 1000 is 50.
        (
            {
                "prompt_tokens": 1000,
                "cached_prompt_tokens": 50,
                "prefill_ns": 100 * MS,
            },
            9_500_000,
            None,
        ),
        (
            {"prompt_tokens": 1000, "cached_prompt_tokens": 51},
            None,
            "PROMPT_CACHE_HIT",
        ),
        ({"cached_prompt_tokens": None}, None, "CACHED_SHARE_UNKNOWN"),
        (
            {
                "cached_prompt_tokens": None,
                "prompt_cache": "absent",
                "prefill_ns": 100 * MS,
            },
            400_000,
            None,
        ),
        ({"prefill_ns": 0}, None, "ZERO_DURATION"),
        ({"prefill_ns": None}, None, "TIMING_UNAVAILABLE"),
    ],
)
@together
def test_prompt_rate(facts, rate, reason):
    row = yield from one_run(view="telemetry", **facts)
    assert row["prompt_tokens_per_second_milli"] == rate
    assert row["prompt_rate_reason"] == reason


@together
def test_overhead_is_not_clamped():
    row = yield from one_run(
        view="telemetry", wall_ms=100, prefill_ns=60 * MS, decode_ns=60 * MS
    )
    assert row["orchestration_overhead_micro"] == -200_000


def end(start_ms: int = 0, wall_ms: int = 600, **changes):
    """Counters at the end of a run of 600 ms that starts the block."""
    return quiet_counters((start_ms + wall_ms) * MS, **changes)


# A run of 600 ms on two CPUs: 1200 ms of CPU time.
REASONS = [
    ({"outcome": "FAILED"}, "RUN_FAILED"),
    ({"prompt_tokens": None}, "MISSING_TOKEN_COUNTS"),
    ({"decode_ns": None}, "MISSING_TIMINGS"),
    ({"load_ns": 501 * MS}, "MODEL_LOADED_IN_RUN"),
    (
        {"after": end(host_busy_ns=1_200 * MS * 96 // 100 + 121 * MS)},
        "HIGH_FOREIGN_CPU",
    ),
    ({"after": end(host_steal_ns=25 * MS)}, "CPU_STEAL"),
    ({"after": end(cgroup_throttled_ns=31 * MS)}, "CPU_QUOTA_THROTTLED"),
    ({"after": end(thermal_throttled_ns=31 * MS)}, "THERMAL_THROTTLE"),
    ({"after": end(swap_in_bytes=400_000, swap_out_bytes=400_000)}, "SWAP_ACTIVITY"),
    ({"prefill_ns": 0, "decode_ns": 400 * MS}, "HIGH_ORCHESTRATION_OVERHEAD"),
    ({"prefill_ns": 0, "decode_ns": 607 * MS}, "CLOCK_INCONSISTENT"),
    ({"realtime_ns": 851 * MS}, "CLOCK_JUMP"),
    ({"realtime_ns": 0}, "CLOCK_JUMP"),
    ({"cached_prompt_tokens": 17}, "PROMPT_CACHE_HIT"),
    ({"after": end(server_requests_processing=1)}, "SERVER_SHARED"),
    (
        {
            "before": quiet_counters(0, server_tokens_generated=100),
            "after": end(server_tokens_generated=122),
        },
        "SERVER_SHARED",
    ),
    (
        {"after": end(server_cpu_ns=590 * MS, host_busy_ns=600 * MS)},
        "SERVER_STALLED",
    ),
    ({"after": end(psi_memory_full_us=6_001)}, "MEMORY_PRESSURE"),
    ({"after": end(server_major_faults=61)}, "MEMORY_PRESSURE"),
    ({"other_models_resident": ["other"]}, "OTHER_MODEL_RESIDENT"),
    ({"after": end(server_cpu_ns=None)}, "ENVIRONMENT_UNOBSERVED"),
    ({"before": None, "after": None}, "ENVIRONMENT_UNOBSERVED"),
    (
        {
            "effective": msgspec.structs.replace(VERIFIED, context_tokens=512),
            "requested": msgspec.structs.replace(CONTROLS, context_tokens=2048),
        },
        "CONTROL_NOT_HONOURED",
    ),
    ({"effective": msgspec.structs.replace(VERIFIED, seed=8)}, "CONTROL_NOT_HONOURED"),
    (
        {
            "requested": msgspec.structs.replace(CONTROLS, thinking=False),
            "effective": msgspec.structs.replace(VERIFIED, thinking=False),
            "answer_text": " <think>\nhm</think>4",
        },
        "CONTROL_NOT_HONOURED",
    ),
    *(
        (
            {
                "requested": msgspec.structs.replace(CONTROLS, thinking=False),
                "effective": msgspec.structs.replace(VERIFIED, thinking=False),
                **said,
            },
            "CONTROL_NOT_HONOURED",
        )
        for said in (
            {"answer_text": "<think>\n<p>4 is even</p>\n</think>4"},
            {"answer_text": "<think></p> is closed twice"},
            {"answer_text": "2 and 2 is 4.\n</think>\n\n4"},
            {"reasoning_text": "\n2 and 2"},
            {"reasoning_tokens": 3},
        )
    ),
    (
        {"requested": msgspec.structs.replace(CONTROLS, seed=None)},
        "MISSING_EXPERIMENTAL_CONTROLS",
    ),
]


@pytest.mark.parametrize(("facts", "reason"), REASONS)
@together
def test_each_disturbance_pollutes_by_its_own_code(facts, reason):
    row = yield from one_run(**facts)
    assert row["run_quality_status"] == "POLLUTED"
    assert row["run_quality_reasons"] == [reason]


# The last value that is still allowed.
ALLOWED = [
    {
        "requested": msgspec.structs.replace(CONTROLS, thinking=False),
        "effective": msgspec.structs.replace(VERIFIED, thinking=False),
        "answer_text": "<think>\n\n</think>\n\n4",
    },
    *(
        {
            "requested": msgspec.structs.replace(CONTROLS, thinking=False),
            "effective": msgspec.structs.replace(VERIFIED, thinking=False),
            **said,
        }
        for said in (
            {"reasoning_text": "\n\n"},
            {"reasoning_text": "", "reasoning_tokens": 0},
            {"answer_text": "\n</think>\n\n4"},
            {"answer_text": "<think>\n"},
            {"answer_text": "<b>4</b>"},
        )
    ),
    {"load_ns": 500 * MS, "wall_ms": 1200, "prefill_ns": 5 * MS, "decode_ns": 690 * MS},
    {"after": end(host_busy_ns=1_200 * MS * 96 // 100 + 120 * MS)},
    {"after": end(host_steal_ns=24 * MS)},
    {"after": end(cgroup_throttled_ns=30 * MS)},
    {"prefill_ns": 0, "decode_ns": 500 * MS},
    {"prefill_ns": 0, "decode_ns": 606 * MS},
    {"realtime_ns": 850 * MS},
    {"cached_prompt_tokens": 16},
    {"after": end(psi_memory_full_us=6_000)},
    {"after": end(server_major_faults=60)},
    {
        "before": quiet_counters(0, server_tokens_generated=100),
        "after": end(server_tokens_generated=121),
    },
    {"requested": msgspec.structs.replace(CONTROLS, threads="server")},
    {"requested": msgspec.structs.replace(CONTROLS, affinity="server", warmup="none")},
]


@pytest.mark.parametrize("facts", ALLOWED)
@together
def test_the_limit_itself_is_clean(facts):
    row = yield from one_run(**facts)
    assert row["run_quality_reasons"] == []


@pytest.mark.parametrize(
    ("after", "missing"),
    [
        ({"host_steal_ns": None}, "CPU_STEAL"),
        ({"cgroup_throttled_ns": None}, "CPU_QUOTA_THROTTLED"),
        ({"swap_in_bytes": None}, "SWAP_ACTIVITY"),
        (
            {"thermal_throttled_ns": None, "thermal_throttle_count": None},
            "THERMAL_THROTTLE",
        ),
        # A counter that runs backwards is an error of the sensor.
        ({"cgroup_throttled_ns": 0}, "CPU_QUOTA_THROTTLED"),
    ],
)
@together
def test_an_unknown_counter_is_unobserved_not_a_reason(after, missing):
    row = yield from one_run(
        before=quiet_counters(0, cgroup_throttled_ns=5),
        after=end(**({"cgroup_throttled_ns": 5} | after)),
    )
    assert row["run_quality_status"] == "CLEAN"
    assert missing in row["unobserved_reasons"]
    assert row["advisories"] == ["PARTIALLY_OBSERVED"]


@together
def test_allow_unobserved_turns_it_into_an_advisory():
    sweep = Sweep(quants=("F16",), tasks=("t1",), policy=Policy(allow_unobserved=True))
    row = yield from one_run(sweep=sweep, before=None, after=None)
    assert row["run_quality_status"] == "CLEAN"
    assert "ENVIRONMENT_UNOBSERVED" in row["advisories"]


@together
def test_what_the_server_never_promised_is_an_advisory():
    sweep = Sweep(quants=("F16",), tasks=("t1",), capabilities=Capabilities())
    row = yield from one_run(
        sweep=sweep, prompt_tokens=None, prefill_ns=None, decode_ns=None
    )
    assert row["run_quality_status"] == "CLEAN"
    assert row["advisories"] == ["COUNTS_NOT_OFFERED", "TIMINGS_NOT_OFFERED"]


@together
def test_advisories_do_not_pollute():
    row = yield from one_run(
        stop_reason="length",
        unsupported_controls=["affinity"],
        after=end(on_battery=True, server_cpu_ns=800 * MS, host_busy_ns=812 * MS),
    )
    assert row["run_quality_status"] == "CLEAN"
    assert row["advisories"] == [
        "CONTROL_UNSUPPORTED",
        "ON_BATTERY",
        "OUTPUT_TRUNCATED",
        "SERVER_STALLED",
    ]


@together
def test_high_load_counts_only_where_foreign_cpu_is_unobserved():
    sweep = Sweep(
        quants=("F16",), tasks=("t1",), manifest={"executor_load1_milli": 2001}
    )
    assert (yield from one_run(sweep=sweep))["run_quality_reasons"] == []
    other = Sweep(
        sweep_id="sweep-2",
        quants=("F16",),
        tasks=("t1",),
        manifest={"executor_load1_milli": 2001},
    )
    row = yield from one_run(sweep=other, after=end(client_cpu_ns=None))
    assert row["run_quality_reasons"] == ["HIGH_SYSTEM_LOAD"]


@together
def test_short_runs_share_the_window_of_their_block():
    """Ten runs of 100 ms: two windows of 500 ms; a burner in the second one."""
    sweep = Sweep(quants=("F16",), tasks=tuple(f"t{n}" for n in range(10)))
    for number in range(10):
        start, stop = number * 100, number * 100 + 100
        burnt = 200 * MS if number >= 7 else 0
        sweep.add(
            "F16",
            f"t{number}",
            wall_ms=100,
            before=quiet_counters(start * MS),
            after=quiet_counters(
                stop * MS, host_busy_ns=stop * MS * 192 // 100 + burnt
            ),
        )
    rows = yield from judged(sweep)
    by_task = {row["test_id"]: row for row in rows}
    assert [by_task[f"bank/t{n}"]["window_runs"] for n in range(10)] == [5] * 10
    assert [by_task[f"bank/t{n}"]["run_quality_reasons"] for n in range(10)] == (
        [[]] * 5 + [["HIGH_FOREIGN_CPU"]] * 5
    )
    assert {row["window_id"] for row in rows} == {"block:0/0:0", "block:0/0:1"}


@together
def test_an_incomplete_last_window_joins_the_one_before():
    sweep = Sweep(quants=("F16",), tasks=tuple(f"t{n}" for n in range(7)))
    for number in range(7):
        sweep.add("F16", f"t{number}", wall_ms=100)
    rows = yield from judged(sweep)
    assert {row["window_id"] for row in rows} == {"block:0/0:0"}
    assert {row["window_ns"] for row in rows} == {700 * MS}


@together
def test_a_short_window_needs_50_ms_of_excess():
    """A lone run of 100 ms: 20 % foreign is 20 ms beyond the limit; 60 % is 100 ms."""
    for number, (burnt_ms, reasons) in enumerate(
        [(40, []), (120, ["HIGH_FOREIGN_CPU"])]
    ):
        sweep = Sweep(sweep_id=f"s{number}", quants=("F16",), tasks=("t1",))
        sweep.add(
            "F16",
            "t1",
            wall_ms=100,
            after=quiet_counters(100 * MS, host_busy_ns=192 * MS + burnt_ms * MS),
        )
        (row,) = yield from judged(sweep)
        assert row["run_quality_reasons"] == reasons


@together
def test_drift_marks_the_runs_since_the_last_good_anchor():
    sweep = Sweep(quants=("F16",), tasks=("t1", "t2", "t3"))
    for repetition in (1, 2, 3):
        sweep.add("F16", "t1", phase="canary", run_id=f"c{repetition}", wall_ms=600)
    sweep.add("F16", "t1")
    sweep.add("F16", "t1", phase="anchor", run_id="a1", wall_ms=620, block_index=90)
    sweep.add("F16", "t2")
    sweep.add("F16", "t1", phase="anchor", run_id="a2", wall_ms=700, block_index=91)
    sweep.add("F16", "t3")
    rows = yield from judged(sweep)
    reasons = {
        row["test_id"]: row["run_quality_reasons"]
        for row in rows
        if row["phase"] == "matrix"
    }
    assert reasons == {
        "bank/t1": [],
        "bank/t2": ["DRIFT_SINCE_ANCHOR"],
        "bank/t3": [],
    }


@together
def test_the_last_attempt_of_each_call_of_the_gate_tells():
    """The second was broken off, the third failed: both were made again."""
    sweep = Sweep(
        sweep_id="gate",
        quants=("F16",),
        tasks=("t1",),
        manifest={"canary_planned": True},
    )
    for repetition in range(1, 11):
        ids: dict[str, Any] = {"phase": "canary", "run_id": f"c{repetition}"}
        lost = {2: "CANCELLED", 3: "FAILED"}.get(repetition)
        if lost:
            gone: dict[str, Any] = {
                "passed": None,
                "outcome": lost,
                "answer_text": None,
            }
            sweep.add("F16", "t1", **gone, **ids)
        sweep.add("F16", "t1", attempt=2 if lost else 1, **ids)
    session = yield sweep
    (canary,) = session.rows("SELECT * FROM v1.canary")
    assert (canary["verdict"], canary["runs"]) == ("PASSED", 10)
    assert canary["failed_runs"] == 0


@pytest.mark.parametrize("disturbed", [4, 5])
@together
def test_a_gate_of_which_half_was_disturbed_bounds_no_claim_of_speed(disturbed):
    sweep = Sweep(
        sweep_id="gate",
        quants=("F16", "Q4_K_M"),
        tasks=("t1", "t2"),
        manifest={"canary_planned": True},
    )
    for repetition in range(1, 11):
        changes: dict[str, Any] = {}
        if repetition <= disturbed:
            stop_ns = sweep.clock_ns + 600 * MS
            busy_ns = stop_ns * 192 // 100 + 500 * MS
            changes["after"] = quiet_counters(stop_ns, host_busy_ns=busy_ns)
        sweep.add("F16", "t1", phase="canary", run_id=f"c{repetition}", **changes)
    sweep.fill()
    session = yield sweep
    (canary,) = session.rows("SELECT * FROM v1.canary")
    is_mostly = disturbed == 5
    assert (canary["verdict"], canary["disturbed_runs"]) == ("PASSED", disturbed)
    assert canary["is_mostly_disturbed"] is is_mostly
    assert (canary["latency_bound_ppm"] is None) is is_mostly
    (facts,) = session.rows("SELECT * FROM v1.choice_fact")
    assert facts["tells_speed"] is not is_mostly
    (answer,) = session.rows("SELECT recommendation_lines FROM v1.recommendation")
    speed = [line for line in answer["recommendation_lines"] if "peed" in line]
    said = "Nothing is said of speed: other programs disturbed the check before the "
    assert (speed == [f"{said}sweep."]) is is_mostly

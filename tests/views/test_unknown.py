"""Unknown is neither pass nor fail, times bound each other, all do the same tasks."""

from __future__ import annotations

import random
import typing
from typing import Any

import msgspec
import pytest

from orket.admission import admit
from orket.records import CallFacts, SidecarRow
from tests.built_sweep import MS, START, Sweep
from tests.together import Sight, together
from tests.token_status import TelemetryView


def rows_of(sweep: Sweep, view: str) -> Sight:
    seen = yield sweep
    return seen.rows(f"SELECT * FROM v1.{view} ORDER BY ALL")


def with_call(sweep: Sweep, quant: str, **facts: Any) -> None:
    """Change the calls of a quant."""
    sweep.runs = [
        msgspec.structs.replace(run, call=msgspec.structs.replace(run.call, **facts))
        if run.quant_tag == quant
        else run
        for run in sweep.runs
    ]


@together
def test_a_call_of_no_length_is_no_measurement():
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=("t1", "t2")).fill().finish()
    with_call(sweep, "Q4_K_M", wall_ns=0)
    rows = yield from rows_of(sweep, "runs")
    zero = [row for row in rows if row["quant_tag"] == "Q4_K_M"]
    assert [row["wall_ns"] for row in zero] == [None, None]
    assert all("ZERO_WALL_TIME" in row["run_quality_reasons"] for row in zero)
    assert not any(row["is_valid"] for row in zero)


@together
def test_a_latency_that_nobody_measured_is_not_above_the_ceiling():
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=("t1", "t2")).fill().finish()
    with_call(sweep, "Q4_K_M", wall_ns=None, realtime_ns=None)
    by_quant = {
        row["quant_tag"]: row for row in (yield from rows_of(sweep, "frontier"))
    }
    unknown = by_quant["Q4_K_M"]
    assert unknown["ineligible_reasons"] == ["LATENCY_UNAVAILABLE"]
    assert unknown["within_ceiling"] is None
    assert unknown["is_pareto_optimal"] is None
    assert by_quant["F16"]["is_pareto_optimal"] is True


@together
def test_a_gate_whose_adherence_was_never_measured_fails_by_its_reason():
    sweep = Sweep(quants=("F16",), tasks=("t1",), manifest={"canary_planned": True})
    for n in range(1, 11):
        sweep.add(
            "F16",
            "t1",
            phase="canary",
            run_id=f"c{n}",
            passed=0,
            total=0,
            checks_unsupported=1,
        )
    (row,) = yield from rows_of(sweep.fill().finish(), "canary")
    assert row["verdict"] == "FAILED"
    assert row["failed_reasons"] == ["ADHERENCE_UNAVAILABLE"]


def half_unchecked(**manifest: Any) -> Sweep:
    """Both right on 2 of 4; on the others F16 fails and Q4_K_M could not be checked."""
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=("t0", "t1", "t2", "t3"))
    sweep.manifest = manifest
    for quant in sweep.quants:
        for n, task in enumerate(sweep.tasks):
            gone = n >= 2 and quant == "Q4_K_M"
            sweep.add(
                quant,
                task,
                passed=int(n < 2),
                total=0 if gone else 1,
                checks_unsupported=int(gone),
            )
    return sweep.finish()


@together
def test_a_check_that_could_not_be_run_makes_no_quant_look_better():
    """Over t0 and t1 alone both have 2 of 2."""
    sweep = half_unchecked()
    rows = yield from rows_of(sweep, "quant_aggregate")
    assert [row["adherence_nano"] for row in rows] == [10**9, 10**9]
    assert [row["adherence_tasks"] for row in rows] == [2, 2]
    assert all("CHECKS_UNSUPPORTED" in row["advisories"] for row in rows)
    (said,) = yield from rows_of(sweep, "recommendation")
    assert "Compared without 2 of 4 tasks" in said["recommendation"]


@pytest.mark.parametrize(
    ("sandbox", "way_out"),
    [
        ("monty", "; a new run with --sandbox monty+process can"),
        ("monty+process", ""),
        (None, ""),
    ],
)
@together
def test_what_runs_more_checks_is_told_where_it_was_not_tried(sandbox, way_out):
    (said,) = yield from rows_of(half_unchecked(sandbox=sandbox), "recommendation")
    told = "a check could not be run on some quant's answer"
    assert f"{told}{way_out}." in said["recommendation"]


@together
def test_who_thinks_was_not_kept_from_thinking():
    sweep = Sweep(quants=("F16",), tasks=("t1", "t2")).fill().finish()
    with_call(sweep, "F16", reasoning_text="hm, 6 x 7", stop_reason="length")
    sweep.runs = [
        msgspec.structs.replace(
            run, requested=msgspec.structs.replace(run.requested, thinking=False)
        )
        for run in sweep.runs
    ]
    rows = yield from rows_of(sweep, "runs")
    assert all(row["run_quality_reasons"] == ["CONTROL_NOT_HONOURED"] for row in rows)
    (quant,) = yield from rows_of(sweep, "quant_aggregate")
    assert (quant["truncated_runs"], quant["answered_runs"]) == (2, 2)


STREAMED: dict[str, Any] = {
    "outcome": "OK",
    "streamed": True,
    "prompt_tokens": 20,
    "prompt_cache": "absent",
    "completion_tokens": 11,
    "decode_clock": "first_token",
    "prefill_ns": 50 * MS,
    "decode_ns": 500 * MS,
    "wall_ns": 600 * MS,
    "ttft_ns": 60 * MS,
    "last_token_ns": 570 * MS,
}


@pytest.fixture(scope="module")
def telemetry():
    view = TelemetryView()
    yield view
    view.close()


@pytest.mark.parametrize(
    ("facts", "is_inconsistent"),
    [
        ({}, False),  # 510 ms seen, 500 said: 10 is within 20 ms and 10 %
        ({"decode_ns": 450 * MS}, True),  # 60 ms too little, 51 allowed
        ({"decode_ns": 460 * MS}, False),  # 50 ms
        ({"decode_ns": 45}, True),  # milliseconds taken for nanoseconds
        ({"decode_ns": 516_371 * 10**9}, True),  # 143 hours in 0.6 s
        ({"prefill_ns": 70 * MS, "decode_ns": 500 * MS}, True),  # ended after 60 ms
        ({"streamed": False, "ttft_ns": None, "last_token_ns": None}, False),
        # 10 tokens in 90 us, unseen by the client: no machine takes 9 us for a token
        (
            {
                "streamed": False,
                "ttft_ns": None,
                "last_token_ns": None,
                "decode_ns": 90_000,
            },
            True,
        ),
        ({"prompt_tokens": 10**10, "prefill_ns": 1000}, True),
        # a part that lasts longer than the call of 0.6 s
        ({"ttft_ns": 10_000 * MS, "last_token_ns": 10_500 * MS}, True),
        ({"last_token_ns": 700 * MS, "decode_ns": 500 * MS}, True),
        ({"load_ns": 10**15}, True),
        ({"load_ns": 20 * MS}, False),
        # the first token came after the last
        ({"ttft_ns": 590 * MS, "last_token_ns": 300 * MS}, True),
    ],
)
def test_times_are_held_against_both_sides_of_their_bounds(
    telemetry, facts, is_inconsistent
):
    row = telemetry.read(CallFacts(**(STREAMED | facts)))
    assert row["clock_inconsistent"] is is_inconsistent
    if is_inconsistent:
        assert row["generation_tokens_per_second_milli"] is None
        assert row["generation_rate_reason"] == "CLOCK_INCONSISTENT"
    else:
        assert row["generation_tokens_per_second_milli"] > 0


def test_what_was_not_streamed_has_no_first_token(telemetry):
    row = telemetry.read(CallFacts(**(STREAMED | {"streamed": False})))
    assert row["ttft_ns"] is None


def bench(name: str, test: str, threads: int, samples_ms: list[int]) -> SidecarRow:
    return SidecarRow(
        sweep_id="bench",
        sidecar_id=name,
        recorded_at=START,
        model_id="m",
        quant_tag="F16",
        tool="llama-bench",
        status="OK",
        test=test,
        prompt_tokens=512 if test == "pp" else 0,
        generated_tokens=128 if test == "tg" else 0,
        samples_ns=[ms * MS for ms in samples_ms],
        raw=f'{{"n_threads": {threads}, "n_batch": 2048, "avg_ts": 1.0}}',
    )


@together
def test_a_sidecar_rate_stands_with_the_settings_that_gave_it():
    """8 threads: 512 in 64 ms, 128 in 4 s; 16 threads: 512 in 32 ms alone."""
    sweep = Sweep(sweep_id="bench", quants=("F16",), tasks=("t1",)).fill().finish()
    sweep.sidecars = [
        bench("a", "pp", 8, [60, 64, 68]),
        bench("b", "tg", 8, [4000]),
        bench("c", "pp", 16, [32]),
    ]
    rows = yield from rows_of(sweep, "sidecar")
    found = {
        tuple(row["settings"]): (row["prefill_tps_milli"], row["decode_tps_milli"])
        for row in rows
    }
    assert found == {
        ("n_batch=2048", "n_threads=8"): (8_000_000, 32_000),
        ("n_batch=2048", "n_threads=16"): (16_000_000, None),
    }
    spread = {row["prefill_samples"]: row["prefill_spread_micro"] for row in rows}
    # sqrt(((-4)^2 + 0 + 4^2) / 3) / 64 = 3.2660 / 64
    assert spread == {3: 51_031, 1: None}
    (told,) = yield from rows_of(sweep, "quant_sidecar")
    assert told["status"] == "SEVERAL_SETTINGS"
    assert told["prefill_tps_milli"] is None


@together
def test_rates_of_two_builds_of_a_tool_stand_apart():
    sweep = Sweep(sweep_id="bench", quants=("F16",), tasks=("t1",)).fill().finish()
    sweep.sidecars = [
        msgspec.structs.replace(bench("a", "pp", 8, [64]), tool_version="old (1)"),
        msgspec.structs.replace(bench("b", "tg", 8, [4000]), tool_version="new (2)"),
        msgspec.structs.replace(bench("c", "pp", 8, [32]), tool_version="new (2)"),
    ]
    rows = yield from rows_of(sweep, "sidecar")
    found = {
        row["tool_version"]: (row["prefill_tps_milli"], row["decode_tps_milli"])
        for row in rows
    }
    assert found == {"old (1)": (8_000_000, None), "new (2)": (16_000_000, 32_000)}
    (told,) = yield from rows_of(sweep, "quant_sidecar")
    assert (told["status"], told["decode_tps_milli"]) == ("SEVERAL_SETTINGS", None)


def extreme(record: Any, chance: random.Random) -> Any:
    """The record with half of its figures at a bound of their type."""
    changes: dict[str, Any] = {}
    hints = typing.get_type_hints(type(record), include_extras=True)
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, msgspec.Struct):
            changes[name] = extreme(value, chance)
        elif isinstance(value, int) and not isinstance(value, bool):
            bounds = [
                item.le
                for item in _metadata(hints[name])
                if isinstance(item, msgspec.Meta) and item.le is not None
            ]
            if bounds and chance.random() < 0.5 and name not in IDENTITY:
                changes[name] = chance.choice([0, bounds[0], bounds[0] // 2])
    return msgspec.structs.replace(record, **changes)


IDENTITY = {
    "attempt_number",
    "block_index",
    "order_index",
    "repetition",
    "retry_pass",
}


def _metadata(hint: Any) -> list[Any]:
    inner = [item for part in typing.get_args(hint) for item in _metadata(part)]
    return [*getattr(hint, "__metadata__", ()), *inner]


@pytest.mark.parametrize("seed", range(4))
@together
def test_every_accepted_row_leaves_every_view_whole(seed):
    chance = random.Random(seed)
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=("t1", "t2"), repetitions=2)
    for n in range(1, 4):
        sweep.add("F16", "t1", n, phase="canary", run_id=f"c{n}")
    sweep.fill().finish()

    def accepted(run: Any) -> Any:
        for _ in range(40):
            changed = extreme(run, chance)
            try:
                admit(changed)
            except msgspec.ValidationError:
                continue
            return changed
        return run

    sweep.runs = [accepted(run) for run in sweep.runs]
    seen = yield sweep
    seen.stage_all()
    (counted,) = seen.rows("SELECT count(*) AS runs FROM v1.attempts")
    assert counted["runs"] == len(sweep.runs)

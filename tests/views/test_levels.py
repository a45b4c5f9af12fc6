"""The same weights at several levels: who is smaller, who is the reference."""

from __future__ import annotations

from typing import Any

from orket import baselines
from orket.records import Controls
from tests.built_sweep import CONTROLS, VERIFIED, Sweep
from tests.together import Sight, together

GB = 10**9
Q4_BYTES, Q8_BYTES = 600_000_000, 1_062_500_000
WEIGHTS: dict[str, tuple[str, int]] = {
    "F16": ("F16", 2 * GB),
    "Q8_0": ("Q8_0", Q8_BYTES),
    "Q4_K_M": ("Q4_K_M", Q4_BYTES),
}


def level(
    base: str, kv: str, bits: int, tokens: int, kv_bytes: int | None
) -> dict[str, Any]:
    """What the manifest says of a quant at a level."""
    key, size = WEIGHTS[base]
    return {
        "quant_key": key,
        "model_bytes": size,
        "parameters": GB,
        "model_digest": f"sha256:{base}",
        "kv_cache": kv,
        "kv_bits_milli": bits,
        "context_tokens": tokens,
        "kv_cache_bytes": kv_bytes,
    }


def ladder(**quants: dict[str, Any]) -> Sweep:
    facts = {name.replace("__", "@"): each for name, each in quants.items()}
    return Sweep(quants=tuple(facts), quant_facts=facts)


def read(sweep: Sweep, query: str) -> Sight:
    seen = yield sweep.finish()
    return seen.rows(query)


@together
def test_of_one_file_the_smaller_cache_is_less_precise_and_smaller():
    sweep = ladder(
        F16=level("F16", "f16", 16_000, 4096, 500_000_000),
        Q4_K_M=level("Q4_K_M", "f16", 16_000, 4096, 500_000_000),
        Q4_K_M__low=level("Q4_K_M", "q8_0", 8_500, 4096, 265_625_000),
        F16__low=level("F16", "q8_0", 8_500, 4096, 265_625_000),
    ).fill()
    query = "SELECT quant_tag FROM v1.quant ORDER BY"
    session = yield sweep.finish()
    ranks = session.rows(f"{query} quant_rank")
    sizes = session.rows(f"{query} size_rank")
    (choice,) = session.rows("SELECT * FROM v1.choice")
    order = ["Q4_K_M@low", "Q4_K_M", "F16@low", "F16"]
    assert [row["quant_tag"] for row in ranks] == order
    assert [row["quant_tag"] for row in sizes] == order
    assert choice["baseline_quant_tag"] == "F16"
    assert choice["minimum_viable_quant"] == "Q4_K_M@low"


@together
def test_smaller_is_who_takes_less_memory_with_its_cache():
    # 0.6 + 8 GB against 1.06 + 0.06 GB: fewer bits a weight, and far more memory.
    sweep = ladder(
        F16=level("F16", "f16", 16_000, 1024, 62_500_000),
        Q8_0__short=level("Q8_0", "f16", 16_000, 1024, 62_500_000),
        Q4_K_M__long=level("Q4_K_M", "f16", 16_000, 131_072, 8 * GB),
    ).fill()
    session = yield sweep.finish()
    rows = session.rows(
        "SELECT quant_tag, quant_rank, size_rank, planned_bytes FROM v1.quant "
        "ORDER BY size_rank"
    )
    (choice,) = session.rows("SELECT * FROM v1.choice")
    assert [tuple(row.values()) for row in rows] == [
        ("Q8_0@short", 2, 1, 1_125_000_000),
        ("F16", 3, 2, 2_062_500_000),
        ("Q4_K_M@long", 1, 3, 8_600_000_000),
    ]
    assert choice["baseline_quant_tag"] == "F16"
    assert choice["minimum_viable_quant"] == "Q8_0@short"


@together
def test_where_one_cache_is_unknown_the_less_precise_is_the_smaller():
    sweep = ladder(
        F16=level("F16", "f16", 16_000, 1024, 62_500_000),
        Q4_K_M=level("Q4_K_M", "f16", 16_000, 1024, None),
        Q4_K_M__low=level("Q4_K_M", "q4_0", 4_500, 1024, 17_578_125),
    ).fill(peak_server_rss_bytes=None)
    session = yield sweep.finish()
    (choice,) = session.rows("SELECT * FROM v1.choice")
    axes = session.rows("SELECT DISTINCT pareto_axes FROM v1.frontier")
    assert choice["minimum_viable_quant"] == "Q4_K_M@low"
    # The sizes of the weights alone would call the two levels equal.
    assert axes == [{"pareto_axes": ["adherence", "latency"]}]


@together
def test_the_frontier_compares_weights_with_their_cache():
    sweep = ladder(
        F16=level("F16", "f16", 16_000, 1024, 62_500_000),
        Q4_K_M=level("Q4_K_M", "f16", 16_000, 1024, 62_500_000),
        Q4_K_M__low=level("Q4_K_M", "q4_0", 4_500, 1024, 17_578_125),
    ).fill(peak_server_rss_bytes=None)
    rows = yield from read(
        sweep,
        "SELECT quant_tag, pareto_axes[3] AS axis, is_pareto_optimal AS best "
        "FROM v1.frontier ORDER BY quant_tag",
    )
    # All answer alike and equally fast: the least memory stands alone.
    assert [tuple(row.values()) for row in rows] == [
        ("F16", "planned_memory", False),
        ("Q4_K_M", "planned_memory", False),
        ("Q4_K_M@low", "planned_memory", True),
    ]


@together
def test_without_levels_nothing_is_ranked_by_memory():
    rows = yield from read(Sweep().fill(), "SELECT * FROM v1.quant")
    assert all(row["size_rank"] == row["quant_rank"] for row in rows)
    assert not any(row["has_levels"] for row in rows)


@together
def test_another_cache_than_asked_for_is_not_honoured():
    asked = Controls(**{**_plain(CONTROLS), "kv_cache": "q8_0"})
    other = Controls(**{**_plain(VERIFIED), "kv_cache": "f16"})
    same = Controls(**{**_plain(VERIFIED), "kv_cache": "q8_0"})
    sweep = Sweep(quants=("F16",), tasks=("t1", "t2", "t3"))
    sweep.add("F16", "t1", requested=asked, effective=same)
    sweep.add("F16", "t2", requested=asked, effective=other)
    sweep.add("F16", "t3", requested=asked)
    rows = yield from read(
        sweep,
        "SELECT test_id, run_quality_reasons, advisories FROM v1.runs ORDER BY test_id",
    )
    assert [row["run_quality_reasons"] for row in rows] == [
        [],
        ["CONTROL_NOT_HONOURED"],
        [],
    ]
    noted = ["KV_CACHE_UNVERIFIED" in row["advisories"] for row in rows]
    assert noted == [False, False, True]


def test_a_quant_at_another_level_is_no_baseline(tmp_path):
    stored = Sweep(sweep_id="before", quants=("Q4_K_M",)).fill().finish()
    warehouse = stored.store(tmp_path / "warehouse")
    assert baselines.append_from_sweep(warehouse, "before").stored
    later = ladder(Q4_K_M__low=level("Q4_K_M", "q8_0", 8_500, 1024, 1000))
    later.started_at = stored.started_at.replace(year=2027, month=1)
    later.fill().finish().store(tmp_path / "warehouse")
    with warehouse.session(later.sweep_id) as session:
        rows = session.rows(
            "SELECT DISTINCT chosen, dropped_by FROM v1.baseline_candidate"
        )
    assert rows == [{"chosen": False, "dropped_by": "QUANT_MISMATCH"}]


def _plain(controls: Controls) -> dict[str, Any]:
    return {name: getattr(controls, name) for name in Controls.__struct_fields__}

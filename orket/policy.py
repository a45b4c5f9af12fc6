"""The thresholds: each is declared once, with its key, unit, bounds, group and words.

A preset says `latency_ceiling_seconds = 2.5`; `Policy` keeps nanoseconds, so that views
compare exact integers. Conversion goes through Decimal: 0.1 is exactly 100000 ppm. The
keys of presets, the raw columns, the comments of `v1.policy`, the summary's groups and
the tables in docs/ all derive from the declarations here.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from orket.errors import UsageError
from orket.limits import is_plain
from orket.row_types import Count, Duration, Name, Record, Size, about

INCLUDE_POLLUTED = ("never", "fill", "always")
UTILITY_FORMULAS = ("adherence_per_second",)
EVIDENCE_RULES = ("count", "bet")

FIRST_SUMMARY = "1.0"

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Unit:
    """How a threshold is kept, and how many of these make one as people write it."""

    kept: str
    scale: Decimal | None = ONE
    """None for a value that is taken as it stands: a truth or a word."""
    shown_divisor: int | None = None
    """What makes a plain decimal of it for the summary; None: as it is kept."""
    shown_digits: int = 6

    @property
    def is_time(self) -> bool:
        """Whether it is a duration, which the summary shows in seconds."""
        return self.kept in ("ns", "us")


RATIO = Unit("ppm", Decimal(10**6), 10**6)
SECONDS = Unit("ns", Decimal(10**9), 10**9)
NANOSECONDS = Unit("ns", ONE, 10**9, 9)
MILLISECONDS = Unit("ns", Decimal(10**6), 10**9)
DAYS = Unit("us", Decimal(86_400 * 10**6), 10**6)
THOUSANDTHS = Unit("1/1000", Decimal(1000), 1000, 3)
NATS = Unit("1e-9 nats", Decimal(10**9), 10**9)
COUNT = Unit("count")
TOKENS = Unit("tokens")
BYTES = Unit("bytes")
BYTES_PER_SECOND = Unit("bytes/s")
PER_SECOND = Unit("1/s")
BITMASK = Unit("bitmask")
WORD = TRUTH = Unit("", None)


class Group(Enum):
    """What a threshold belongs to: its name in the summary, and what it is about."""

    THRESHOLDS = "thresholds", "What makes a quant eligible and a comparison count"
    RUN_QUALITY = "run_quality_policy", "When a run counts as polluted"
    CANARY = "canary_policy", "What the canary gate demands"
    ANALYSIS = "analysis", "What is flagged, and how sure is sure"
    OBJECTIVES = "slo", "Service level objectives"

    def __init__(self, key: str, words: str) -> None:
        self.key = key
        self.words = words


SHOWN_GROUPS = (Group.THRESHOLDS, Group.RUN_QUALITY, Group.CANARY)
"""Groups that stand in the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What is declared of one threshold."""

    key: str
    """Its name in a preset."""
    unit: Unit
    group: Group
    meaning: str
    shown: str | None
    """Its name in the summary's group; None where it is not shown there."""
    words: tuple[str, ...] = ()
    """The closed list that a word is from."""
    is_share: bool = False
    """Of a whole: 1 at most."""
    is_positive: bool = False
    """0 would leave nothing."""
    since: str = FIRST_SUMMARY
    """The version of the summary that shows it first."""
    field: str = ""
    """Its column in `Policy`."""


def _threshold(
    key: str,
    unit: Unit,
    group: Group,
    meaning: str,
    *,
    shown: str | None = "",
    words: tuple[str, ...] = (),
    is_share: bool = False,
    is_positive: bool = False,
    since: str = FIRST_SUMMARY,
) -> Meta:
    declared = Threshold(
        key=key,
        unit=unit,
        group=group,
        meaning=meaning,
        shown=key if shown == "" and group in SHOWN_GROUPS else shown or None,
        words=words,
        is_share=is_share,
        is_positive=is_positive,
        since=since,
    )
    column = about(meaning, unit.kept)
    return Meta(
        description=column.description,
        extra={**(column.extra or {}), "threshold": declared},
    )


class Policy(Record, frozen=True, kw_only=True):
    """Every threshold a view compares with. Ratios in parts per million.

    The values here are the defaults; a preset or a control profile sets others, and
    the manifest keeps those in force, so that an old sweep keeps its own policy.
    """

    adherence_threshold_ppm: Annotated[
        Count,
        _threshold(
            "adherence_threshold",
            RATIO,
            Group.THRESHOLDS,
            "Share of the reference's adherence that a quant must keep",
            is_share=True,
        ),
    ] = 950_000
    latency_ceiling_ns: Annotated[
        Duration,
        _threshold(
            "latency_ceiling_seconds",
            SECONDS,
            Group.THRESHOLDS,
            "Highest mean wall time of a run",
            shown="latency_ceiling",
            is_positive=True,
        ),
    ] = 10_000_000_000
    min_valid_runs: Annotated[
        Count,
        _threshold(
            "min_valid_runs",
            COUNT,
            Group.THRESHOLDS,
            "Valid runs that every task needs",
        ),
    ] = 1
    include_polluted: Annotated[
        Name,
        _threshold(
            "include_polluted",
            WORD,
            Group.RUN_QUALITY,
            "Whether polluted runs may count: never, fill or always",
            words=INCLUDE_POLLUTED,
        ),
    ] = "never"
    allow_unobserved: Annotated[
        bool,
        _threshold(
            "allow_unobserved",
            TRUTH,
            Group.RUN_QUALITY,
            "An unobserved environment is only an advisory",
        ),
    ] = False
    quality_only: Annotated[
        bool,
        _threshold(
            "quality_only",
            TRUTH,
            Group.RUN_QUALITY,
            "Answers alone are judged: load excludes no run, and no time counts",
            since="1.1",
        ),
    ] = False
    utility_formula: Annotated[
        Name,
        _threshold(
            "utility_formula",
            WORD,
            Group.THRESHOLDS,
            "Utility of a quant, from a closed list",
            words=UTILITY_FORMULAS,
        ),
    ] = "adherence_per_second"
    max_load_ns: Annotated[
        Duration,
        _threshold(
            "max_load_seconds",
            SECONDS,
            Group.RUN_QUALITY,
            "Model load allowed inside a timed run",
        ),
    ] = 500_000_000
    max_foreign_cpu_ppm: Annotated[
        Count,
        _threshold(
            "max_foreign_cpu_share",
            RATIO,
            Group.RUN_QUALITY,
            "Share of the machine that other processes may use",
        ),
    ] = 100_000
    max_foreign_cpu_gpu_ppm: Annotated[
        Count,
        _threshold(
            "max_foreign_cpu_share_gpu",
            RATIO,
            Group.RUN_QUALITY,
            "The same where the model lies on a GPU; in proportion where a part of it "
            "does",
            since="1.1",
        ),
    ] = 500_000
    foreign_cpu_excess_ns: Annotated[
        Duration,
        _threshold(
            "foreign_cpu_excess_ms",
            MILLISECONDS,
            Group.RUN_QUALITY,
            "Excess CPU time that a short window needs as well",
            shown="foreign_cpu_excess_seconds",
        ),
    ] = 50_000_000
    counter_window_ns: Annotated[
        Duration,
        _threshold(
            "counter_window_seconds",
            SECONDS,
            Group.RUN_QUALITY,
            "Shortest window over which CPU clocks are read",
        ),
    ] = 500_000_000
    max_steal_ppm: Annotated[
        Count,
        _threshold(
            "max_steal_share",
            RATIO,
            Group.RUN_QUALITY,
            "Share of CPU time a hypervisor may take",
        ),
    ] = 20_000
    max_load_per_cpu_milli: Annotated[
        Count,
        _threshold(
            "max_load_per_cpu",
            THOUSANDTHS,
            Group.RUN_QUALITY,
            "Load average per logical CPU before the first call",
        ),
    ] = 1_000
    max_quota_throttle_ppm: Annotated[
        Count,
        _threshold(
            "max_quota_throttle_share",
            RATIO,
            Group.RUN_QUALITY,
            "Share of the window a CPU quota may hold the server back",
        ),
    ] = 50_000
    max_thermal_throttle_ppm: Annotated[
        Count,
        _threshold(
            "max_thermal_throttle_share",
            RATIO,
            Group.RUN_QUALITY,
            "Share of the window throttled for heat",
        ),
    ] = 50_000
    max_swap_bytes_per_second: Annotated[
        Size,
        _threshold(
            "max_swap_bytes_per_second",
            BYTES_PER_SECOND,
            Group.RUN_QUALITY,
            "Swap traffic",
        ),
    ] = 1_048_576
    max_overhead_ppm: Annotated[
        Count,
        _threshold(
            "max_overhead_ratio",
            RATIO,
            Group.RUN_QUALITY,
            "Unexplained share of the wall time",
        ),
    ] = 250_000
    overhead_floor_ns: Annotated[
        Duration,
        _threshold(
            "overhead_floor_seconds",
            SECONDS,
            Group.RUN_QUALITY,
            "Unexplained time that is always allowed",
        ),
    ] = 100_000_000
    clock_slack_ns: Annotated[
        Duration,
        _threshold(
            "clock_slack_ms",
            MILLISECONDS,
            Group.RUN_QUALITY,
            "Internal time may exceed the wall time by this",
            shown="clock_slack_seconds",
        ),
    ] = 2_000_000
    clock_slack_ppm: Annotated[
        Count,
        _threshold(
            "clock_slack_share", RATIO, Group.RUN_QUALITY, "... or by this share of it"
        ),
    ] = 10_000
    decode_lag_ns: Annotated[
        Duration,
        _threshold(
            "decode_lag_ms",
            MILLISECONDS,
            Group.RUN_QUALITY,
            "The client's first to last token may exceed the decode time by this",
            shown="decode_lag_seconds",
            since="1.1",
        ),
    ] = 20_000_000
    decode_lag_ppm: Annotated[
        Count,
        _threshold(
            "decode_lag_share",
            RATIO,
            Group.RUN_QUALITY,
            "... or by this share of it",
            since="1.1",
        ),
    ] = 100_000
    least_prefill_token_ns: Annotated[
        Duration,
        _threshold(
            "least_prefill_token_ns",
            NANOSECONDS,
            Group.RUN_QUALITY,
            "Prefill time of a token below which no machine is",
            shown="least_prefill_token_seconds",
            since="1.1",
        ),
    ] = 100
    least_decode_token_ns: Annotated[
        Duration,
        _threshold(
            "least_decode_token_ns",
            NANOSECONDS,
            Group.RUN_QUALITY,
            "Decode time of a token below which no machine is",
            shown="least_decode_token_seconds",
            since="1.1",
        ),
    ] = 10_000
    max_clock_jump_ns: Annotated[
        Duration,
        _threshold(
            "max_clock_jump_ms",
            MILLISECONDS,
            Group.RUN_QUALITY,
            "Wall clock against monotonic clock",
            shown="max_clock_jump_seconds",
        ),
    ] = 250_000_000
    max_cached_tokens: Annotated[
        Count,
        _threshold(
            "max_cached_tokens",
            TOKENS,
            Group.RUN_QUALITY,
            "Prompt tokens a template always finds cached",
        ),
    ] = 16
    max_cached_ppm: Annotated[
        Count,
        _threshold(
            "max_cached_share",
            RATIO,
            Group.RUN_QUALITY,
            "... or this share of the prompt",
        ),
    ] = 50_000
    stalled_ppm: Annotated[
        Count,
        _threshold(
            "stalled_share",
            RATIO,
            Group.RUN_QUALITY,
            "CPU share of the server below which it stood still",
        ),
    ] = 500_000
    stalled_median_ppm: Annotated[
        Count,
        _threshold(
            "stalled_median_share",
            RATIO,
            Group.RUN_QUALITY,
            "CPU share of the server, of its own median under this quant, below which "
            "it stood still",
            since="1.1",
        ),
    ] = 900_000
    stalled_advisory_ppm: Annotated[
        Count,
        _threshold(
            "stalled_advisory_share",
            RATIO,
            Group.RUN_QUALITY,
            "CPU share of the server below which it is worth a note",
        ),
    ] = 750_000
    max_memory_pressure_ppm: Annotated[
        Count,
        _threshold(
            "max_memory_pressure_share",
            RATIO,
            Group.RUN_QUALITY,
            "Share of the window stalled on memory",
        ),
    ] = 10_000
    max_major_faults_per_second: Annotated[
        Count,
        _threshold(
            "max_major_faults_per_second",
            PER_SECOND,
            Group.RUN_QUALITY,
            "Major page faults of the server",
        ),
    ] = 100
    max_gpu_foreign_bytes: Annotated[
        Size,
        _threshold(
            "max_gpu_foreign_bytes",
            BYTES,
            Group.RUN_QUALITY,
            "GPU memory of other processes",
        ),
    ] = 268_435_456
    gpu_throttle_mask: Annotated[
        Count,
        _threshold(
            "gpu_throttle_mask",
            BITMASK,
            Group.RUN_QUALITY,
            "NVML reasons that pollute: hw slowdown, sw and hw thermal, power brake",
            shown=None,
        ),
    ] = 0x08 | 0x20 | 0x40 | 0x80
    canary_repetitions: Annotated[
        Count,
        _threshold(
            "canary_repetitions",
            COUNT,
            Group.CANARY,
            "Canary runs",
            shown="repetitions",
        ),
    ] = 10
    canary_drop_first: Annotated[
        bool,
        _threshold(
            "canary_drop_first",
            TRUTH,
            Group.CANARY,
            "The first canary run is left out of the variation",
            shown="drop_first",
        ),
    ] = True
    canary_max_latency_cv_ppm: Annotated[
        Count,
        _threshold(
            "canary_max_latency_cv",
            RATIO,
            Group.CANARY,
            "Variation of the canary's time",
            shown="max_latency_cv",
        ),
    ] = 30_000
    canary_max_missing_ppm: Annotated[
        Count,
        _threshold(
            "canary_max_missing_rate",
            RATIO,
            Group.CANARY,
            "Share of canary runs without telemetry",
            shown="max_missing_rate",
            is_share=True,
        ),
    ] = 0
    anchor_max_drift_ppm: Annotated[
        Count,
        _threshold(
            "anchor_max_drift",
            RATIO,
            Group.CANARY,
            "Time of an anchor run against the canary's",
        ),
    ] = 100_000
    straggler_milli: Annotated[
        Count,
        _threshold(
            "straggler_ratio",
            THOUSANDTHS,
            Group.ANALYSIS,
            "Wall time of a run, of its cell's median, that is worth a note",
        ),
    ] = 1_500
    outlier_mad_milli: Annotated[
        Count,
        _threshold(
            "outlier_mads",
            THOUSANDTHS,
            Group.ANALYSIS,
            "Distance from the median in MADs",
        ),
    ] = 5_190
    outlier_min_runs: Annotated[
        Count,
        _threshold("outlier_min_runs", COUNT, Group.ANALYSIS, "Runs that this needs"),
    ] = 5
    p95_min_runs: Annotated[
        Count, _threshold("p95_min_runs", COUNT, Group.ANALYSIS, "Runs a p95 needs")
    ] = 20
    drift_chi2_milli: Annotated[
        Count,
        _threshold(
            "drift_chi2",
            THOUSANDTHS,
            Group.ANALYSIS,
            "Mann-Kendall S squared over its variance",
        ),
    ] = 6_630
    drift_min_ppm: Annotated[
        Count,
        _threshold(
            "drift_min_share",
            RATIO,
            Group.ANALYSIS,
            "Last repetition slower than the first by",
        ),
    ] = 30_000
    output_length_ppm: Annotated[
        Count,
        _threshold(
            "output_length_share",
            RATIO,
            Group.ANALYSIS,
            "Tokens differing from the reference's by",
        ),
    ] = 200_000
    rival_chi2_milli: Annotated[
        Count | None,
        about("In the policy of older sweeps; no view reads it any more", "1/1000"),
    ] = None
    rival_min_pairs: Annotated[
        Count,
        _threshold(
            "rival_min_pairs", COUNT, Group.ANALYSIS, "Pairs that a clear winner needs"
        ),
    ] = 10
    evidence_level_ppm: Annotated[
        Count,
        _threshold(
            "evidence_level",
            RATIO,
            Group.THRESHOLDS,
            "Chance of error that a claim may have",
            is_share=True,
            is_positive=True,
            since="1.1",
        ),
    ] = 10_000
    evidence_rule: Annotated[
        Name,
        _threshold(
            "evidence_rule",
            WORD,
            Group.THRESHOLDS,
            "What proves that a quant keeps the threshold: count, for a number of "
            "tasks fixed beforehand, or bet, which holds whenever one looks",
            words=EVIDENCE_RULES,
            since="1.1",
        ),
    ] = "count"
    family_correlation_ppm: Annotated[
        Count,
        _threshold(
            "family_correlation",
            RATIO,
            Group.THRESHOLDS,
            "Correlation of the losses of two tasks of one family, for which a proof "
            "allows; 0: each task fails by itself, 1: a family is one task",
            is_share=True,
            since="1.1",
        ),
    ] = 100_000
    min_pair_ppm: Annotated[
        Count,
        _threshold(
            "min_pair_share",
            RATIO,
            Group.THRESHOLDS,
            "Share of the tasks that a quant and the reference must both have",
            is_share=True,
            is_positive=True,
            since="1.1",
        ),
    ] = 950_000
    min_reference_ppm: Annotated[
        Count,
        _threshold(
            "min_reference_share",
            RATIO,
            Group.ANALYSIS,
            "Share of the tasks that a reference worth the name passes",
            is_share=True,
        ),
    ] = 500_000
    chance_ppm: Annotated[
        Count,
        _threshold(
            "chance_share",
            RATIO,
            Group.ANALYSIS,
            "Share of the tasks that mere guessing passes",
            is_share=True,
        ),
    ] = 0
    max_claimed_cv_ppm: Annotated[
        Count,
        _threshold(
            "max_claimed_cv",
            RATIO,
            Group.ANALYSIS,
            "Variation of the canary beyond which nothing is said of speed",
        ),
    ] = 500_000
    fidelity_min_prompts: Annotated[
        Count,
        _threshold(
            "fidelity_min_prompts", COUNT, Group.ANALYSIS, "Prompts that fidelity needs"
        ),
    ] = 8
    fidelity_max_broken_ppm: Annotated[
        Count,
        _threshold(
            "fidelity_max_broken",
            RATIO,
            Group.ANALYSIS,
            "Share of its prompts that may lack figures",
            is_share=True,
        ),
    ] = 50_000
    fidelity_self_same_top_ppm: Annotated[
        Count,
        _threshold(
            "fidelity_self_same_top",
            RATIO,
            Group.ANALYSIS,
            "Places in which the reference must say the same twice",
            is_share=True,
        ),
    ] = 990_000
    fidelity_self_kld_nnats: Annotated[
        Count,
        _threshold(
            "fidelity_self_kld",
            NATS,
            Group.ANALYSIS,
            "KL divergence that it may have from itself",
        ),
    ] = 1_000_000
    fidelity_floor_factor: Annotated[
        Count,
        _threshold(
            "fidelity_floor_factor",
            COUNT,
            Group.ANALYSIS,
            "Times that divergence within which a quant's is noise",
        ),
    ] = 10
    fidelity_start_ppm: Annotated[
        Count,
        _threshold(
            "fidelity_start",
            RATIO,
            Group.ANALYSIS,
            "Share of places in which the quant that is first to be proven may differ",
            is_share=True,
        ),
    ] = 2_000
    confidence_z_milli: Annotated[
        Count,
        _threshold(
            "confidence_z", THOUSANDTHS, Group.ANALYSIS, "z of the 95 % Wilson interval"
        ),
    ] = 1_960
    baseline_max_age_us: Annotated[
        Duration,
        _threshold(
            "baseline_max_age_days",
            DAYS,
            Group.THRESHOLDS,
            "Age at which a stored baseline is stale",
            shown="baseline_max_age_seconds",
        ),
    ] = 90 * 86_400_000_000
    compare_rel_floor_ppm: Annotated[
        Count,
        _threshold(
            "compare_rel_floor",
            RATIO,
            Group.THRESHOLDS,
            "Smallest relative change that counts",
        ),
    ] = 50_000
    compare_abs_floor_ns: Annotated[
        Duration,
        _threshold(
            "compare_abs_floor_ms",
            MILLISECONDS,
            Group.THRESHOLDS,
            "Smallest absolute change of latency that counts",
            shown="compare_abs_floor_seconds",
        ),
    ] = 50_000_000
    compare_noise_milli: Annotated[
        Count,
        _threshold(
            "compare_noise",
            THOUSANDTHS,
            Group.THRESHOLDS,
            "Smallest change that counts, in joint scaled MADs",
        ),
    ] = 3_000
    compare_min_runs: Annotated[
        Count,
        _threshold(
            "compare_min_runs",
            COUNT,
            Group.THRESHOLDS,
            "Runs that a comparison needs on each side",
        ),
    ] = 5
    slo_missing_telemetry_ppm: Annotated[
        Count,
        _threshold(
            "slo_missing_telemetry",
            RATIO,
            Group.OBJECTIVES,
            "Missing telemetry must stay below",
            is_share=True,
        ),
    ] = 10_000
    slo_determinism_ppm: Annotated[
        Count,
        _threshold(
            "slo_determinism",
            RATIO,
            Group.OBJECTIVES,
            "Determinism must reach",
            is_share=True,
        ),
    ] = 1_000_000
    slo_polluted_ppm: Annotated[
        Count,
        _threshold(
            "slo_polluted",
            RATIO,
            Group.OBJECTIVES,
            "Polluted runs must stay below",
            is_share=True,
        ),
    ] = 100_000
    slo_frontier_ppm: Annotated[
        Count,
        _threshold(
            "slo_frontier",
            RATIO,
            Group.OBJECTIVES,
            "Sessions with a recommendation must reach",
            is_share=True,
        ),
    ] = 800_000


def declared_thresholds(policy: type[Policy] = Policy) -> dict[str, Threshold]:
    """Every threshold a preset or a control profile may set, by its name there."""
    found: dict[str, Threshold] = {}
    for field, hint in typing.get_type_hints(policy, include_extras=True).items():
        declared = next(
            (
                item.extra["threshold"]
                for item in getattr(hint, "__metadata__", ())
                if isinstance(item, Meta) and item.extra and "threshold" in item.extra
            ),
            None,
        )
        if declared is None:
            continue  # A column that older rows have.
        if declared.key in found:
            raise ValueError(f"two thresholds have the key {declared.key}")
        found[declared.key] = replace(declared, field=field)
    return found


POLICY_KEYS = declared_thresholds()


def shown_thresholds(group: Group) -> list[Threshold]:
    """The thresholds that the summary shows in a group, in their order there."""
    return [
        entry for entry in POLICY_KEYS.values() if entry.group is group and entry.shown
    ]


def policy_value(key: str, value: object) -> int | str | bool:
    """The value of `Policy` for one threshold as people write it.

    Raises UsageError when the value does not fit the key or is not exact.
    """
    entry = POLICY_KEYS[key]
    if entry.words:
        if value not in entry.words:
            raise UsageError(f"{key} is {value!r}", "one of " + ", ".join(entry.words))
        return str(value)
    if entry.unit.scale is None:
        if not isinstance(value, bool):
            raise UsageError(f"{key} is {value!r}", "write true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise UsageError(f"{key} is {value!r}", "write a number")
    return _scaled(key, entry, Decimal(value))


def _scaled(key: str, entry: Threshold, number: Decimal) -> int:
    """A number in whole units of its column. Raises UsageError."""
    scale = entry.unit.scale
    assert scale is not None
    if not number.is_finite() or number < 0:
        raise UsageError(f"{key} is {number}", "write a number of 0 or more")
    is_odd, is_part = not is_plain(number), number < 1
    if not is_part and (is_odd or number * scale > _most(entry.field)):
        most = Decimal(_most(entry.field)) / scale
        raise UsageError(f"{key} is {number:.6g}", f"write a number up to {most:f}")
    scaled = number * scale
    if entry.is_share and number > 1:
        raise UsageError(f"{number} is no ratio", _say_ratio(number))
    if entry.is_positive and not number:
        raise UsageError(f"{number} lets nothing pass", "write a number above 0")
    if is_odd or scaled != scaled.to_integral_value():
        raise UsageError(f"{key} is {number}", f"its finest step is {1 / scale:f}")
    return int(scaled)


@cache
def _most(field: str) -> int:
    """The largest value of a threshold that a row takes."""
    # Few commands set a threshold, and each would load it.
    from msgspec.inspect import Metadata, StructType, UnionType, type_info

    info = type_info(Policy)
    assert isinstance(info, StructType)
    (kind,) = (one.type for one in info.fields if one.name == field)
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    bare = [one.type if isinstance(one, Metadata) else one for one in kinds]
    return max(int(getattr(one, "le", None) or 0) for one in bare)


def find_fault(policy: Policy) -> tuple[str, str] | None:
    """Column and reason of a threshold that no preset could have set."""
    for entry in POLICY_KEYS.values():
        value = getattr(policy, entry.field)
        if entry.words and value not in entry.words:
            return entry.field, f"not one of {', '.join(entry.words)}"
        if entry.is_positive and value == 0:
            return entry.field, "0 lets nothing pass"
        if entry.is_share and entry.unit.scale and value > entry.unit.scale:
            return entry.field, "more than the whole"
    return None


def _say_ratio(value: Decimal) -> str:
    if value > 100:
        return "write a number from 0 to 1"
    return f"for {value.normalize():f} % give {(value / 100).normalize():f}"


def build_policy(*layers: Mapping[str, object]) -> Policy:
    """The policy in force: the defaults, then each layer over the one before."""
    fields: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            fields[POLICY_KEYS[key].field] = policy_value(key, value)
    return Policy(**fields)


def human_value(key: str, policy: Policy) -> Decimal | str | bool:
    """One threshold of a policy in the units people write."""
    entry = POLICY_KEYS[key]
    value = getattr(policy, entry.field)
    if entry.unit.scale is None or isinstance(value, (str, bool)):
        return value  # type: ignore[no-any-return]
    plain = Decimal(value) / entry.unit.scale
    return plain.quantize(ONE) if plain == plain.to_integral_value() else plain


def changed_policy(policy: Policy) -> dict[str, tuple[Any, Any]]:
    """Thresholds that differ from the default: key -> (value in force, default)."""
    default = Policy()
    return {
        key: (human_value(key, policy), human_value(key, default))
        for key, entry in POLICY_KEYS.items()
        if getattr(policy, entry.field) != getattr(default, entry.field)
    }


def policy_facts(policy: Policy) -> dict[str, Any]:
    """A policy as plain values, for hashing."""
    facts: dict[str, Any] = msgspec.to_builtins(policy)
    return facts

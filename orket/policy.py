"""Thresholds in the units people write, and the exact integers that views compare.

A preset says `latency_ceiling_seconds = 2.5`; `records.Policy` keeps nanoseconds.
Conversion goes through Decimal, so that 0.1 is exactly 100000 ppm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from orket.errors import UsageError
from orket.records import Policy

RATIO = Decimal(10**6)
SECONDS = Decimal(10**9)
MILLISECONDS = Decimal(10**6)
THOUSANDTHS = Decimal(1000)
DAYS = Decimal(86_400 * 10**6)
ONE = Decimal(1)

INCLUDE_POLLUTED = ("never", "fill", "always")
UTILITY_FORMULAS = ("adherence_per_second",)


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """One threshold: its field in `Policy`, and how many of its units make one."""

    field: str
    scale: Decimal | None = None
    """None for a value that is taken as it stands: a truth or a word."""
    words: tuple[str, ...] = ()
    is_share: bool = False
    """Of a whole: 1 at most."""
    is_positive: bool = False
    """0 would leave nothing."""


POLICY_KEYS: dict[str, PolicyKey] = {
    "adherence_threshold": PolicyKey("adherence_threshold_ppm", RATIO, is_share=True),
    "latency_ceiling_seconds": PolicyKey(
        "latency_ceiling_ns", SECONDS, is_positive=True
    ),
    "min_valid_runs": PolicyKey("min_valid_runs", ONE),
    "include_polluted": PolicyKey("include_polluted", words=INCLUDE_POLLUTED),
    "allow_unobserved": PolicyKey("allow_unobserved"),
    "utility_formula": PolicyKey("utility_formula", words=UTILITY_FORMULAS),
    "max_load_seconds": PolicyKey("max_load_ns", SECONDS),
    "max_foreign_cpu_share": PolicyKey("max_foreign_cpu_ppm", RATIO),
    "foreign_cpu_excess_ms": PolicyKey("foreign_cpu_excess_ns", MILLISECONDS),
    "counter_window_seconds": PolicyKey("counter_window_ns", SECONDS),
    "max_steal_share": PolicyKey("max_steal_ppm", RATIO),
    "max_load_per_cpu": PolicyKey("max_load_per_cpu_milli", THOUSANDTHS),
    "max_quota_throttle_share": PolicyKey("max_quota_throttle_ppm", RATIO),
    "max_thermal_throttle_share": PolicyKey("max_thermal_throttle_ppm", RATIO),
    "max_swap_bytes_per_second": PolicyKey("max_swap_bytes_per_second", ONE),
    "max_overhead_ratio": PolicyKey("max_overhead_ppm", RATIO),
    "overhead_floor_seconds": PolicyKey("overhead_floor_ns", SECONDS),
    "clock_slack_ms": PolicyKey("clock_slack_ns", MILLISECONDS),
    "clock_slack_share": PolicyKey("clock_slack_ppm", RATIO),
    "max_clock_jump_ms": PolicyKey("max_clock_jump_ns", MILLISECONDS),
    "max_cached_tokens": PolicyKey("max_cached_tokens", ONE),
    "max_cached_share": PolicyKey("max_cached_ppm", RATIO),
    "stalled_share": PolicyKey("stalled_ppm", RATIO),
    "stalled_advisory_share": PolicyKey("stalled_advisory_ppm", RATIO),
    "max_memory_pressure_share": PolicyKey("max_memory_pressure_ppm", RATIO),
    "max_major_faults_per_second": PolicyKey("max_major_faults_per_second", ONE),
    "max_gpu_foreign_bytes": PolicyKey("max_gpu_foreign_bytes", ONE),
    "gpu_throttle_mask": PolicyKey("gpu_throttle_mask", ONE),
    "canary_repetitions": PolicyKey("canary_repetitions", ONE),
    "canary_drop_first": PolicyKey("canary_drop_first"),
    "canary_max_latency_cv": PolicyKey("canary_max_latency_cv_ppm", RATIO),
    "canary_max_missing_rate": PolicyKey(
        "canary_max_missing_ppm", RATIO, is_share=True
    ),
    "anchor_max_drift": PolicyKey("anchor_max_drift_ppm", RATIO),
    "outlier_mads": PolicyKey("outlier_mad_milli", THOUSANDTHS),
    "outlier_min_runs": PolicyKey("outlier_min_runs", ONE),
    "p95_min_runs": PolicyKey("p95_min_runs", ONE),
    "drift_chi2": PolicyKey("drift_chi2_milli", THOUSANDTHS),
    "drift_min_share": PolicyKey("drift_min_ppm", RATIO),
    "output_length_share": PolicyKey("output_length_ppm", RATIO),
    "rival_chi2": PolicyKey("rival_chi2_milli", THOUSANDTHS),
    "rival_min_pairs": PolicyKey("rival_min_pairs", ONE),
    "confidence_z": PolicyKey("confidence_z_milli", THOUSANDTHS),
    "baseline_max_age_days": PolicyKey("baseline_max_age_us", DAYS),
    "compare_rel_floor": PolicyKey("compare_rel_floor_ppm", RATIO),
    "compare_abs_floor_ms": PolicyKey("compare_abs_floor_ns", MILLISECONDS),
    "compare_noise": PolicyKey("compare_noise_milli", THOUSANDTHS),
    "compare_min_runs": PolicyKey("compare_min_runs", ONE),
    "slo_missing_telemetry": PolicyKey(
        "slo_missing_telemetry_ppm", RATIO, is_share=True
    ),
    "slo_determinism": PolicyKey("slo_determinism_ppm", RATIO, is_share=True),
    "slo_polluted": PolicyKey("slo_polluted_ppm", RATIO, is_share=True),
    "slo_frontier": PolicyKey("slo_frontier_ppm", RATIO, is_share=True),
}
"""Every threshold a preset or a control profile may set, by the name it has there."""


def policy_value(key: str, value: object) -> int | str | bool:
    """The value of `Policy` for one threshold as people write it.

    Raises UsageError when the value does not fit the key or is not exact.
    """
    entry = POLICY_KEYS[key]
    if entry.words:
        if value not in entry.words:
            raise UsageError(f"{key} is {value!r}", "one of " + ", ".join(entry.words))
        return str(value)
    if entry.scale is None:
        if not isinstance(value, bool):
            raise UsageError(f"{key} is {value!r}", "write true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise UsageError(f"{key} is {value!r}", "write a number")
    scaled = Decimal(value) * entry.scale
    if not scaled.is_finite() or scaled < 0:
        raise UsageError(f"{key} is {value}", "write a number of 0 or more")
    if entry.is_share and value > 1:
        raise UsageError(f"{value} is no ratio", _say_ratio(Decimal(value)))
    if entry.is_positive and not value:
        raise UsageError(f"{value} lets nothing pass", "write a number above 0")
    if scaled != scaled.to_integral_value():
        raise UsageError(f"{key} is {value}", f"its finest step is {1 / entry.scale:f}")
    return int(scaled)


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
    if entry.scale is None or isinstance(value, (str, bool)):
        return value  # type: ignore[no-any-return]
    plain = Decimal(value) / entry.scale
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

-- Grain: sweep x model.
-- Inputs: v1.manifest, raw.policy_override (a what-if, usually NULL), raw.policy_default.
-- Rules: a sweep is judged by the policy in its own manifest; a what-if wins over it; a
-- value that an older manifest does not have is the default of today.

CREATE VIEW v1.policy AS
SELECT
    manifest.sweep_id,
    model.entry.model_id AS model_id,
    coalesce(
        what_if.adherence_threshold_ppm, model.entry.policy.adherence_threshold_ppm, fallback.adherence_threshold_ppm
    ) AS adherence_threshold_ppm,
    coalesce(
        what_if.latency_ceiling_ns, model.entry.policy.latency_ceiling_ns, fallback.latency_ceiling_ns
    ) AS latency_ceiling_ns,
    coalesce(
        what_if.min_valid_runs, model.entry.policy.min_valid_runs, fallback.min_valid_runs
    ) AS min_valid_runs,
    coalesce(
        what_if.include_polluted, model.entry.policy.include_polluted, fallback.include_polluted
    ) AS include_polluted,
    coalesce(
        what_if.allow_unobserved, model.entry.policy.allow_unobserved, fallback.allow_unobserved
    ) AS allow_unobserved,
    coalesce(
        what_if.utility_formula, model.entry.policy.utility_formula, fallback.utility_formula
    ) AS utility_formula,
    coalesce(
        what_if.max_load_ns, model.entry.policy.max_load_ns, fallback.max_load_ns
    ) AS max_load_ns,
    coalesce(
        what_if.max_foreign_cpu_ppm, model.entry.policy.max_foreign_cpu_ppm, fallback.max_foreign_cpu_ppm
    ) AS max_foreign_cpu_ppm,
    coalesce(
        what_if.foreign_cpu_excess_ns, model.entry.policy.foreign_cpu_excess_ns, fallback.foreign_cpu_excess_ns
    ) AS foreign_cpu_excess_ns,
    coalesce(
        what_if.counter_window_ns, model.entry.policy.counter_window_ns, fallback.counter_window_ns
    ) AS counter_window_ns,
    coalesce(
        what_if.max_steal_ppm, model.entry.policy.max_steal_ppm, fallback.max_steal_ppm
    ) AS max_steal_ppm,
    coalesce(
        what_if.max_load_per_cpu_milli, model.entry.policy.max_load_per_cpu_milli, fallback.max_load_per_cpu_milli
    ) AS max_load_per_cpu_milli,
    coalesce(
        what_if.max_quota_throttle_ppm, model.entry.policy.max_quota_throttle_ppm, fallback.max_quota_throttle_ppm
    ) AS max_quota_throttle_ppm,
    coalesce(
        what_if.max_thermal_throttle_ppm, model.entry.policy.max_thermal_throttle_ppm, fallback.max_thermal_throttle_ppm
    ) AS max_thermal_throttle_ppm,
    coalesce(
        what_if.max_swap_bytes_per_second, model.entry.policy.max_swap_bytes_per_second, fallback.max_swap_bytes_per_second
    ) AS max_swap_bytes_per_second,
    coalesce(
        what_if.max_overhead_ppm, model.entry.policy.max_overhead_ppm, fallback.max_overhead_ppm
    ) AS max_overhead_ppm,
    coalesce(
        what_if.overhead_floor_ns, model.entry.policy.overhead_floor_ns, fallback.overhead_floor_ns
    ) AS overhead_floor_ns,
    coalesce(
        what_if.clock_slack_ns, model.entry.policy.clock_slack_ns, fallback.clock_slack_ns
    ) AS clock_slack_ns,
    coalesce(
        what_if.clock_slack_ppm, model.entry.policy.clock_slack_ppm, fallback.clock_slack_ppm
    ) AS clock_slack_ppm,
    coalesce(
        what_if.max_clock_jump_ns, model.entry.policy.max_clock_jump_ns, fallback.max_clock_jump_ns
    ) AS max_clock_jump_ns,
    coalesce(
        what_if.max_cached_tokens, model.entry.policy.max_cached_tokens, fallback.max_cached_tokens
    ) AS max_cached_tokens,
    coalesce(
        what_if.max_cached_ppm, model.entry.policy.max_cached_ppm, fallback.max_cached_ppm
    ) AS max_cached_ppm,
    coalesce(
        what_if.stalled_ppm, model.entry.policy.stalled_ppm, fallback.stalled_ppm
    ) AS stalled_ppm,
    coalesce(
        what_if.stalled_advisory_ppm, model.entry.policy.stalled_advisory_ppm, fallback.stalled_advisory_ppm
    ) AS stalled_advisory_ppm,
    coalesce(
        what_if.max_memory_pressure_ppm, model.entry.policy.max_memory_pressure_ppm, fallback.max_memory_pressure_ppm
    ) AS max_memory_pressure_ppm,
    coalesce(
        what_if.max_major_faults_per_second, model.entry.policy.max_major_faults_per_second, fallback.max_major_faults_per_second
    ) AS max_major_faults_per_second,
    coalesce(
        what_if.max_gpu_foreign_bytes, model.entry.policy.max_gpu_foreign_bytes, fallback.max_gpu_foreign_bytes
    ) AS max_gpu_foreign_bytes,
    coalesce(
        what_if.gpu_throttle_mask, model.entry.policy.gpu_throttle_mask, fallback.gpu_throttle_mask
    ) AS gpu_throttle_mask,
    coalesce(
        what_if.canary_repetitions, model.entry.policy.canary_repetitions, fallback.canary_repetitions
    ) AS canary_repetitions,
    coalesce(
        what_if.canary_drop_first, model.entry.policy.canary_drop_first, fallback.canary_drop_first
    ) AS canary_drop_first,
    coalesce(
        what_if.canary_max_latency_cv_ppm, model.entry.policy.canary_max_latency_cv_ppm, fallback.canary_max_latency_cv_ppm
    ) AS canary_max_latency_cv_ppm,
    coalesce(
        what_if.canary_max_missing_ppm, model.entry.policy.canary_max_missing_ppm, fallback.canary_max_missing_ppm
    ) AS canary_max_missing_ppm,
    coalesce(
        what_if.anchor_max_drift_ppm, model.entry.policy.anchor_max_drift_ppm, fallback.anchor_max_drift_ppm
    ) AS anchor_max_drift_ppm,
    coalesce(
        what_if.outlier_mad_milli, model.entry.policy.outlier_mad_milli, fallback.outlier_mad_milli
    ) AS outlier_mad_milli,
    coalesce(
        what_if.outlier_min_runs, model.entry.policy.outlier_min_runs, fallback.outlier_min_runs
    ) AS outlier_min_runs,
    coalesce(
        what_if.p95_min_runs, model.entry.policy.p95_min_runs, fallback.p95_min_runs
    ) AS p95_min_runs,
    coalesce(
        what_if.drift_chi2_milli, model.entry.policy.drift_chi2_milli, fallback.drift_chi2_milli
    ) AS drift_chi2_milli,
    coalesce(
        what_if.drift_min_ppm, model.entry.policy.drift_min_ppm, fallback.drift_min_ppm
    ) AS drift_min_ppm,
    coalesce(
        what_if.output_length_ppm, model.entry.policy.output_length_ppm, fallback.output_length_ppm
    ) AS output_length_ppm,
    coalesce(
        what_if.rival_chi2_milli, model.entry.policy.rival_chi2_milli, fallback.rival_chi2_milli
    ) AS rival_chi2_milli,
    coalesce(
        what_if.rival_min_pairs, model.entry.policy.rival_min_pairs, fallback.rival_min_pairs
    ) AS rival_min_pairs,
    coalesce(
        what_if.confidence_z_milli, model.entry.policy.confidence_z_milli, fallback.confidence_z_milli
    ) AS confidence_z_milli,
    coalesce(
        what_if.baseline_max_age_us, model.entry.policy.baseline_max_age_us, fallback.baseline_max_age_us
    ) AS baseline_max_age_us,
    coalesce(
        what_if.compare_rel_floor_ppm, model.entry.policy.compare_rel_floor_ppm, fallback.compare_rel_floor_ppm
    ) AS compare_rel_floor_ppm,
    coalesce(
        what_if.compare_abs_floor_ns, model.entry.policy.compare_abs_floor_ns, fallback.compare_abs_floor_ns
    ) AS compare_abs_floor_ns,
    coalesce(
        what_if.compare_noise_milli, model.entry.policy.compare_noise_milli, fallback.compare_noise_milli
    ) AS compare_noise_milli,
    coalesce(
        what_if.compare_min_runs, model.entry.policy.compare_min_runs, fallback.compare_min_runs
    ) AS compare_min_runs,
    coalesce(
        what_if.slo_missing_telemetry_ppm, model.entry.policy.slo_missing_telemetry_ppm, fallback.slo_missing_telemetry_ppm
    ) AS slo_missing_telemetry_ppm,
    coalesce(
        what_if.slo_determinism_ppm, model.entry.policy.slo_determinism_ppm, fallback.slo_determinism_ppm
    ) AS slo_determinism_ppm,
    coalesce(
        what_if.slo_polluted_ppm, model.entry.policy.slo_polluted_ppm, fallback.slo_polluted_ppm
    ) AS slo_polluted_ppm,
    coalesce(
        what_if.slo_frontier_ppm, model.entry.policy.slo_frontier_ppm, fallback.slo_frontier_ppm
    ) AS slo_frontier_ppm
FROM v1.manifest AS manifest
CROSS JOIN unnest(manifest.models) AS model (entry)
CROSS JOIN raw.policy_override AS what_if
CROSS JOIN raw.policy_default AS fallback;

COMMENT ON VIEW v1.policy IS 'The thresholds in force. One row per sweep and model.';
COMMENT ON COLUMN v1.policy.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.policy.model_id IS 'Model';
COMMENT ON COLUMN v1.policy.adherence_threshold_ppm IS 'Share of the baseline quant''s adherence to keep, ppm';
COMMENT ON COLUMN v1.policy.latency_ceiling_ns IS 'Highest mean wall time of a quant, ns';
COMMENT ON COLUMN v1.policy.min_valid_runs IS 'Valid runs per task, count';
COMMENT ON COLUMN v1.policy.include_polluted IS 'never, fill or always';
COMMENT ON COLUMN v1.policy.allow_unobserved IS 'ENVIRONMENT_UNOBSERVED is an advisory';
COMMENT ON COLUMN v1.policy.utility_formula IS 'Utility of a quant, from a closed list';
COMMENT ON COLUMN v1.policy.max_load_ns IS 'Load time allowed in a timed run, ns';
COMMENT ON COLUMN v1.policy.max_foreign_cpu_ppm IS 'Machine share of other processes, ppm';
COMMENT ON COLUMN v1.policy.foreign_cpu_excess_ns IS 'Excess CPU time a short window needs, ns';
COMMENT ON COLUMN v1.policy.counter_window_ns IS 'Shortest window of a CPU clock, ns';
COMMENT ON COLUMN v1.policy.max_steal_ppm IS 'Stolen CPU share, ppm';
COMMENT ON COLUMN v1.policy.max_load_per_cpu_milli IS 'Load average per logical CPU, 1/1000';
COMMENT ON COLUMN v1.policy.max_quota_throttle_ppm IS 'Share of the window held back by a CPU quota, ppm';
COMMENT ON COLUMN v1.policy.max_thermal_throttle_ppm IS 'Share of the window throttled for heat, ppm';
COMMENT ON COLUMN v1.policy.max_swap_bytes_per_second IS 'Swap traffic, bytes/s';
COMMENT ON COLUMN v1.policy.max_overhead_ppm IS 'Unexplained share of the wall time, ppm';
COMMENT ON COLUMN v1.policy.overhead_floor_ns IS 'Unexplained time always allowed, ns';
COMMENT ON COLUMN v1.policy.clock_slack_ns IS 'Internal time may exceed wall time by this, ns';
COMMENT ON COLUMN v1.policy.clock_slack_ppm IS '... or by this share of the wall time, ppm';
COMMENT ON COLUMN v1.policy.max_clock_jump_ns IS 'Wall clock against monotonic clock, ns';
COMMENT ON COLUMN v1.policy.max_cached_tokens IS 'Prompt tokens a template always finds cached, tokens';
COMMENT ON COLUMN v1.policy.max_cached_ppm IS '... or this share, ppm';
COMMENT ON COLUMN v1.policy.stalled_ppm IS 'Server CPU share below which it stood still, ppm';
COMMENT ON COLUMN v1.policy.stalled_advisory_ppm IS '... below which it is worth a note, ppm';
COMMENT ON COLUMN v1.policy.max_memory_pressure_ppm IS 'Share of the window stalled on memory, ppm';
COMMENT ON COLUMN v1.policy.max_major_faults_per_second IS 'Major faults of the server, 1/s';
COMMENT ON COLUMN v1.policy.max_gpu_foreign_bytes IS 'GPU memory of other processes, bytes';
COMMENT ON COLUMN v1.policy.gpu_throttle_mask IS 'NVML reasons that pollute: hw slowdown, sw and hw thermal, power brake, bitmask';
COMMENT ON COLUMN v1.policy.canary_repetitions IS 'Canary runs, count';
COMMENT ON COLUMN v1.policy.canary_drop_first IS 'First canary run left out of the variation';
COMMENT ON COLUMN v1.policy.canary_max_latency_cv_ppm IS 'Variation of the canary''s time, ppm';
COMMENT ON COLUMN v1.policy.canary_max_missing_ppm IS 'Canary runs without telemetry, ppm';
COMMENT ON COLUMN v1.policy.anchor_max_drift_ppm IS 'Anchor time against the canary''s, ppm';
COMMENT ON COLUMN v1.policy.outlier_mad_milli IS 'Distance from the median in MADs, 1/1000';
COMMENT ON COLUMN v1.policy.outlier_min_runs IS 'Runs needed for it, count';
COMMENT ON COLUMN v1.policy.p95_min_runs IS 'Runs a p95 needs, count';
COMMENT ON COLUMN v1.policy.drift_chi2_milli IS 'Mann-Kendall S squared over its variance, 1/1000';
COMMENT ON COLUMN v1.policy.drift_min_ppm IS 'Last repetition slower than the first by, ppm';
COMMENT ON COLUMN v1.policy.output_length_ppm IS 'Tokens differing from the baseline quant''s by, ppm';
COMMENT ON COLUMN v1.policy.rival_chi2_milli IS '(2W - n) squared over n for a clear winner, 1/1000';
COMMENT ON COLUMN v1.policy.rival_min_pairs IS 'Pairs needed for it, count';
COMMENT ON COLUMN v1.policy.confidence_z_milli IS 'z of the 95 % Wilson bound, 1/1000';
COMMENT ON COLUMN v1.policy.baseline_max_age_us IS 'Age at which a stored baseline is stale, us';
COMMENT ON COLUMN v1.policy.compare_rel_floor_ppm IS 'Change that counts, relative, ppm';
COMMENT ON COLUMN v1.policy.compare_abs_floor_ns IS 'Change that counts, absolute, ns';
COMMENT ON COLUMN v1.policy.compare_noise_milli IS '... and in joint scaled MADs, 1/1000';
COMMENT ON COLUMN v1.policy.compare_min_runs IS 'Runs on each side, count';
COMMENT ON COLUMN v1.policy.slo_missing_telemetry_ppm IS 'Missing telemetry must stay below, ppm';
COMMENT ON COLUMN v1.policy.slo_determinism_ppm IS 'Determinism must reach, ppm';
COMMENT ON COLUMN v1.policy.slo_polluted_ppm IS 'Polluted runs must stay below, ppm';
COMMENT ON COLUMN v1.policy.slo_frontier_ppm IS 'Sessions with a recommendation must reach, ppm';

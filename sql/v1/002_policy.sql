-- Grain: sweep x model.
-- Inputs: v1.manifest, raw.policy_override (a what-if, usually NULL), raw.policy_default.
-- Rules: a sweep is judged by the policy in its own manifest; a what-if wins over it; a
-- value that an older manifest does not have is the default of today.

CREATE VIEW v1.policy AS
WITH models AS (
    SELECT
        manifest.sweep_id,
        model.entry.model_id AS model_id,
        model.entry.policy AS own
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.models) AS model (entry)
),

layers AS (
    SELECT sweep_id, model_id, 1 AS layer, what_if.* EXCLUDE (as_of)
    FROM models
    CROSS JOIN raw.policy_override AS what_if
    UNION ALL BY NAME
    SELECT sweep_id, model_id, 2 AS layer, unnest(own)
    FROM models
    UNION ALL BY NAME
    SELECT sweep_id, model_id, 3 AS layer, fallback.* EXCLUDE (as_of)
    FROM models
    CROSS JOIN raw.policy_default AS fallback
)

-- The first layer that has a value rules it.
SELECT
    sweep_id,
    model_id,
    any_value(COLUMNS(* EXCLUDE (sweep_id, model_id, layer)) ORDER BY layer)
FROM layers
GROUP BY sweep_id, model_id;

COMMENT ON VIEW v1.policy IS 'The thresholds in force. One row per sweep and model.';
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

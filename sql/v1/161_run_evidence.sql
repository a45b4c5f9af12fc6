-- Grain: attempt x reason of runs.
-- Inputs: v1.run_quality, v1.attempts, v1.policy, v1.reason.
-- Rules: every reason that a run is judged by, beside its evidence and its limit, in words;
-- v1.run_quality has judged. HOLDS pollutes the run, NOTED is worth a note, NOT_OBSERVED
-- had no reading, CLEAR does not hold. A reason whose evidence is no one number has none.

CREATE VIEW v1.run_evidence AS
WITH readings AS (
    SELECT
        sweep_id,
        attempt_id,
        unnest([
            {
                'signal': 'high_foreign_cpu',
                'value': v1.decimal_text(quality.foreign_cpu_micro, 4, 1) || ' %',
                'limit_text': v1.percent_text(quality.foreign_cpu_limit_ppm)
            },
            {
                'signal': 'cpu_steal',
                'value': v1.decimal_text(quality.steal_micro, 4, 1) || ' %',
                'limit_text': v1.percent_text(policy.max_steal_ppm)
            },
            {
                'signal': 'server_stalled',
                'value': v1.decimal_text(quality.server_cpu_micro, 4, 1)
                || ' % of its threads'
                || coalesce(
                    ', median ' || v1.decimal_text(quality.median_server_cpu_ppm, 4, 1) || ' %',
                    ''
                ),
                'limit_text': 'no less than ' || v1.percent_text(policy.stalled_ppm)
                || coalesce(
                    ', and ' || v1.percent_text(policy.stalled_median_ppm) || ' of the median', ''
                )
            },
            {
                'signal': 'cpu_quota_throttled',
                'value': v1.decimal_text(quality.quota_throttled_micro, 4, 1) || ' %',
                'limit_text': v1.percent_text(policy.max_quota_throttle_ppm)
            },
            {
                'signal': 'thermal_throttle',
                'value': v1.decimal_text(quality.thermal_throttled_micro, 4, 1) || ' %',
                'limit_text': v1.percent_text(policy.max_thermal_throttle_ppm)
            },
            {
                'signal': 'memory_pressure',
                'value': v1.decimal_text(quality.memory_pressure_micro, 4, 1) || ' %'
                || coalesce('; ' || quality.major_faults_per_second || ' faults/s', ''),
                'limit_text': v1.percent_text(policy.max_memory_pressure_ppm) || '; '
                || policy.max_major_faults_per_second || ' faults/s'
            },
            {
                'signal': 'swap_activity',
                'value': quality.swap_bytes_per_second || ' bytes/s',
                'limit_text': policy.max_swap_bytes_per_second || ' bytes/s'
            },
            {
                'signal': 'high_overhead',
                'value': v1.time_text(quality.unexplained_ns) || ', '
                || v1.decimal_text(quality.unexplained_micro, 4, 1) || ' %',
                'limit_text': v1.time_limit_text(policy.overhead_floor_ns) || ' and '
                || v1.percent_text(policy.max_overhead_ppm)
            },
            {
                'signal': 'model_loaded_in_run',
                'value': v1.time_text(quality.load_ns),
                'limit_text': v1.time_limit_text(policy.max_load_ns)
            },
            {
                'signal': 'cache_hit',
                'value': v1.count_text(quality.cached_tokens, 'token'),
                'limit_text': policy.max_cached_tokens || ' tokens, or '
                || v1.percent_text(policy.max_cached_ppm) || ' of the prompt'
            },
            {
                'signal': 'clock_jump',
                'value': v1.decimal_text(quality.clock_jump_ns, 6, 1) || ' ms',
                'limit_text': v1.time_limit_text(policy.max_clock_jump_ns)
            },
            {
                'signal': 'has_drifted',
                'value': v1.decimal_text(quality.drift_micro, 4, 1) || ' %',
                'limit_text': v1.percent_text(policy.anchor_max_drift_ppm)
            },
            {
                'signal': 'high_system_load',
                -- Asked only where the CPU time of others is not known.
                'value': if(
                    quality.foreign_cpu_micro IS NULL,
                    v1.decimal_text(quality.executor_load1_milli, 3, 2),
                    NULL
                ),
                'limit_text': v1.decimal_text(policy.max_load_per_cpu_milli, 3, 2)
                || ' for each CPU'
            },
            {
                'signal': 'server_shared',
                'value': coalesce(
                    v1.count_text(quality.foreign_requests, 'request'),
                    v1.count_text(quality.foreign_tokens, 'token') || ' of others'
                ),
                'limit_text': 'none'
            },
            {
                'signal': 'gpu_foreign_process',
                'value': v1.size_text(
                    greatest(
                        attempts.before.gpu_memory_foreign_bytes,
                        attempts.after.gpu_memory_foreign_bytes
                    )
                ),
                'limit_text': v1.size_text(policy.max_gpu_foreign_bytes)
            },
            {
                'signal': 'run_failed',
                'value': if(
                    attempts.outcome = 'OK',
                    NULL,
                    concat_ws(': ', attempts.outcome, attempts.error_class, attempts.error_message)
                ),
                'limit_text': NULL
            },
            {
                'signal': 'control_unsupported',
                'value': array_to_string(attempts.unsupported_controls, ', '),
                'limit_text': NULL
            },
            {
                'signal': 'other_model_resident',
                'value': array_to_string(attempts.other_models_resident, ', '),
                'limit_text': NULL
            },
            {
                'signal': 'output_truncated',
                'value': if(attempts.stop_reason = 'length', 'stopped by length', NULL),
                'limit_text': v1.count_text(attempts.max_tokens, 'token')
            }
        ], recursive := true)
    FROM v1.run_quality AS quality
    INNER JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = quality.sweep_id AND policy.model_id = quality.model_id
)

SELECT
    quality.sweep_id,
    quality.attempt_id,
    reason.code AS reason,
    reason.kind,
    CASE
        WHEN list_contains(quality.run_quality_reasons, reason.code) THEN 'HOLDS'
        WHEN list_contains(quality.advisories, reason.code) THEN 'NOTED'
        WHEN list_contains(quality.unobserved_reasons, reason.code) THEN 'NOT_OBSERVED'
        ELSE 'CLEAR'
    END AS state,
    nullif(readings.value, '') AS value,
    readings.limit_text,
    reason.meaning
FROM v1.run_quality AS quality
CROSS JOIN (SELECT * FROM v1.reason WHERE scope = 'run' AND signal <> 'not_run') AS reason
LEFT JOIN readings
    ON readings.sweep_id = quality.sweep_id
    AND readings.attempt_id = quality.attempt_id
    AND readings.signal = reason.signal;

COMMENT ON VIEW v1.run_evidence IS 'What a run was judged by, with evidence and limit. One row per attempt and reason of runs.';
COMMENT ON COLUMN v1.run_evidence.reason IS 'Reason; see v1.reason';
COMMENT ON COLUMN v1.run_evidence.kind IS 'polluting or advisory';
COMMENT ON COLUMN v1.run_evidence.state IS 'HOLDS, NOTED, NOT_OBSERVED or CLEAR';
COMMENT ON COLUMN v1.run_evidence.value IS 'What was read, with its unit; NULL where it is no one number';
COMMENT ON COLUMN v1.run_evidence.limit_text IS 'What it is held against';
COMMENT ON COLUMN v1.run_evidence.meaning IS 'What the reason says';

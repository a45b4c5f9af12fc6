-- Grain: attempt.
-- Inputs: v1.attempts, v1.telemetry, v1.environment_window, v1.anchor_drift, v1.session,
-- v1.quant, v1.manifest, v1.policy, v1.reason, raw.sweeps (each executor's load average).
-- Rules: a run is POLLUTED when a polluting reason holds, else CLEAN. A reason whose input
-- is NULL never holds: it is listed in unobserved_reasons. A failed call is RUN_FAILED and
-- nothing else. A busy machine is polluted by others: the time of the server and of the
-- client is subtracted, and the less of the model runs on the CPU, the more of it others
-- may use. A window too short to tell is not observed. A server stalls against its own
-- median under the same quant. Under quality_only what disturbs times alone is an
-- advisory, and so are the controls of another tool's answers that were imported. Each
-- reason stands beside its evidence, and every limit comes from the policy.

CREATE VIEW v1.run_quality AS
WITH executors AS (
    SELECT
        sweep_id,
        started_at,
        max(executor_load1_milli) AS load1_milli
    FROM raw.sweeps
    GROUP BY sweep_id, started_at
),

block_tokens AS (
    -- Token counters may be read once a block: the server's growth against our own.
    SELECT
        sweep_id,
        executor_started_at,
        retry_pass,
        block_index,
        CAST(
            last(after.server_tokens_generated ORDER BY ended_ns)
                FILTER (WHERE after.server_tokens_generated IS NOT NULL) AS HUGEINT
        )
        - first(before.server_tokens_generated ORDER BY started_ns)
            FILTER (WHERE before.server_tokens_generated IS NOT NULL) AS server_tokens,
        CASE
            WHEN count(completion_tokens) = count(*) THEN sum(completion_tokens)
        END AS own_tokens
    FROM v1.attempts
    GROUP BY sweep_id, executor_started_at, retry_pass, block_index
),

facts AS (
    SELECT
        attempts.*,
        telemetry.token_metrics_status,
        telemetry.internal_ns,
        telemetry.cached_tokens,
        telemetry.cache_hit,
        telemetry.clock_inconsistent,
        environment.window_id,
        environment.window_runs,
        environment.window_ns,
        environment.is_short,
        environment.window_internal_ns,
        environment.host_total_ns,
        environment.host_busy_ns,
        environment.host_steal_ns,
        environment.server_cpu_ns,
        environment.client_cpu_ns,
        environment.host_busy_ns - environment.server_cpu_ns - environment.client_cpu_ns
            AS foreign_cpu_ns,
        environment.psi_memory_full_us,
        environment.quota_throttled_ns,
        environment.swap_bytes,
        environment.major_faults,
        environment.thermal_count,
        environment.thermal_ns,
        drift.has_drifted,
        drift.drift_micro,
        session.cpu_only,
        session.capabilities.token_counts IS TRUE AS counts_promised,
        session.capabilities.internal_timings IS TRUE AS timings_promised,
        coalesce(
            try_cast(attempts.effective.threads AS BIGINT), session.compute_threads
        ) AS compute_threads,
        executors.load1_milli AS executor_load1_milli,
        manifest.hardware.logical_cpus AS logical_cpus,
        manifest.kind = 'INGEST' AS is_imported,
        len(manifest.hardware.gpus) = 0 AS has_no_gpu,
        coalesce(
            CAST(attempts.after.server_tokens_generated AS HUGEINT)
            - attempts.before.server_tokens_generated
            - attempts.completion_tokens,
            block_tokens.server_tokens - block_tokens.own_tokens
        ) AS foreign_tokens,
        greatest(
            attempts.before.server_requests_processing,
            attempts.after.server_requests_processing
        ) AS foreign_requests,
        policy.* EXCLUDE (sweep_id, model_id)
    FROM v1.attempts AS attempts
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    INNER JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
    INNER JOIN v1.environment_window AS environment USING (sweep_id, attempt_id)
    LEFT JOIN v1.anchor_drift AS drift USING (sweep_id, attempt_id)
    LEFT JOIN executors
        ON executors.sweep_id = attempts.sweep_id
        AND executors.started_at = attempts.executor_started_at
    LEFT JOIN block_tokens USING (sweep_id, executor_started_at, retry_pass, block_index)
),

-- A server's share of its threads differs by model and quant: each is held against its own.
medians AS (
    SELECT
        attempts.sweep_id,
        attempts.model_id,
        attempts.quant_tag,
        -- More than its threads is work beside the model, and no measure of a stall.
        least(
            1000000,
            quantile_disc(
                CAST(environment.server_cpu_ns AS HUGEINT) * 1000000
                // (
                    CAST(environment.window_internal_ns AS HUGEINT)
                    * coalesce(try_cast(attempts.effective.threads AS BIGINT), session.compute_threads)
                ),
                0.5
            )
        ) AS median_cpu_ppm
    FROM v1.attempts AS attempts
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.environment_window AS environment USING (sweep_id, attempt_id)
    WHERE
        session.cpu_only AND attempts.outcome = 'OK' AND environment.window_internal_ns > 0
        AND coalesce(try_cast(attempts.effective.threads AS BIGINT), session.compute_threads) > 0
    GROUP BY ALL
),

placed AS (
    SELECT
        facts.*,
        medians.median_cpu_ppm,
        -- Where the model lies decides what foreign CPU time can do to it.
        CASE
            WHEN reported_model_bytes > 0 AND reported_gpu_bytes IS NOT NULL
                THEN least(
                    1000000,
                    CAST(reported_gpu_bytes AS HUGEINT) * 1000000 // reported_model_bytes
                )
            WHEN cpu_only THEN 0
            -- Nobody says it, and its processes hold as much on GPUs.
            WHEN peak_gpu_memory_bytes >= quant.model_bytes THEN 1000000
        END AS gpu_share_ppm,
        CASE
            WHEN
                cpu_only
                OR (reported_model_bytes > 0 AND reported_gpu_bytes IS NOT NULL)
                THEN 'server'
            WHEN peak_gpu_memory_bytes >= quant.model_bytes THEN 'observer'
            ELSE 'unknown'
        END AS gpu_share_source
    FROM facts
    LEFT JOIN medians USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag)
),

limited AS (
    SELECT
        *,
        max_foreign_cpu_ppm
        + greatest(max_foreign_cpu_gpu_ppm - max_foreign_cpu_ppm, 0)
        * coalesce(gpu_share_ppm, 0) // 1000000 AS foreign_cpu_limit_ppm,
        -- A window in which even a machine full of others would not be noticed.
        is_short
        AND CAST(host_total_ns AS HUGEINT) * (1000000 - max_foreign_cpu_ppm)
        <= CAST(foreign_cpu_excess_ns AS HUGEINT) * 1000000 AS is_too_short
    FROM placed
),

judged AS (
    -- true: the reason holds; false: it does not; NULL: it could not be observed.
    SELECT
        *,
        wall_ns - internal_ns - coalesce(load_ns, 0) AS unexplained_ns,
        outcome <> 'OK' AS run_failed,
        token_metrics_status IN (
            'TOKEN_COUNT_UNAVAILABLE', 'TOKEN_AND_TIMING_UNAVAILABLE'
        ) AS counts_missing,
        token_metrics_status IN (
            'TIMING_UNAVAILABLE', 'TOKEN_AND_TIMING_UNAVAILABLE'
        ) AS timings_missing,
        (
            requested.seed IS NULL
            OR requested.threads IS NULL
            OR requested.affinity IS NULL
            OR requested.warmup IS NULL
        ) AS controls_missing,
        (
            coalesce(effective.seed <> requested.seed, false)
            OR coalesce(effective.temperature_milli <> requested.temperature_milli, false)
            OR coalesce(
                requested.threads <> 'server' AND effective.threads <> requested.threads,
                false
            )
            OR coalesce(
                requested.affinity <> 'server'
                AND effective.affinity <> requested.affinity,
                false
            )
            OR coalesce(effective.context_tokens <> requested.context_tokens, false)
            OR coalesce(effective.batch_tokens <> requested.batch_tokens, false)
            OR coalesce(effective.kv_cache <> requested.kv_cache, false)
            OR coalesce(effective.thinking <> requested.thinking, false)
            -- Whatever it says of itself: who thinks was not kept from thinking.
            OR coalesce(
                NOT requested.thinking
                AND (
                    reasoning_tokens > 0
                    OR regexp_matches(reasoning_text, '\S')
                    -- A server without a place for thought leaves it in the answer:
                    -- between its marks, or before the last where the prompt has the first.
                    OR regexp_matches(
                        answer_text, '^\s*<think>\s*([^\s<]|<[^/]|</[^t])'
                    )
                    OR regexp_matches(
                        split_part(answer_text, '</think>', 1), '^\s*([^\s<]|<[^t])'
                    )
                    AND contains(answer_text, '</think>')
                ),
                false
            )
        ) AS control_not_honoured,
        len(unsupported_controls) > 0 AS control_unsupported,
        requested.kv_cache IS NOT NULL AND effective.kv_cache IS NULL
        AND outcome = 'OK' AS kv_unverified,
        CASE
            WHEN phase = 'warmup' THEN false
            ELSE load_ns > max_load_ns
        END AS model_loaded_in_run,
        host_total_ns IS NULL OR host_busy_ns IS NULL OR server_cpu_ns IS NULL
            AS environment_unobserved,
        (
            v1.exceeds_ppm(foreign_cpu_ns, host_total_ns, foreign_cpu_limit_ppm)
            AND CASE
                WHEN is_too_short THEN NULL
                ELSE
                    NOT is_short
                    OR CAST(foreign_cpu_ns AS HUGEINT) * 1000000
                    - CAST(host_total_ns AS HUGEINT) * foreign_cpu_limit_ppm
                    > CAST(foreign_cpu_excess_ns AS HUGEINT) * 1000000
            END
        ) AS high_foreign_cpu,
        (
            v1.exceeds_ppm(host_steal_ns, host_total_ns, max_steal_ppm)
            AND (
                NOT is_short
                OR CAST(host_steal_ns AS HUGEINT) * 1000000
                - CAST(host_total_ns AS HUGEINT) * max_steal_ppm
                > CAST(foreign_cpu_excess_ns AS HUGEINT) * 1000000
            )
        ) AS cpu_steal,
        CASE
            WHEN foreign_cpu_ns IS NOT NULL THEN false
            ELSE executor_load1_milli > CAST(logical_cpus AS HUGEINT) * max_load_per_cpu_milli
        END AS high_system_load,
        v1.exceeds_ppm(quota_throttled_ns, window_ns, max_quota_throttle_ppm)
            AS cpu_quota_throttled,
        v1.exceeds_ppm(thermal_ns, window_ns, max_thermal_throttle_ppm)
            AS thermal_throttle,
        thermal_ns IS NULL AND thermal_count > 0 AS thermal_events,
        CAST(swap_bytes AS HUGEINT) * 1000000000
        > CAST(window_ns AS HUGEINT) * max_swap_bytes_per_second AS swap_activity,
        coalesce(before.on_battery OR after.on_battery, before.on_battery, after.on_battery)
            AS battery_power,
        abs(CAST(realtime_ns AS HUGEINT) - wall_ns) > max_clock_jump_ns AS clock_jump,
        CASE
            WHEN foreign_requests > 0 OR foreign_tokens > 0 THEN true
            WHEN foreign_requests IS NOT NULL OR foreign_tokens IS NOT NULL THEN false
        END AS server_shared,
        CASE
            WHEN cpu_only IS FALSE THEN false
            WHEN cpu_only
                THEN TRY(
                    CAST(server_cpu_ns AS HUGEINT) * 1000000
                    < CAST(window_internal_ns AS HUGEINT) * compute_threads * stalled_ppm
                )
                -- What is missing must be more than the clocks may have swallowed.
                OR coalesce(
                    TRY(
                        CAST(server_cpu_ns AS HUGEINT) * 1000000000000
                        < CAST(window_internal_ns AS HUGEINT) * compute_threads
                        * median_cpu_ppm * stalled_median_ppm
                        AND CAST(window_internal_ns AS HUGEINT) * compute_threads * median_cpu_ppm
                        - CAST(server_cpu_ns AS HUGEINT) * 1000000
                        > CAST(foreign_cpu_excess_ns AS HUGEINT) * 1000000
                    ),
                    false
                )
        END AS server_stalled,
        coalesce(
            cpu_only
            AND TRY(
                CAST(server_cpu_ns AS HUGEINT) * 1000000
                < CAST(window_internal_ns AS HUGEINT) * compute_threads * stalled_advisory_ppm
            ),
            false
        ) AS server_slow,
        CASE
            WHEN
                v1.exceeds_ppm(
                    CAST(psi_memory_full_us AS HUGEINT) * 1000,
                    window_ns,
                    max_memory_pressure_ppm
                )
                OR (
                    phase <> 'warmup'
                    AND CAST(major_faults AS HUGEINT) * 1000000000
                    > CAST(window_ns AS HUGEINT) * max_major_faults_per_second
                )
                THEN true
            WHEN psi_memory_full_us IS NOT NULL OR major_faults IS NOT NULL THEN false
        END AS memory_pressure,
        CASE
            WHEN has_no_gpu THEN false
            WHEN
                after.gpu_foreign_busy
                OR greatest(
                    before.gpu_memory_foreign_bytes, after.gpu_memory_foreign_bytes
                ) > max_gpu_foreign_bytes
                THEN true
            WHEN
                after.gpu_foreign_busy IS NOT NULL
                OR after.gpu_memory_foreign_bytes IS NOT NULL
                THEN false
        END AS gpu_foreign_process,
        CASE
            WHEN has_no_gpu THEN false
            ELSE
                (
                    (
                        coalesce(before.gpu_throttle_reasons, 0)
                        | after.gpu_throttle_reasons
                    )
                    & gpu_throttle_mask
                ) <> 0
        END AS gpu_throttled,
        len(other_models_resident) > 0 AS other_model_resident
    FROM limited
),

overheads AS (
    SELECT
        *,
        v1.exceeds_ppm(unexplained_ns, wall_ns, max_overhead_ppm)
        AND unexplained_ns > overhead_floor_ns AS high_overhead,
        -- Facts of the machine; a timing or a cache share is the provider's to tell.
        battery_power IS NULL
        OR cpu_quota_throttled IS NULL
        OR cpu_steal IS NULL
        OR gpu_foreign_process IS NULL
        OR gpu_throttled IS NULL
        OR memory_pressure IS NULL
        OR swap_activity IS NULL
        OR thermal_throttle IS NULL AS partially_observed
    FROM judged
),

observed AS MATERIALIZED (
    SELECT
        *,
        -- All that decides which signals hold.
        {
            allow_unobserved: allow_unobserved,
            battery_power: battery_power,
            cache_hit: cache_hit,
            clock_inconsistent: clock_inconsistent,
            clock_jump: clock_jump,
            control_not_honoured: control_not_honoured,
            control_unsupported: control_unsupported,
            controls_missing: controls_missing,
            counts_missing: counts_missing,
            counts_promised: counts_promised,
            cpu_quota_throttled: cpu_quota_throttled,
            cpu_steal: cpu_steal,
            environment_unobserved: environment_unobserved,
            gpu_foreign_process: gpu_foreign_process,
            gpu_throttled: gpu_throttled,
            has_drifted: has_drifted,
            high_foreign_cpu: high_foreign_cpu,
            high_overhead: high_overhead,
            high_system_load: high_system_load,
            is_imported: is_imported,
            is_of_matrix: phase IN ('matrix', 'repeat'),
            is_truncated: coalesce(stop_reason = 'length', false),
            is_without_time: coalesce(wall_ns = 0, false),
            kv_unverified: kv_unverified,
            memory_pressure: memory_pressure,
            model_loaded_in_run: model_loaded_in_run,
            other_model_resident: other_model_resident,
            partially_observed: partially_observed,
            quality_only: quality_only,
            run_failed: run_failed,
            server_shared: server_shared,
            server_slow: server_slow,
            server_stalled: server_stalled,
            swap_activity: swap_activity,
            thermal_events: thermal_events,
            thermal_throttle: thermal_throttle,
            timings_missing: timings_missing,
            timings_promised: timings_promised
        } AS found
    FROM overheads
),

patterns AS (
    -- Runs are many, but what is found of them is soon the same.
    SELECT
        found,
        unnest(found)
    FROM (SELECT DISTINCT found FROM observed)
),

signals AS (
    -- holds: true, false, or NULL where it was not observed. What only deserves a note is
    -- noted, whatever its kind.
    SELECT
        found,
        run_failed,
        quality_only,
        unnest([
            {'signal': 'battery_power', 'holds': battery_power, 'noted': false},
            {'signal': 'cache_hit', 'holds': cache_hit, 'noted': false},
            {'signal': 'clock_inconsistent', 'holds': clock_inconsistent, 'noted': false},
            {'signal': 'clock_jump', 'holds': clock_jump, 'noted': false},
            {
                'signal': 'control_not_honoured',
                'holds': control_not_honoured,
                'noted': false
            },
            {
                'signal': 'control_unsupported',
                'holds': coalesce(control_unsupported, false),
                'noted': false
            },
            {
                -- Results of another tool were made under its controls, which it seldom
                -- says: where answers alone are judged that is worth a note.
                'signal': 'controls_missing',
                'holds': controls_missing AND NOT (quality_only AND is_imported),
                'noted': controls_missing
            },
            {
                'signal': 'counts_not_offered',
                'holds': counts_missing AND NOT counts_promised,
                'noted': false
            },
            {'signal': 'cpu_quota_throttled', 'holds': cpu_quota_throttled, 'noted': false},
            {'signal': 'cpu_steal', 'holds': cpu_steal, 'noted': false},
            {
                'signal': 'environment_unobserved',
                'holds': environment_unobserved AND NOT allow_unobserved,
                'noted': environment_unobserved
            },
            {'signal': 'gpu_foreign_process', 'holds': gpu_foreign_process, 'noted': false},
            {'signal': 'gpu_throttled', 'holds': gpu_throttled, 'noted': false},
            {
                'signal': 'has_drifted',
                'holds': if(is_of_matrix, has_drifted, coalesce(has_drifted, false)),
                'noted': false
            },
            {'signal': 'high_foreign_cpu', 'holds': high_foreign_cpu, 'noted': false},
            {'signal': 'high_overhead', 'holds': high_overhead, 'noted': false},
            {'signal': 'high_system_load', 'holds': high_system_load, 'noted': false},
            {'signal': 'kv_unverified', 'holds': kv_unverified, 'noted': false},
            {'signal': 'memory_pressure', 'holds': memory_pressure, 'noted': false},
            {'signal': 'model_loaded_in_run', 'holds': model_loaded_in_run, 'noted': false},
            {'signal': 'other_model_resident', 'holds': other_model_resident, 'noted': false},
            {
                'signal': 'output_truncated',
                'holds': is_truncated,
                'noted': false
            },
            {'signal': 'partially_observed', 'holds': partially_observed, 'noted': false},
            {
                'signal': 'promised_counts_missing',
                'holds': counts_missing AND counts_promised,
                'noted': false
            },
            {
                'signal': 'promised_timings_missing',
                'holds': timings_missing AND timings_promised,
                'noted': false
            },
            {'signal': 'run_failed', 'holds': run_failed, 'noted': false},
            {'signal': 'server_shared', 'holds': server_shared, 'noted': false},
            {'signal': 'server_stalled', 'holds': server_stalled, 'noted': server_slow},
            {'signal': 'swap_activity', 'holds': swap_activity, 'noted': false},
            {
                'signal': 'thermal_throttle',
                'holds': thermal_throttle,
                'noted': coalesce(thermal_events, false)
            },
            {
                'signal': 'timings_not_offered',
                'holds': timings_missing AND NOT timings_promised,
                'noted': false
            },
            {
                'signal': 'zero_wall_time',
                'holds': is_without_time,
                'noted': false
            }
        ], recursive := true)
    FROM patterns
),

coded AS MATERIALIZED (
    -- Kept, since lists are else put in order once for each run and not for each pattern.
    -- Of a call that failed nothing else is said: all the rest follows from it.
    SELECT
        found,
        coalesce(list(code ORDER BY code) FILTER (WHERE holds AND pollutes), [])
            AS reasons,
        coalesce(
            list(code ORDER BY code)
                FILTER (WHERE if(pollutes, noted AND NOT coalesce(holds, false), coalesce(holds, false) OR noted)),
            []
        ) AS advisories,
        coalesce(list(code ORDER BY code) FILTER (WHERE holds IS NULL), [])
            AS unobserved,
        bool_or(holds AND signal IN ('promised_counts_missing', 'promised_timings_missing'))
            AS lacks_telemetry,
        bool_and(holds IS NOT TRUE OR NOT pollutes OR is_admissible) AS is_admissible,
        bool_and(holds IS NOT TRUE OR NOT pollutes OR is_curable) AS is_curable
    FROM (
        SELECT
            signals.*,
            reason.code,
            reason.is_admissible,
            reason.is_curable,
            reason.kind = 'polluting' AND NOT (quality_only AND reason.is_timing) AS pollutes
        FROM signals
        INNER JOIN v1.reason AS reason USING (signal)
        WHERE reason.scope = 'run'
    )
    WHERE NOT run_failed OR signal = 'run_failed'
    GROUP BY found
)

SELECT
    sweep_id,
    attempt_id,
    run_id,
    phase,
    model_id,
    quant_tag,
    test_id,
    repetition,
    if(len(coded.reasons) = 0, 'CLEAN', 'POLLUTED') AS run_quality_status,
    coded.reasons AS run_quality_reasons,
    coded.advisories,
    coded.unobserved AS unobserved_reasons,
    coded.is_admissible,
    -- A failed run also lacks whatever its server would have told.
    run_failed OR coded.is_curable AS is_curable,
    coalesce(coded.lacks_telemetry, false) AS lacks_telemetry,
    coalesce(has_drifted, false) AS has_drifted,
    window_id,
    window_runs,
    window_ns,
    v1.micro(foreign_cpu_ns, host_total_ns) AS foreign_cpu_micro,
    CAST(foreign_cpu_limit_ppm AS BIGINT) AS foreign_cpu_limit_ppm,
    CAST(gpu_share_ppm AS BIGINT) AS gpu_share_ppm,
    gpu_share_source,
    v1.micro(host_steal_ns, host_total_ns) AS steal_micro,
    v1.micro(server_cpu_ns, CAST(window_internal_ns AS HUGEINT) * compute_threads) AS server_cpu_micro,
    CAST(median_cpu_ppm AS BIGINT) AS median_server_cpu_ppm,
    v1.micro(quota_throttled_ns, window_ns) AS quota_throttled_micro,
    v1.micro(thermal_ns, window_ns) AS thermal_throttled_micro,
    v1.micro(CAST(psi_memory_full_us AS HUGEINT) * 1000, window_ns)
        AS memory_pressure_micro,
    TRY_CAST(v1.scaled(swap_bytes, window_ns, 1000000000) AS BIGINT)
        AS swap_bytes_per_second,
    TRY_CAST(v1.scaled(major_faults, window_ns, 1000000000) AS BIGINT)
        AS major_faults_per_second,
    unexplained_ns,
    v1.micro(unexplained_ns, wall_ns) AS unexplained_micro,
    CAST(realtime_ns AS HUGEINT) - wall_ns AS clock_jump_ns,
    internal_ns - wall_ns AS internal_beyond_wall_ns,
    cached_tokens,
    load_ns,
    executor_load1_milli,
    foreign_tokens,
    foreign_requests,
    drift_micro
FROM observed
INNER JOIN coded USING (found);

COMMENT ON VIEW v1.run_quality IS 'May this run count, and why not. One row per attempt.';
COMMENT ON COLUMN v1.run_quality.run_quality_status IS 'CLEAN or POLLUTED';
COMMENT ON COLUMN v1.run_quality.run_quality_reasons IS 'Polluting reasons that hold, sorted';
COMMENT ON COLUMN v1.run_quality.advisories IS 'What is worth a note but does not pollute, sorted';
COMMENT ON COLUMN v1.run_quality.unobserved_reasons IS 'Reasons that could not be observed, sorted';
COMMENT ON COLUMN v1.run_quality.is_admissible IS 'It may count where polluted runs may';
COMMENT ON COLUMN v1.run_quality.is_curable IS 'Another attempt on the same server could be clean';
COMMENT ON COLUMN v1.run_quality.lacks_telemetry IS 'Counts or timings that the server promises are missing';
COMMENT ON COLUMN v1.run_quality.has_drifted IS 'The machine has drifted since the last good anchor';
COMMENT ON COLUMN v1.run_quality.window_id IS 'The window that the environment was judged in';
COMMENT ON COLUMN v1.run_quality.window_ns IS 'Length of the window, ns';
COMMENT ON COLUMN v1.run_quality.foreign_cpu_micro IS 'CPU share of other processes, 1e-6';
COMMENT ON COLUMN v1.run_quality.foreign_cpu_limit_ppm IS 'Its limit: wider as far as the model lies on a GPU, ppm';
COMMENT ON COLUMN v1.run_quality.gpu_share_ppm IS 'Share of the model on a GPU, ppm; NULL counts as none';
COMMENT ON COLUMN v1.run_quality.gpu_share_source IS 'Who says so: server, observer (the server''s processes hold all of it on GPUs) or unknown';
COMMENT ON COLUMN v1.run_quality.median_server_cpu_ppm IS 'Median of it over the answered runs of the same quant, 1000000 at most, ppm';
COMMENT ON COLUMN v1.run_quality.steal_micro IS 'CPU share stolen by the hypervisor, 1e-6';
COMMENT ON COLUMN v1.run_quality.server_cpu_micro IS 'Server CPU time / (internal time x threads), 1e-6';
COMMENT ON COLUMN v1.run_quality.quota_throttled_micro IS 'Share of the window held back by a CPU quota, 1e-6';
COMMENT ON COLUMN v1.run_quality.thermal_throttled_micro IS 'Share of the window throttled for heat, 1e-6';
COMMENT ON COLUMN v1.run_quality.memory_pressure_micro IS 'Share of the window stalled on memory, 1e-6';
COMMENT ON COLUMN v1.run_quality.swap_bytes_per_second IS 'Swap traffic, bytes/s';
COMMENT ON COLUMN v1.run_quality.major_faults_per_second IS 'Major faults of the server, 1/s';
COMMENT ON COLUMN v1.run_quality.unexplained_ns IS 'wall - internal - load, ns';
COMMENT ON COLUMN v1.run_quality.unexplained_micro IS 'The same as a share of the wall time, 1e-6';
COMMENT ON COLUMN v1.run_quality.clock_jump_ns IS 'Wall clock minus monotonic clock, ns';
COMMENT ON COLUMN v1.run_quality.internal_beyond_wall_ns IS 'internal - wall, ns';
COMMENT ON COLUMN v1.run_quality.cached_tokens IS 'Prompt tokens taken from a cache';
COMMENT ON COLUMN v1.run_quality.executor_load1_milli IS 'Load average before the executor''s first call, 1/1000';
COMMENT ON COLUMN v1.run_quality.foreign_tokens IS 'Tokens the server generated beyond our own';
COMMENT ON COLUMN v1.run_quality.foreign_requests IS 'Requests of others in the server';
COMMENT ON COLUMN v1.run_quality.drift_micro IS 'The next anchor''s time against the canary''s, 1e-6';

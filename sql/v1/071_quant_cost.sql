-- Grain: sweep x model x quant, from the plan.
-- Inputs: v1.quant, v1.quant_aggregate, v1.runs, v1.attempts, v1.run_quality, v1.session,
-- v1.manifest, v1.policy, v1.reason.
-- Rules: what a passed task costs: all that was spent on runs that count, those that fail
-- included, over the runs that pass all their checks. The interval is that of the share that
-- passes, over distinct tasks; it says nothing of how times vary. Energy is the difference of
-- counters from before the first to after the last timed run of a block, what stands idle
-- included, over blocks in which every run is clean: there other programs had no more of the
-- CPU than a clean run on a CPU allows, and nothing else computed on a GPU. Where that cannot
-- be told, or nothing was read, there is no figure but the reason. Memory: what the machine
-- has beyond the peak, over what a token of context takes by the file's own metadata, and no
-- more than the model was trained for where that is known. Where the one GPU holds all of the
-- model it is the memory of that GPU and the peak there; several GPUs, or a model that lies
-- there in part, say nothing. Where a server divides its context among slots, or grants
-- another than was asked, what a token takes is not known.

CREATE VIEW v1.quant_cost AS
WITH counted AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS valid_runs,
        count(wall_ns) AS timed_runs,
        sum(CAST(wall_ns AS HUGEINT)) AS wall_sum_ns,
        count(DISTINCT test_id) AS tasks,
        count(*) FILTER (WHERE checks_passed = checks_total AND checks_total > 0)
            AS passed_runs,
        bool_or(coalesce(checks_unsupported, 0) > 0 OR coalesce(checks_total, 0) = 0)
            AS has_unchecked,
        max(peak_gpu_memory_bytes) AS peak_gpu_bytes
    FROM v1.runs
    WHERE phase = 'matrix' AND is_valid
    GROUP BY ALL
),

made AS (
    SELECT
        attempts.sweep_id,
        attempts.attempt_id,
        attempts.model_id,
        attempts.quant_tag,
        attempts.executor_started_at,
        attempts.retry_pass,
        attempts.block_index,
        attempts.order_index,
        attempts.started_ns,
        attempts.ended_ns,
        attempts.outcome,
        attempts.sensor_gaps,
        attempts.after.gpu_foreign_busy AS gpu_foreign_busy,
        quality.run_quality_status = 'CLEAN'
        AND coalesce(runs.attempt_id = attempts.attempt_id, false) AS is_clean,
        attempts.checks_passed = attempts.checks_total AND attempts.checks_total > 0
            AS is_passed,
        quality.gpu_share_ppm
    FROM v1.attempts AS attempts
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
    LEFT JOIN v1.runs AS runs
        ON runs.sweep_id = attempts.sweep_id AND runs.run_id = attempts.run_id
    WHERE attempts.phase = 'matrix'
),

spans AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        executor_started_at,
        retry_pass,
        block_index,
        bool_and(is_clean) AS is_clean,
        count(*) FILTER (WHERE is_passed) AS passed_runs,
        first(attempt_id ORDER BY started_ns, order_index, attempt_id) AS opened_by,
        first(attempt_id ORDER BY ended_ns DESC, order_index DESC, attempt_id DESC)
            AS closed_by,
        CAST(max(ended_ns) AS HUGEINT) - min(started_ns) AS span_ns,
        bool_or(gpu_foreign_busy) AS is_gpu_shared,
        count(gpu_foreign_busy) = count(*) AS is_gpu_told
    FROM made
    GROUP BY ALL
),

blocks AS (
    SELECT
        spans.*,
        CAST(closed.after.host_total_ns AS HUGEINT) - opened.before.host_total_ns AS host_ns,
        (CAST(closed.after.host_busy_ns AS HUGEINT) - opened.before.host_busy_ns)
        - (CAST(closed.after.server_cpu_ns AS HUGEINT) - opened.before.server_cpu_ns)
        - (CAST(closed.after.client_cpu_ns AS HUGEINT) - opened.before.client_cpu_ns) AS foreign_ns,
        CAST(closed.after.cpu_energy_uj AS HUGEINT) - opened.before.cpu_energy_uj AS cpu_uj,
        CAST(closed.after.gpu_energy_uj AS HUGEINT) - opened.before.gpu_energy_uj AS gpu_uj,
        -- Counters are not read so often that a shorter span would say anything.
        coalesce(span_ns >= policy.counter_window_ns, false) AS is_long,
        policy.max_foreign_cpu_ppm
    FROM spans
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.attempts AS opened
        ON opened.sweep_id = spans.sweep_id AND opened.attempt_id = spans.opened_by
    INNER JOIN v1.attempts AS closed
        ON closed.sweep_id = spans.sweep_id AND closed.attempt_id = spans.closed_by
),

told AS (
    SELECT
        *,
        coalesce(is_clean AND is_long AND cpu_uj > 0, false)
        AND coalesce(NOT v1.exceeds_ppm(foreign_ns, host_ns, max_foreign_cpu_ppm), false)
            AS has_cpu,
        coalesce(is_clean AND is_long AND gpu_uj > 0, false)
        AND is_gpu_told AND NOT coalesce(is_gpu_shared, false) AS has_gpu
    FROM blocks
),

energies AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) FILTER (WHERE has_cpu) AS cpu_blocks,
        sum(cpu_uj) FILTER (WHERE has_cpu) AS cpu_sum_uj,
        coalesce(sum(passed_runs) FILTER (WHERE has_cpu), 0) AS cpu_passed_runs,
        count(*) FILTER (WHERE cpu_uj > 0) > 0 AS is_cpu_read,
        count(cpu_uj) > 0 AS has_cpu_counter,
        count(*) FILTER (WHERE has_gpu) AS gpu_blocks,
        sum(gpu_uj) FILTER (WHERE has_gpu) AS gpu_sum_uj,
        coalesce(sum(passed_runs) FILTER (WHERE has_gpu), 0) AS gpu_passed_runs,
        count(*) FILTER (WHERE gpu_uj > 0) > 0 AS is_gpu_read,
        count(gpu_uj) > 0 AS has_gpu_counter,
        bool_and(is_gpu_told) AS is_gpu_told
    FROM told
    GROUP BY ALL
),

-- Why a sensor gave nothing, as most attempts say it.
gaps AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        sensor,
        first(
            CASE status
                WHEN 'absent' THEN 'no_device'
                WHEN 'denied' THEN 'sensor_denied'
                WHEN 'error' THEN 'sensor_error'
                WHEN 'unsupported_platform' THEN 'sensor_unsupported'
                ELSE 'sensor_unavailable'
            END
            ORDER BY attempts DESC, status
        ) AS why
    FROM (
        SELECT
            sweep_id,
            model_id,
            quant_tag,
            split_part(gap, '=', 1) AS sensor,
            split_part(gap, '=', 2) AS status,
            count(*) AS attempts
        -- Not beside a join: DuckDB would look for equal lists first.
        FROM (SELECT sweep_id, model_id, quant_tag, unnest(sensor_gaps) AS gap FROM made)
        WHERE split_part(gap, '=', 1) IN ('cpu_energy_uj', 'gpu_energy_uj')
        GROUP BY ALL
    )
    GROUP BY ALL
),

-- Where a call says nothing of it, nothing is known of the whole.
placements AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        bool_and(coalesce(gpu_share_ppm = 1000000, false)) AS is_on_gpu
    FROM made
    WHERE outcome = 'OK'
    GROUP BY ALL
),

contexts AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        v1.agreed(effective.context_tokens) AS context_tokens
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase = 'matrix'
    GROUP BY ALL
),

joined AS (
    SELECT
        quant.sweep_id,
        quant.model_id,
        quant.quant_tag,
        coalesce(counted.tasks, 0) AS tasks,
        coalesce(counted.valid_runs, 0) AS valid_runs,
        coalesce(counted.passed_runs, 0) AS passed_runs,
        counted.wall_sum_ns,
        v1.scaled(counted.passed_runs, counted.valid_runs, 1000000000) AS passed_nano,
        policy.confidence_z_milli,
        energies.* EXCLUDE (sweep_id, model_id, quant_tag),
        quant.kv_cache_bytes,
        quant.trained_context_tokens,
        coalesce(contexts.context_tokens, quant.context_tokens) AS context_tokens,
        -- What was asked for is there, but no call had it all.
        coalesce(contexts.context_tokens <> quant.context_tokens, false) AS is_divided,
        coalesce(session.cpu_only, false) OR len(manifest.hardware.gpus) = 0 AS is_in_ram,
        if(is_in_ram, aggregate.peak_memory_bytes, counted.peak_gpu_bytes) AS peak_bytes,
        if(is_in_ram, manifest.hardware.ram_bytes, manifest.hardware.gpu_memory_bytes[1])
            AS memory_bytes,
        CASE
            WHEN coalesce(counted.valid_runs, 0) = 0 THEN 'no_run_counts'
            WHEN counted.has_unchecked THEN 'not_all_checked'
            WHEN counted.passed_runs = 0 THEN 'nothing_passed'
        END AS pass_signal,
        CASE
            WHEN policy.quality_only THEN 'cost_answers_alone'
            WHEN counted.timed_runs < counted.valid_runs THEN 'no_wall_time'
        END AS untimed_signal,
        CASE
            WHEN session.locality = 'remote' THEN 'remote_server'
            WHEN energies.is_cpu_read THEN NULL
            WHEN energies.has_cpu_counter THEN 'stands_still'
            ELSE coalesce(cpu_gap.why, 'not_recorded')
        END AS cpu_sensor_signal,
        CASE
            WHEN session.locality = 'remote' THEN 'remote_server'
            WHEN energies.is_gpu_read AND NOT energies.is_gpu_told THEN 'others_not_told_apart'
            WHEN energies.is_gpu_read THEN NULL
            WHEN energies.has_gpu_counter THEN 'stands_still'
            ELSE coalesce(gpu_gap.why, 'not_recorded')
        END AS gpu_sensor_signal,
        CASE
            WHEN session.locality = 'remote' THEN 'remote_server'
            WHEN is_in_ram THEN if(manifest.hardware.ram_bytes IS NULL, 'memory_unknown', NULL)
            WHEN manifest.hardware.gpu_memory_status = 'denied' THEN 'sensor_denied'
            WHEN manifest.hardware.gpu_memory_status = 'error' THEN 'sensor_error'
            WHEN manifest.hardware.gpu_memory_bytes IS NULL THEN 'gpu_memory_unknown'
            WHEN len(manifest.hardware.gpu_memory_bytes) <> 1 THEN 'several_gpus'
            WHEN NOT coalesce(placements.is_on_gpu, false) THEN 'not_on_gpu_alone'
        END AS machine_signal
    FROM v1.quant AS quant
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    LEFT JOIN counted USING (sweep_id, model_id, quant_tag)
    LEFT JOIN energies USING (sweep_id, model_id, quant_tag)
    LEFT JOIN placements USING (sweep_id, model_id, quant_tag)
    LEFT JOIN contexts USING (sweep_id, model_id, quant_tag)
    LEFT JOIN gaps AS cpu_gap
        ON cpu_gap.sweep_id = quant.sweep_id
        AND cpu_gap.model_id = quant.model_id
        AND cpu_gap.quant_tag = quant.quant_tag
        AND cpu_gap.sensor = 'cpu_energy_uj'
    LEFT JOIN gaps AS gpu_gap
        ON gpu_gap.sweep_id = quant.sweep_id
        AND gpu_gap.model_id = quant.model_id
        AND gpu_gap.quant_tag = quant.quant_tag
        AND gpu_gap.sensor = 'gpu_energy_uj'
),

judged AS (
    SELECT
        *,
        v1.wilson_micro(passed_nano, tasks, confidence_z_milli, -1) AS least_micro,
        v1.wilson_micro(passed_nano, tasks, confidence_z_milli, 1) AS most_micro,
        coalesce(pass_signal, untimed_signal) AS time_signal,
        coalesce(
            cpu_sensor_signal,
            pass_signal,
            if(cpu_blocks > 0, NULL, 'no_quiet_block'),
            if(cpu_passed_runs > 0, NULL, 'nothing_passed')
        ) AS cpu_energy_signal,
        coalesce(
            gpu_sensor_signal,
            pass_signal,
            if(gpu_blocks > 0, NULL, 'no_quiet_block'),
            if(gpu_passed_runs > 0, NULL, 'nothing_passed')
        ) AS gpu_energy_signal,
        coalesce(
            machine_signal,
            if(peak_bytes IS NULL, 'peak_unknown', NULL),
            if(kv_cache_bytes > 0, NULL, 'kv_cache_unknown'),
            if(context_tokens > 0 AND NOT is_divided, NULL, 'context_unknown')
        ) AS context_signal
    FROM joined
),

roomy AS (
    SELECT
        *,
        CASE
            WHEN context_signal IS NULL
                THEN TRY_CAST(
                    greatest(CAST(memory_bytes AS HUGEINT) - peak_bytes, 0)
                    * context_tokens // kv_cache_bytes AS BIGINT
                )
        END AS memory_left_tokens,
        -- `greatest` passes over NULL.
        if(
            trained_context_tokens > 0 AND context_tokens IS NOT NULL,
            greatest(trained_context_tokens - context_tokens, 0),
            NULL
        ) AS trained_left_tokens
    FROM judged
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    valid_runs,
    passed_runs,
    coalesce(time_reason.code, 'OK') AS time_status,
    if(
        time_signal IS NULL, TRY_CAST(v1.scaled(wall_sum_ns, passed_runs, 1) AS BIGINT), NULL
    ) AS wall_per_pass_ns,
    if(
        time_signal IS NULL,
        TRY_CAST(v1.scaled(wall_sum_ns, CAST(valid_runs AS HUGEINT) * most_micro, 1000000) AS BIGINT),
        NULL
    ) AS wall_per_pass_low_ns,
    if(
        time_signal IS NULL,
        TRY_CAST(v1.scaled(wall_sum_ns, CAST(valid_runs AS HUGEINT) * least_micro, 1000000) AS BIGINT),
        NULL
    ) AS wall_per_pass_high_ns,
    coalesce(cpu_energy_reason.code, 'OK') AS cpu_energy_status,
    coalesce(cpu_blocks, 0) AS cpu_energy_blocks,
    if(
        cpu_energy_signal IS NULL,
        TRY_CAST(v1.scaled(cpu_sum_uj, cpu_passed_runs, 1) AS BIGINT),
        NULL
    ) AS cpu_energy_per_pass_uj,
    coalesce(gpu_energy_reason.code, 'OK') AS gpu_energy_status,
    coalesce(gpu_blocks, 0) AS gpu_energy_blocks,
    if(
        gpu_energy_signal IS NULL,
        TRY_CAST(v1.scaled(gpu_sum_uj, gpu_passed_runs, 1) AS BIGINT),
        NULL
    ) AS gpu_energy_per_pass_uj,
    coalesce(context_reason.code, 'OK') AS context_status,
    if(context_signal IS NULL, context_tokens, NULL) AS context_tokens,
    trained_context_tokens,
    CASE
        WHEN memory_left_tokens IS NULL THEN NULL
        WHEN trained_left_tokens IS NULL THEN 'MEMORY_ALONE'
        WHEN trained_left_tokens <= memory_left_tokens THEN 'TRAINING'
        ELSE 'MEMORY'
    END AS context_left_limit,
    CASE
        WHEN memory_left_tokens IS NOT NULL
            THEN least(memory_left_tokens, coalesce(trained_left_tokens, memory_left_tokens))
    END AS context_left_tokens
FROM roomy
LEFT JOIN v1.reason AS time_reason
    ON time_reason.scope = 'cost' AND time_reason.signal = roomy.time_signal
LEFT JOIN v1.reason AS cpu_energy_reason
    ON cpu_energy_reason.scope = 'cost' AND cpu_energy_reason.signal = roomy.cpu_energy_signal
LEFT JOIN v1.reason AS gpu_energy_reason
    ON gpu_energy_reason.scope = 'cost' AND gpu_energy_reason.signal = roomy.gpu_energy_signal
LEFT JOIN v1.reason AS context_reason
    ON context_reason.scope = 'cost' AND context_reason.signal = roomy.context_signal;

COMMENT ON VIEW v1.quant_cost IS 'What a passed task costs in time and energy, and what context is left. One row per quant of a sweep.';
COMMENT ON COLUMN v1.quant_cost.passed_runs IS 'Of these, with all checks passed';
COMMENT ON COLUMN v1.quant_cost.time_status IS 'OK, or a reason of scope cost why there is no time';
COMMENT ON COLUMN v1.quant_cost.wall_per_pass_ns IS 'Wall time of all runs that count / runs that pass, ns';
COMMENT ON COLUMN v1.quant_cost.wall_per_pass_low_ns IS 'The same at the upper bound of the share that passes, ns';
COMMENT ON COLUMN v1.quant_cost.wall_per_pass_high_ns IS 'The same at the lower bound, ns; NULL where that is 0';
COMMENT ON COLUMN v1.quant_cost.cpu_energy_status IS 'OK, or a reason of scope cost why there is none';
COMMENT ON COLUMN v1.quant_cost.cpu_energy_blocks IS 'Blocks behind it';
COMMENT ON COLUMN v1.quant_cost.cpu_energy_per_pass_uj IS 'Energy of all CPU packages / runs that pass, uJ';
COMMENT ON COLUMN v1.quant_cost.gpu_energy_status IS 'The same of the GPUs';
COMMENT ON COLUMN v1.quant_cost.gpu_energy_blocks IS 'Blocks behind it';
COMMENT ON COLUMN v1.quant_cost.gpu_energy_per_pass_uj IS 'Energy of all GPUs / runs that pass, uJ';
COMMENT ON COLUMN v1.quant_cost.context_status IS 'OK, or a reason of scope cost why it is not known';
COMMENT ON COLUMN v1.quant_cost.context_tokens IS 'Context it was measured with, tokens';
COMMENT ON COLUMN v1.quant_cost.trained_context_tokens IS 'Context that the model was trained for, tokens; NULL where it was not told';
COMMENT ON COLUMN v1.quant_cost.context_left_limit IS 'What bounds the context that is left: MEMORY, TRAINING, or MEMORY_ALONE where the training is not known';
COMMENT ON COLUMN v1.quant_cost.context_left_tokens IS 'Tokens of context more: what the memory holds if nothing else used it, and no more than the model was trained for';

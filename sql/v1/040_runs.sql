-- Grain: planned run.
-- Inputs: v1.planned_run, v1.attempts, v1.telemetry, v1.run_quality, v1.policy.
-- Rules: the attempt that counts is the first CLEAN one, else the first that may count
-- where polluted runs may, else the first OK one, else the last. A planned run without any attempt is a row too. A run of the matrix or the phase repeat is valid when its
-- counting attempt is CLEAN. include_polluted admits polluted ones: `fill` where no
-- attempt is CLEAN, `always` takes the first OK attempt as if pollution did not exist;
-- neither ever admits a run that is wrong rather than disturbed.

CREATE VIEW v1.runs AS
WITH repeated AS (
    SELECT sweep_id, run_id FROM v1.run_quality GROUP BY ALL HAVING count(*) > 1
),

judged AS (
    SELECT
        attempts.sweep_id,
        attempts.run_id,
        attempts.attempt_id,
        attempts.outcome,
        quality.run_quality_status,
        policy.include_polluted,
        quality.is_admissible,
        row_number() OVER (
            PARTITION BY attempts.sweep_id, attempts.run_id
            ORDER BY
                attempts.attempt_number,
                attempts.executor_started_at,
                attempts.recorded_at,
                attempts.attempt_id
        ) AS place,
        count(*) OVER (PARTITION BY attempts.sweep_id, attempts.run_id) AS attempts
    FROM v1.attempts AS attempts
    SEMI JOIN repeated USING (sweep_id, run_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
),

counting AS (
    -- Most runs have one attempt: no choice, and nothing to sort.
    SELECT
        sweep_id,
        run_id,
        attempt_id,
        1 AS attempts
    FROM v1.run_quality
    ANTI JOIN repeated USING (sweep_id, run_id)
    UNION ALL
    SELECT
        sweep_id,
        run_id,
        attempt_id,
        attempts
    FROM judged
    QUALIFY
        row_number() OVER (
            PARTITION BY sweep_id, run_id
            ORDER BY
                CASE
                    WHEN include_polluted = 'always' AND is_admissible THEN 0
                    WHEN run_quality_status = 'CLEAN' THEN 1
                    WHEN is_admissible THEN 2
                    WHEN outcome = 'OK' THEN 3
                    ELSE 4
                END,
                CASE
                    WHEN
                        outcome = 'OK'
                        OR run_quality_status = 'CLEAN'
                        THEN place
                    ELSE -place
                END
        ) = 1
)

SELECT
    planned.sweep_id,
    planned.run_id,
    planned.order_index,
    planned.phase,
    planned.model_id,
    planned.quant_tag,
    planned.test_id,
    planned.bucket,
    planned.tier,
    coalesce(attempts.task_revision, planned.task_revision) AS task_revision,
    planned.repetition,
    planned.block_index,
    coalesce(counting.attempts, 0) AS attempts,
    counting.attempt_id,
    attempts.outcome,
    attempts.error_class,
    quality.run_quality_status,
    quality.run_quality_reasons,
    quality.advisories,
    quality.unobserved_reasons,
    coalesce(
        planned.phase IN ('matrix', 'repeat')
        AND (
            quality.run_quality_status = 'CLEAN'
            OR (
                policy.include_polluted IN ('fill', 'always')
                AND quality.is_admissible
            )
        ),
        false
    ) AS is_valid,
    coalesce(
        planned.phase IN ('matrix', 'repeat')
        AND quality.run_quality_status = 'POLLUTED'
        AND policy.include_polluted IN ('fill', 'always')
        AND quality.is_admissible,
        false
    ) AS is_polluted_used,
    coalesce(
        planned.phase IN ('matrix', 'repeat')
        AND quality.run_quality_status = 'POLLUTED'
        AND quality.is_admissible,
        false
    ) AS is_polluted_admissible,
    attempts.model_digest,
    attempts.prompt_sha256,
    attempts.answer_text,
    attempts.stop_reason,
    attempts.checks_passed,
    attempts.checks_total,
    attempts.checks_unsupported,
    attempts.format_damage,
    attempts.answer_chars,
    attempts.code_chars,
    attempts.generation_retries,
    telemetry.token_metrics_status,
    telemetry.prompt_tokens,
    telemetry.new_prompt_tokens,
    telemetry.completion_tokens,
    telemetry.decoded_tokens,
    telemetry.prefill_ns,
    telemetry.decode_ns,
    telemetry.load_ns,
    telemetry.internal_ns,
    telemetry.wall_ns,
    telemetry.ttft_ns,
    telemetry.prompt_rate_reason,
    telemetry.generation_rate_reason,
    attempts.peak_server_rss_bytes,
    attempts.peak_gpu_memory_bytes,
    attempts.reported_model_bytes,
    attempts.recorded_at
FROM v1.planned_run AS planned
LEFT JOIN counting USING (sweep_id, run_id)
LEFT JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
LEFT JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
LEFT JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
LEFT JOIN v1.policy AS policy
    ON policy.sweep_id = attempts.sweep_id AND policy.model_id = attempts.model_id;

COMMENT ON VIEW v1.runs IS 'The plan with the attempt that counts. One row per planned run.';
COMMENT ON COLUMN v1.runs.phase IS 'warmup, canary, matrix or repeat';
COMMENT ON COLUMN v1.runs.attempts IS 'Attempts made';
COMMENT ON COLUMN v1.runs.attempt_id IS 'The attempt that counts, NULL if there is none';
COMMENT ON COLUMN v1.runs.outcome IS 'Its outcome';
COMMENT ON COLUMN v1.runs.error_class IS 'Its kind of failure';
COMMENT ON COLUMN v1.runs.run_quality_status IS 'Its run quality, NULL if there is none';
COMMENT ON COLUMN v1.runs.run_quality_reasons IS 'Its polluting reasons';
COMMENT ON COLUMN v1.runs.advisories IS 'Its advisories';
COMMENT ON COLUMN v1.runs.unobserved_reasons IS 'Its reasons that could not be observed';
COMMENT ON COLUMN v1.runs.is_valid IS 'Counts in the aggregates';
COMMENT ON COLUMN v1.runs.is_polluted_used IS 'Counts although it is polluted, by include_polluted';
COMMENT ON COLUMN v1.runs.is_polluted_admissible IS 'Polluted, and would count under include_polluted = fill';
COMMENT ON COLUMN v1.runs.answer_text IS 'The answer: untrusted text';
COMMENT ON COLUMN v1.runs.format_damage IS 'Format damage of the answer';
COMMENT ON COLUMN v1.runs.generation_retries IS 'Further generations inside the attempt';
COMMENT ON COLUMN v1.runs.token_metrics_status IS 'Token status';
COMMENT ON COLUMN v1.runs.prefill_ns IS 'Prefill time, ns';
COMMENT ON COLUMN v1.runs.decode_ns IS 'Decode time, ns';
COMMENT ON COLUMN v1.runs.load_ns IS 'Load time inside the call, ns';
COMMENT ON COLUMN v1.runs.wall_ns IS 'Wall time, ns';
COMMENT ON COLUMN v1.runs.ttft_ns IS 'Client-observed time to the first token, ns';
COMMENT ON COLUMN v1.runs.prompt_rate_reason IS 'Why it has no prefill rate';
COMMENT ON COLUMN v1.runs.generation_rate_reason IS 'Why it has no decode rate';

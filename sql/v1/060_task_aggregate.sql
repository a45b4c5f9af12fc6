-- Grain: sweep x model x quant x task, from the plan of the matrix.
-- Inputs: v1.runs, v1.policy, v1.manifest.
-- Rules: over valid runs. A task mean is an integer in 1e-9 units (half up), so that the
-- sums, ranks and ties above it are exact. A failed check is adherence 0 of that check; a
-- failed run is in the failure counts, never adherence 0; checks that could not be run are
-- counted apart. Repetitions are not evidence of quality: one task is one observation. A
-- task passes when all checks pass in the majority of its valid repetitions (tie = fail).
-- Outliers are flagged, never dropped. A task that was tried without an OK run of any
-- quant has failed everywhere; one that nobody has tried yet has not failed. A planned run
-- without an attempt is missing; in an adaptive sweep it was not asked.

CREATE VIEW v1.task_aggregate AS
WITH cells AS (
    SELECT
        runs.*,
        policy.min_valid_runs,
        policy.straggler_milli,
        policy.outlier_min_runs,
        policy.outlier_mad_milli,
        manifest."order" = 'adaptive' AND attempt_id IS NULL AS is_not_asked
    FROM v1.runs AS runs
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    WHERE runs.phase = 'matrix'
),

-- Grouped and joined: windows would sort all runs, whole rows of them.
medians AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        quantile_disc(wall_ns, 0.5) FILTER (WHERE is_valid) AS median_wall_ns,
        count(wall_ns) FILTER (WHERE is_valid) AS timed_runs
    FROM v1.runs
    WHERE phase = 'matrix'
    GROUP BY ALL
),

deviations AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        quantile_disc(abs(runs.wall_ns - medians.median_wall_ns), 0.5) AS mad_wall_ns
    FROM v1.runs AS runs
    INNER JOIN medians USING (sweep_id, model_id, quant_tag, test_id)
    WHERE runs.phase = 'matrix' AND runs.is_valid
    GROUP BY ALL
),

distances AS (
    SELECT
        cells.*,
        medians.median_wall_ns,
        medians.timed_runs,
        deviations.mad_wall_ns
    FROM cells
    INNER JOIN medians USING (sweep_id, model_id, quant_tag, test_id)
    LEFT JOIN deviations USING (sweep_id, model_id, quant_tag, test_id)
),

sums AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        min(bucket) AS bucket,
        min(tier) AS tier,
        min(task_revision) AS task_revision,
        min(order_index) AS first_order_index,
        min(min_valid_runs) AS min_valid_runs,
        count(*) AS planned_runs,
        sum(attempts) AS attempts,
        count(*) FILTER (WHERE attempt_id IS NULL AND NOT is_not_asked) AS missing_runs,
        NOT bool_and(is_not_asked) AS is_asked,
        count(*) FILTER (WHERE outcome = 'OK') AS ok_runs,
        -- A call that the user stopped says nothing of the quant.
        count(*) FILTER (WHERE outcome NOT IN ('OK', 'CANCELLED')) AS failed_runs,
        count(*) FILTER (WHERE outcome = 'CANCELLED') AS cancelled_runs,
        count(*) FILTER (WHERE run_quality_status = 'CLEAN') AS clean_runs,
        count(*) FILTER (WHERE run_quality_status = 'POLLUTED' AND outcome = 'OK')
            AS polluted_runs,
        count(*) FILTER (WHERE outcome = 'OK' AND stop_reason = 'length') AS truncated_runs,
        count(*) FILTER (WHERE is_valid) AS valid_runs,
        count(*) FILTER (WHERE is_polluted_used) AS polluted_used,
        count(*) FILTER (WHERE is_valid OR is_polluted_admissible) AS fillable_runs,
        sum(checks_passed) FILTER (WHERE is_valid) AS checks_passed,
        sum(checks_total) FILTER (WHERE is_valid) AS checks_total,
        sum(checks_unsupported) FILTER (WHERE is_valid) AS checks_unsupported,
        count(*) FILTER (WHERE is_valid AND checks_total > 0) AS checked_runs,
        count(*) FILTER (WHERE is_valid AND checks_total > 0 AND checks_passed = checks_total)
            AS passing_runs,
        count(DISTINCT answer_text) FILTER (WHERE is_valid) AS distinct_answers,
        count(wall_ns) FILTER (WHERE is_valid) AS timed_runs,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE is_valid) AS wall_sum_ns,
        sum(CAST(wall_ns AS HUGEINT) * wall_ns) FILTER (WHERE is_valid) AS wall_squares,
        quantile_disc(wall_ns, 0.5) FILTER (WHERE is_valid) AS median_wall_ns,
        min(mad_wall_ns) AS mad_wall_ns,
        count(internal_ns) FILTER (WHERE is_valid) AS internal_runs,
        sum(CAST(internal_ns AS HUGEINT)) FILTER (WHERE is_valid) AS internal_sum_ns,
        count(ttft_ns) FILTER (WHERE is_valid) AS ttft_runs,
        sum(CAST(ttft_ns AS HUGEINT)) FILTER (WHERE is_valid) AS ttft_sum_ns,
        count(completion_tokens) FILTER (WHERE is_valid) AS counted_runs,
        sum(completion_tokens) FILTER (WHERE is_valid) AS completion_tokens,
        count(*) FILTER (
            WHERE is_valid
            AND timed_runs >= outlier_min_runs
            AND CAST(abs(wall_ns - median_wall_ns) AS HUGEINT) * 1000
            > CAST(mad_wall_ns AS HUGEINT) * outlier_mad_milli
        ) AS outlier_runs,
        count(*) FILTER (
            WHERE is_valid AND timed_runs >= 3
            AND CAST(wall_ns AS HUGEINT) * 1000
            > CAST(median_wall_ns AS HUGEINT) * straggler_milli
        ) AS straggler_runs
    FROM distances
    GROUP BY sweep_id, model_id, quant_tag, test_id
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    test_id,
    bucket,
    tier,
    task_revision,
    first_order_index,
    planned_runs,
    TRY_CAST(attempts AS BIGINT) AS attempts,
    missing_runs,
    is_asked,
    ok_runs,
    failed_runs,
    cancelled_runs,
    clean_runs,
    polluted_runs,
    truncated_runs,
    valid_runs,
    polluted_used,
    fillable_runs,
    TRY_CAST(checks_passed AS BIGINT) AS checks_passed,
    TRY_CAST(checks_total AS BIGINT) AS checks_total,
    TRY_CAST(checks_unsupported AS BIGINT) AS checks_unsupported,
    TRY_CAST(v1.scaled(checks_passed, checks_total, 1000000000) AS BIGINT) AS adherence_nano,
    passing_runs,
    CASE WHEN checked_runs > 0 THEN passing_runs * 2 > checked_runs END AS is_passed,
    distinct_answers,
    timed_runs,
    TRY_CAST(v1.scaled(wall_sum_ns, timed_runs, 1) AS BIGINT) AS mean_wall_ns,
    TRY_CAST(wall_sum_ns AS BIGINT) AS wall_sum_ns,
    median_wall_ns,
    mad_wall_ns,
    v1.cv_micro(timed_runs, wall_sum_ns, wall_squares) AS latency_cv_micro,
    -- Population variance in ns^2: (n*q - s^2) / n^2.
    CASE
        WHEN timed_runs >= 2
            THEN v1.scaled(
                timed_runs * wall_squares - wall_sum_ns * wall_sum_ns,
                CAST(timed_runs AS HUGEINT) * timed_runs,
                1
            )
    END AS latency_variance_ns2,
    internal_runs,
    TRY_CAST(v1.scaled(internal_sum_ns, internal_runs, 1) AS BIGINT) AS mean_internal_ns,
    ttft_runs,
    TRY_CAST(v1.scaled(ttft_sum_ns, ttft_runs, 1) AS BIGINT) AS mean_ttft_ns,
    counted_runs,
    TRY_CAST(completion_tokens AS BIGINT) AS completion_tokens,
    TRY_CAST(v1.scaled(completion_tokens, counted_runs, 1000) AS BIGINT)
        AS mean_completion_tokens_milli,
    outlier_runs,
    straggler_runs,
    -- No named window here: DuckDB 1.5 knows one of the whole text that it is given.
    max(ok_runs) OVER (PARTITION BY sweep_id, model_id, test_id) = 0
    AND sum(failed_runs) OVER (PARTITION BY sweep_id, model_id, test_id) > 0
        AS failed_everywhere,
    valid_runs >= min_valid_runs AS is_covered
FROM sums;

COMMENT ON VIEW v1.task_aggregate IS 'One task under one quant, over valid runs. One row per sweep, model, quant and task.';
COMMENT ON COLUMN v1.task_aggregate.first_order_index IS 'Its first place in the order of execution';
COMMENT ON COLUMN v1.task_aggregate.planned_runs IS 'Planned runs';
COMMENT ON COLUMN v1.task_aggregate.missing_runs IS 'Planned runs without any attempt';
COMMENT ON COLUMN v1.task_aggregate.is_asked IS 'Whether it was to be made by now: in an adaptive sweep, whether it was made';
COMMENT ON COLUMN v1.task_aggregate.ok_runs IS 'Planned runs whose counting attempt is OK';
COMMENT ON COLUMN v1.task_aggregate.failed_runs IS 'Planned runs whose counting attempt failed';
COMMENT ON COLUMN v1.task_aggregate.cancelled_runs IS 'Planned runs whose counting attempt was stopped by the user';
COMMENT ON COLUMN v1.task_aggregate.clean_runs IS 'Planned runs whose counting attempt is CLEAN';
COMMENT ON COLUMN v1.task_aggregate.polluted_runs IS 'Planned runs whose counting attempt answered and is POLLUTED';
COMMENT ON COLUMN v1.task_aggregate.truncated_runs IS 'Planned runs whose answer was cut at its budget';
COMMENT ON COLUMN v1.task_aggregate.valid_runs IS 'Runs that count';
COMMENT ON COLUMN v1.task_aggregate.polluted_used IS 'Of these, polluted ones';
COMMENT ON COLUMN v1.task_aggregate.fillable_runs IS 'Runs that would count under include_polluted = fill';
COMMENT ON COLUMN v1.task_aggregate.adherence_nano IS 'Checks passed / checks tried, 1e-9';
COMMENT ON COLUMN v1.task_aggregate.passing_runs IS 'Runs in which all checks passed';
COMMENT ON COLUMN v1.task_aggregate.is_passed IS 'The majority of the valid runs passed; NULL if none was checked';
COMMENT ON COLUMN v1.task_aggregate.distinct_answers IS 'Distinct answers: identical repeats are one observation';
COMMENT ON COLUMN v1.task_aggregate.timed_runs IS 'Valid runs with a wall time';
COMMENT ON COLUMN v1.task_aggregate.mean_wall_ns IS 'Mean wall time, ns';
COMMENT ON COLUMN v1.task_aggregate.wall_sum_ns IS 'Sum of the wall times, ns';
COMMENT ON COLUMN v1.task_aggregate.median_wall_ns IS 'Median wall time by nearest rank, ns';
COMMENT ON COLUMN v1.task_aggregate.mad_wall_ns IS 'Median absolute deviation of the wall time, ns';
COMMENT ON COLUMN v1.task_aggregate.latency_cv_micro IS 'Variation of the wall time, 1e-6; NULL below two runs';
COMMENT ON COLUMN v1.task_aggregate.latency_variance_ns2 IS 'Population variance of the wall time, ns^2; NULL below two runs';
COMMENT ON COLUMN v1.task_aggregate.internal_runs IS 'Valid runs with an internal time';
COMMENT ON COLUMN v1.task_aggregate.mean_internal_ns IS 'Mean model-internal time, ns';
COMMENT ON COLUMN v1.task_aggregate.ttft_runs IS 'Valid runs with a time to first token';
COMMENT ON COLUMN v1.task_aggregate.mean_ttft_ns IS 'Mean time to first token, ns';
COMMENT ON COLUMN v1.task_aggregate.counted_runs IS 'Valid runs with a completion count';
COMMENT ON COLUMN v1.task_aggregate.mean_completion_tokens_milli IS 'Mean tokens generated, 1/1000';
COMMENT ON COLUMN v1.task_aggregate.outlier_runs IS 'Runs far from the median in MADs: flagged, never dropped';
COMMENT ON COLUMN v1.task_aggregate.straggler_runs IS 'Runs that took more than straggler_milli of the median, of three at least';
COMMENT ON COLUMN v1.task_aggregate.failed_everywhere IS 'Tried without an OK run of any quant: left out for all';
COMMENT ON COLUMN v1.task_aggregate.is_covered IS 'Enough valid runs';

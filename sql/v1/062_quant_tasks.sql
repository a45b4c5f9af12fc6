-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.task_aggregate, v1.task_standing, v1.policy.
-- Rules: a quant over its tasks, every task weighing the same, else tasks that lost runs
-- would weigh less. A task that failed everywhere is left out for all, and one that could
-- not be checked for all of every adherence. Means are kept as exact sums with their
-- counts, so that comparisons above can cross-multiply.

CREATE VIEW v1.quant_tasks AS
WITH tasks AS (
    SELECT
        tasks.*,
        policy.min_valid_runs,
        standing.is_unsupported,
        if(standing.is_unsupported, NULL, tasks.adherence_nano) AS compared_nano
    FROM v1.task_aggregate AS tasks
    INNER JOIN v1.task_standing AS standing USING (sweep_id, model_id, test_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
),

planned AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS planned_tasks,
        count(*) FILTER (WHERE is_asked) AS asked_tasks,
        count(*) FILTER (WHERE failed_everywhere) AS failed_everywhere_tasks,
        count(*) FILTER (WHERE is_unsupported AND NOT failed_everywhere)
            AS unsupported_tasks,
        TRY_CAST(sum(planned_runs) AS BIGINT) AS planned_runs,
        TRY_CAST(coalesce(sum(planned_runs) FILTER (WHERE is_asked), 0) AS BIGINT) AS asked_runs,
        TRY_CAST(sum(attempts) AS BIGINT) AS attempts,
        TRY_CAST(sum(missing_runs) AS BIGINT) AS missing_runs,
        TRY_CAST(sum(cancelled_runs) AS BIGINT) AS cancelled_runs,
        TRY_CAST(sum(ok_runs) AS BIGINT) AS answered_runs,
        TRY_CAST(sum(truncated_runs) AS BIGINT) AS truncated_runs,
        TRY_CAST(sum(clean_runs) AS BIGINT) AS clean_runs,
        TRY_CAST(sum(valid_runs) AS BIGINT) AS valid_runs,
        TRY_CAST(sum(polluted_runs) AS BIGINT) AS polluted_runs,
        TRY_CAST(sum(polluted_used) AS BIGINT) AS polluted_used,
        TRY_CAST(sum(failed_runs) AS BIGINT) AS failed_runs,
        TRY_CAST(sum(outlier_runs) AS BIGINT) AS outlier_runs,
        TRY_CAST(sum(straggler_runs) AS BIGINT) AS straggler_runs,
        TRY_CAST(sum(checks_unsupported) AS BIGINT) AS checks_unsupported,
        TRY_CAST(sum(distinct_answers) AS BIGINT) AS distinct_answers
    FROM tasks
    GROUP BY ALL
),

compared AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS tasks,
        count(*) FILTER (WHERE is_covered) AS covered_tasks,
        count(*) FILTER (WHERE fillable_runs >= min_valid_runs) AS fillable_tasks,
        count(*) FILTER (WHERE ok_runs = 0 AND failed_runs > 0) AS unsolved_tasks,
        count(*) FILTER (WHERE is_passed AND NOT is_unsupported) AS passed_tasks,
        count(compared_nano) AS adherence_tasks,
        sum(CAST(compared_nano AS HUGEINT)) AS adherence_sum_nano,
        count(mean_wall_ns) AS latency_tasks,
        sum(CAST(mean_wall_ns AS HUGEINT)) AS latency_sum_ns,
        sum(CAST(median_wall_ns AS HUGEINT)) AS typical_latency_sum_ns,
        count(latency_cv_micro) AS cv_tasks,
        sum(latency_cv_micro) AS cv_sum_micro,
        sum(latency_variance_ns2) AS variance_sum_ns2,
        count(mean_internal_ns) AS internal_tasks,
        sum(CAST(mean_internal_ns AS HUGEINT)) AS internal_sum_ns,
        count(mean_ttft_ns) AS ttft_tasks,
        sum(CAST(mean_ttft_ns AS HUGEINT)) AS ttft_sum_ns,
        count(mean_completion_tokens_milli) AS length_tasks,
        sum(CAST(mean_completion_tokens_milli AS HUGEINT)) AS length_sum_milli
    FROM tasks
    WHERE is_asked AND NOT failed_everywhere
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    coalesce(planned.planned_tasks, 0) AS planned_tasks,
    coalesce(planned.asked_tasks, 0) AS asked_tasks,
    coalesce(planned.failed_everywhere_tasks, 0) AS failed_everywhere_tasks,
    coalesce(compared.tasks, 0) AS tasks,
    coalesce(compared.covered_tasks, 0) AS covered_tasks,
    coalesce(compared.fillable_tasks, 0) AS fillable_tasks,
    coalesce(compared.unsolved_tasks, 0) AS unsolved_tasks,
    coalesce(compared.covered_tasks = compared.tasks, false) AS is_covered,
    coalesce(compared.fillable_tasks = compared.tasks, false) AS is_fillable,
    coalesce(planned.unsupported_tasks, 0) AS unsupported_tasks,
    coalesce(planned.planned_runs, 0) AS planned_runs,
    coalesce(planned.asked_runs, 0) AS asked_runs,
    coalesce(planned.answered_runs, 0) AS answered_runs,
    coalesce(planned.truncated_runs, 0) AS truncated_runs,
    coalesce(planned.attempts, 0) AS attempts,
    coalesce(planned.missing_runs, 0) AS missing_runs,
    coalesce(planned.cancelled_runs, 0) AS cancelled_runs,
    coalesce(planned.clean_runs, 0) AS clean_runs,
    coalesce(planned.valid_runs, 0) AS valid_runs,
    coalesce(planned.polluted_runs, 0) AS polluted_runs,
    coalesce(planned.polluted_used, 0) AS polluted_used,
    coalesce(planned.failed_runs, 0) AS failed_runs,
    coalesce(planned.outlier_runs, 0) AS outlier_runs,
    coalesce(planned.straggler_runs, 0) AS straggler_runs,
    coalesce(compared.adherence_tasks, 0) AS adherence_tasks,
    coalesce(compared.passed_tasks, 0) AS passed_tasks,
    coalesce(planned.distinct_answers, 0) AS distinct_answers,
    planned.checks_unsupported,
    compared.adherence_sum_nano,
    TRY_CAST(v1.scaled(compared.adherence_sum_nano, compared.adherence_tasks, 1) AS BIGINT)
        AS adherence_nano,
    coalesce(compared.latency_tasks, 0) AS latency_tasks,
    compared.latency_sum_ns,
    compared.typical_latency_sum_ns,
    TRY_CAST(v1.scaled(compared.latency_sum_ns, compared.latency_tasks, 1) AS BIGINT)
        AS total_latency_ns,
    TRY_CAST(v1.scaled(compared.cv_sum_micro, compared.cv_tasks, 1) AS BIGINT)
        AS latency_cv_micro,
    v1.scaled(compared.variance_sum_ns2, compared.cv_tasks, 1) AS latency_variance_ns2,
    TRY_CAST(v1.scaled(compared.internal_sum_ns, compared.internal_tasks, 1) AS BIGINT)
        AS internal_ns,
    TRY_CAST(v1.scaled(compared.ttft_sum_ns, compared.ttft_tasks, 1) AS BIGINT) AS ttft_ns,
    compared.length_tasks,
    compared.length_sum_milli
FROM v1.quant AS quant
LEFT JOIN planned USING (sweep_id, model_id, quant_tag)
LEFT JOIN compared USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_tasks IS 'One quant over its tasks. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_tasks.asked_tasks IS 'Planned tasks that were asked; fewer than planned where rounds stopped';
COMMENT ON COLUMN v1.quant_tasks.asked_runs IS 'Planned runs of these';
COMMENT ON COLUMN v1.quant_tasks.planned_tasks IS 'Tasks in the plan';
COMMENT ON COLUMN v1.quant_tasks.failed_everywhere_tasks IS 'Of these, without an OK run of any quant: left out for all';
COMMENT ON COLUMN v1.quant_tasks.unsupported_tasks IS 'Of these, left out of every quant''s adherence: a check could not be run on some quant''s answer';
COMMENT ON COLUMN v1.quant_tasks.answered_runs IS 'Planned runs whose counting attempt answered';
COMMENT ON COLUMN v1.quant_tasks.tasks IS 'Tasks that are left';
COMMENT ON COLUMN v1.quant_tasks.covered_tasks IS 'Of these, with enough valid runs';
COMMENT ON COLUMN v1.quant_tasks.fillable_tasks IS 'Of these, with enough runs under include_polluted = fill';
COMMENT ON COLUMN v1.quant_tasks.unsolved_tasks IS 'Of these, tried without any OK run although another quant had one';
COMMENT ON COLUMN v1.quant_tasks.is_covered IS 'Every task that is left has enough valid runs';
COMMENT ON COLUMN v1.quant_tasks.is_fillable IS 'The same under include_polluted = fill';
COMMENT ON COLUMN v1.quant_tasks.planned_runs IS 'Planned runs of the matrix';
COMMENT ON COLUMN v1.quant_tasks.polluted_used IS 'Polluted runs that count, by include_polluted';
COMMENT ON COLUMN v1.quant_tasks.outlier_runs IS 'Runs far from the median of their cell: flagged, never dropped';
COMMENT ON COLUMN v1.quant_tasks.adherence_tasks IS 'Tasks with an adherence';
COMMENT ON COLUMN v1.quant_tasks.passed_tasks IS 'Tasks that passed in the majority of their repetitions';
COMMENT ON COLUMN v1.quant_tasks.distinct_answers IS 'Distinct answers, summed over the tasks';
COMMENT ON COLUMN v1.quant_tasks.adherence_sum_nano IS 'Sum of the task means, 1e-9';
COMMENT ON COLUMN v1.quant_tasks.adherence_nano IS 'Mean of the task means, 1e-9';
COMMENT ON COLUMN v1.quant_tasks.latency_tasks IS 'Tasks with a latency';
COMMENT ON COLUMN v1.quant_tasks.latency_sum_ns IS 'Sum of the tasks'' mean wall times, ns';
COMMENT ON COLUMN v1.quant_tasks.typical_latency_sum_ns IS 'Sum of the tasks'' median wall times, ns';
COMMENT ON COLUMN v1.quant_tasks.total_latency_ns IS 'Mean wall time, every task weighing the same, ns';
COMMENT ON COLUMN v1.quant_tasks.latency_cv_micro IS 'Variation of the wall time within a cell, averaged over tasks, 1e-6';
COMMENT ON COLUMN v1.quant_tasks.latency_variance_ns2 IS 'Variance of the wall time within a cell, averaged over tasks, ns^2';
COMMENT ON COLUMN v1.quant_tasks.internal_ns IS 'Mean model-internal time, every task weighing the same, ns';
COMMENT ON COLUMN v1.quant_tasks.ttft_ns IS 'Mean client-observed time to first token, ns';
COMMENT ON COLUMN v1.quant_tasks.length_tasks IS 'Tasks with a completion length';
COMMENT ON COLUMN v1.quant_tasks.length_sum_milli IS 'Sum of the tasks'' mean completion lengths, 1/1000 tokens';

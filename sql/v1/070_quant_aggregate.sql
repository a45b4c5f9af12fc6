-- Grain: sweep x model x quant, from the plan: a quant without a row appears with zeros.
-- Inputs: v1.quant, v1.task_aggregate, v1.runs, v1.attempts, v1.determinism, v1.policy.
-- Rules: per task first, then the mean over tasks, else tasks that lost runs would weigh
-- less. A task that was tried without an OK run of any quant is left out for all. A quant is covered when
-- every task that is left has min_valid_runs valid runs. Rates are total tokens over total
-- time, each with its count. Means are kept as exact sums with their counts, so that
-- comparisons above can cross-multiply.

CREATE VIEW v1.quant_aggregate AS
WITH tasks AS (
    SELECT
        tasks.*,
        policy.min_valid_runs,
        -- A task that nobody has tried yet has not failed: it is not covered.
        max(tasks.ok_runs) OVER task = 0 AND sum(tasks.failed_runs) OVER task > 0
            AS failed_everywhere
    FROM v1.task_aggregate AS tasks
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = tasks.sweep_id
        AND policy.model_id = tasks.model_id
    WINDOW task AS (PARTITION BY tasks.sweep_id, tasks.model_id, tasks.test_id)
),

by_task AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS planned_tasks,
        count(*) FILTER (WHERE failed_everywhere) AS failed_everywhere_tasks,
        count(*) FILTER (WHERE NOT failed_everywhere) AS tasks,
        count(*) FILTER (WHERE NOT failed_everywhere AND valid_runs >= min_valid_runs)
            AS covered_tasks,
        count(*) FILTER (WHERE NOT failed_everywhere AND fillable_runs >= min_valid_runs)
            AS fillable_tasks,
        count(*) FILTER (WHERE NOT failed_everywhere AND ok_runs = 0 AND failed_runs > 0)
            AS unsolved_tasks,
        CAST(sum(planned_runs) AS BIGINT) AS planned_runs,
        CAST(sum(attempts) AS BIGINT) AS attempts,
        CAST(sum(missing_runs) AS BIGINT) AS missing_runs,
        CAST(sum(clean_runs) AS BIGINT) AS clean_runs,
        CAST(sum(valid_runs) AS BIGINT) AS valid_runs,
        CAST(sum(polluted_runs) AS BIGINT) AS polluted_runs,
        CAST(sum(polluted_used) AS BIGINT) AS polluted_used,
        CAST(sum(failed_runs) AS BIGINT) AS failed_runs,
        CAST(sum(outlier_runs) AS BIGINT) AS outlier_runs,
        CAST(sum(checks_unsupported) AS BIGINT) AS checks_unsupported,
        CAST(sum(distinct_answers) AS BIGINT) AS distinct_answers,
        count(adherence_nano) FILTER (WHERE NOT failed_everywhere) AS adherence_tasks,
        sum(CAST(adherence_nano AS HUGEINT)) FILTER (WHERE NOT failed_everywhere)
            AS adherence_sum_nano,
        count(*) FILTER (WHERE is_passed AND NOT failed_everywhere) AS passed_tasks,
        count(mean_wall_ns) FILTER (WHERE NOT failed_everywhere) AS latency_tasks,
        sum(CAST(mean_wall_ns AS HUGEINT)) FILTER (WHERE NOT failed_everywhere)
            AS latency_sum_ns,
        count(latency_cv_micro) FILTER (WHERE NOT failed_everywhere) AS cv_tasks,
        sum(latency_cv_micro) FILTER (WHERE NOT failed_everywhere) AS cv_sum_micro,
        sum(latency_variance_ns2) FILTER (WHERE NOT failed_everywhere) AS variance_sum_ns2,
        count(mean_internal_ns) FILTER (WHERE NOT failed_everywhere) AS internal_tasks,
        sum(CAST(mean_internal_ns AS HUGEINT)) FILTER (WHERE NOT failed_everywhere)
            AS internal_sum_ns,
        count(mean_ttft_ns) FILTER (WHERE NOT failed_everywhere) AS ttft_tasks,
        sum(CAST(mean_ttft_ns AS HUGEINT)) FILTER (WHERE NOT failed_everywhere)
            AS ttft_sum_ns,
        count(mean_completion_tokens_milli) FILTER (WHERE NOT failed_everywhere)
            AS length_tasks,
        sum(CAST(mean_completion_tokens_milli AS HUGEINT))
            FILTER (WHERE NOT failed_everywhere) AS length_sum_milli
    FROM tasks
    GROUP BY sweep_id, model_id, quant_tag
),

by_run AS (
    SELECT
        runs.sweep_id,
        runs.model_id,
        runs.quant_tag,
        quantile_disc(wall_ns, 0.5) FILTER (WHERE is_valid) AS latency_p50_ns,
        CASE
            WHEN count(wall_ns) FILTER (WHERE is_valid) >= any_value(policy.p95_min_runs)
                THEN quantile_disc(wall_ns, 0.95) FILTER (WHERE is_valid)
        END AS latency_p95_ns,
        sum(CAST(new_prompt_tokens AS HUGEINT))
            FILTER (WHERE is_valid AND prompt_rate_reason IS NULL) AS prompt_rate_tokens,
        sum(CAST(prefill_ns AS HUGEINT))
            FILTER (WHERE is_valid AND prompt_rate_reason IS NULL) AS prompt_rate_ns,
        count(*) FILTER (WHERE is_valid AND prompt_rate_reason IS NULL)
            AS prompt_rate_runs,
        sum(CAST(decoded_tokens AS HUGEINT))
            FILTER (WHERE is_valid AND generation_rate_reason IS NULL)
            AS generation_rate_tokens,
        sum(CAST(decode_ns AS HUGEINT))
            FILTER (WHERE is_valid AND generation_rate_reason IS NULL)
            AS generation_rate_ns,
        count(*) FILTER (WHERE is_valid AND generation_rate_reason IS NULL)
            AS generation_rate_runs,
        CAST(sum(prompt_tokens) FILTER (WHERE is_valid) AS BIGINT) AS prompt_tokens,
        CAST(sum(completion_tokens) FILTER (WHERE is_valid) AS BIGINT)
            AS completion_tokens,
        count(prompt_tokens) FILTER (WHERE is_valid) AS prompt_token_runs,
        count(completion_tokens) FILTER (WHERE is_valid) AS completion_token_runs,
        sum(CAST(wall_ns AS HUGEINT))
            FILTER (WHERE is_valid AND wall_ns > 0 AND internal_ns IS NOT NULL)
            AS overhead_wall_ns,
        sum(CAST(internal_ns AS HUGEINT))
            FILTER (WHERE is_valid AND wall_ns > 0 AND internal_ns IS NOT NULL)
            AS overhead_internal_ns,
        count(*) FILTER (WHERE is_valid AND wall_ns > 0 AND internal_ns IS NOT NULL)
            AS overhead_runs,
        count(*) FILTER (WHERE is_valid AND token_metrics_status = 'OK') AS status_ok,
        count(*) FILTER (WHERE is_valid AND token_metrics_status = 'TOKEN_COUNT_UNAVAILABLE')
            AS status_no_counts,
        count(*) FILTER (WHERE is_valid AND token_metrics_status = 'TIMING_UNAVAILABLE')
            AS status_no_timing,
        count(*) FILTER (
            WHERE is_valid AND token_metrics_status = 'TOKEN_AND_TIMING_UNAVAILABLE'
        ) AS status_nothing,
        max(peak_server_rss_bytes) FILTER (WHERE is_valid) AS peak_rss_bytes,
        max(peak_gpu_memory_bytes) FILTER (WHERE is_valid) AS peak_gpu_bytes,
        max(reported_model_bytes) FILTER (WHERE is_valid) AS reported_bytes,
        CAST(sum(answer_chars) FILTER (WHERE is_valid) AS BIGINT) AS answer_chars,
        CAST(sum(code_chars) FILTER (WHERE is_valid) AS BIGINT) AS code_chars,
        CAST(sum(generation_retries) FILTER (WHERE is_valid) AS BIGINT)
            AS generation_retries
    FROM v1.runs AS runs
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = runs.sweep_id
        AND policy.model_id = runs.model_id
    WHERE runs.phase = 'matrix'
    GROUP BY runs.sweep_id, runs.model_id, runs.quant_tag
),

code_lists AS (
    -- Codes of the counting attempts; a planned run without any is NOT_RUN.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest(
            CASE
                WHEN attempt_id IS NULL THEN ['NOT_RUN']
                ELSE run_quality_reasons
            END
        ) AS code
    FROM v1.runs
    WHERE phase = 'matrix'
),

code_counts AS (
    SELECT sweep_id, model_id, quant_tag, code, count(*) AS runs
    FROM code_lists
    GROUP BY ALL
),

reasons AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list({'reason': code, 'runs': runs} ORDER BY code) AS run_quality_reason_counts
    FROM code_counts
    GROUP BY ALL
),

notes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list_sort(list_distinct(flatten(list(coalesce(advisories, []))))) AS advisories,
        list_sort(list_distinct(flatten(list(coalesce(unobserved_reasons, [])))))
            AS unobserved_reasons
    FROM v1.runs
    WHERE phase = 'matrix'
    GROUP BY ALL
),

repeats AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) FILTER (WHERE is_deterministic IS NOT NULL) AS repeated_groups,
        count(*) FILTER (WHERE is_deterministic) AS deterministic_groups
    FROM v1.determinism
    GROUP BY ALL
),

pairs AS (
    -- Mann-Kendall over the order within each cell.
    SELECT
        earlier.sweep_id,
        earlier.model_id,
        earlier.quant_tag,
        sum(sign(later.wall_ns - earlier.wall_ns)) AS concordance
    FROM v1.runs AS earlier
    INNER JOIN v1.runs AS later
        ON later.sweep_id = earlier.sweep_id
        AND later.model_id = earlier.model_id
        AND later.quant_tag = earlier.quant_tag
        AND later.test_id = earlier.test_id
        AND later.order_index > earlier.order_index
    WHERE
        earlier.phase = 'matrix' AND earlier.is_valid AND earlier.wall_ns IS NOT NULL
        AND later.phase = 'matrix' AND later.is_valid AND later.wall_ns IS NOT NULL
    GROUP BY ALL
),

trend_variance AS (
    -- n (n - 1) (2n + 5) / 18 per cell, kept as 18 times the variance.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        sum(
            CAST(timed_runs AS HUGEINT) * (timed_runs - 1) * (2 * timed_runs + 5)
        ) AS variance_18
    FROM v1.task_aggregate
    GROUP BY ALL
),

ends AS (
    SELECT
        runs.sweep_id,
        runs.model_id,
        runs.quant_tag,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE repetition = first_repetition)
            AS first_ns,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE repetition = last_repetition)
            AS last_ns
    FROM (
        SELECT
            *,
            min(repetition) OVER quant AS first_repetition,
            max(repetition) OVER quant AS last_repetition,
            count(*) OVER (
                PARTITION BY sweep_id, model_id, quant_tag, test_id
            ) AS cell_runs,
            max(repetition) OVER quant - min(repetition) OVER quant + 1 AS repetitions
        FROM v1.runs
        WHERE phase = 'matrix' AND is_valid AND wall_ns IS NOT NULL
        WINDOW quant AS (PARTITION BY sweep_id, model_id, quant_tag)
    ) AS runs
    -- Only cells that have every repetition: both ends are over the same work.
    WHERE cell_runs >= repetitions
    GROUP BY ALL
),

trends AS (
    SELECT
        pairs.sweep_id,
        pairs.model_id,
        pairs.quant_tag,
        coalesce(
            pairs.concordance > 0
            AND CAST(pairs.concordance AS HUGEINT) * CAST(pairs.concordance AS HUGEINT)
            * 18 * 1000
            > trend_variance.variance_18 * policy.drift_chi2_milli
            AND v1.exceeds_ppm(ends.last_ns - ends.first_ns, ends.first_ns, policy.drift_min_ppm),
            false
        ) AS has_drift
    FROM pairs
    INNER JOIN trend_variance
        ON trend_variance.sweep_id = pairs.sweep_id
        AND trend_variance.model_id = pairs.model_id
        AND trend_variance.quant_tag = pairs.quant_tag
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = pairs.sweep_id
        AND policy.model_id = pairs.model_id
    LEFT JOIN ends
        ON ends.sweep_id = pairs.sweep_id
        AND ends.model_id = pairs.model_id
        AND ends.quant_tag = pairs.quant_tag
),

joined AS (
    SELECT
        quant.sweep_id,
        quant.model_id,
        quant.quant_tag,
        quant.quant_rank,
        quant.rank_known,
        quant.bits_per_weight_micro,
        quant.bits_per_weight_source,
        quant.model_bytes,
        coalesce(by_task.planned_tasks, 0) AS planned_tasks,
        coalesce(by_task.failed_everywhere_tasks, 0) AS failed_everywhere_tasks,
        coalesce(by_task.tasks, 0) AS tasks,
        coalesce(by_task.covered_tasks, 0) AS covered_tasks,
        coalesce(by_task.fillable_tasks, 0) AS fillable_tasks,
        coalesce(by_task.unsolved_tasks, 0) AS unsolved_tasks,
        coalesce(by_task.planned_runs, 0) AS planned_runs,
        coalesce(by_task.attempts, 0) AS attempts,
        coalesce(by_task.missing_runs, 0) AS missing_runs,
        coalesce(by_task.clean_runs, 0) AS clean_runs,
        coalesce(by_task.valid_runs, 0) AS valid_runs,
        coalesce(by_task.polluted_runs, 0) AS polluted_runs,
        coalesce(by_task.polluted_used, 0) AS polluted_used,
        coalesce(by_task.failed_runs, 0) AS failed_runs,
        coalesce(by_task.outlier_runs, 0) AS outlier_runs,
        coalesce(by_task.adherence_tasks, 0) AS adherence_tasks,
        coalesce(by_task.passed_tasks, 0) AS passed_tasks,
        coalesce(by_task.distinct_answers, 0) AS distinct_answers,
        by_task.checks_unsupported,
        by_task.adherence_sum_nano,
        coalesce(by_task.latency_tasks, 0) AS latency_tasks,
        by_task.latency_sum_ns,
        by_task.cv_tasks,
        by_task.cv_sum_micro,
        by_task.variance_sum_ns2,
        by_task.internal_tasks,
        by_task.internal_sum_ns,
        by_task.ttft_tasks,
        by_task.ttft_sum_ns,
        by_task.length_tasks,
        by_task.length_sum_milli,
        by_run.* EXCLUDE (sweep_id, model_id, quant_tag),
        reasons.run_quality_reason_counts,
        notes.advisories,
        notes.unobserved_reasons,
        repeats.repeated_groups,
        repeats.deterministic_groups,
        coalesce(trends.has_drift, false) AS has_drift
    FROM v1.quant AS quant
    LEFT JOIN by_task
        ON by_task.sweep_id = quant.sweep_id
        AND by_task.model_id = quant.model_id
        AND by_task.quant_tag = quant.quant_tag
    LEFT JOIN by_run
        ON by_run.sweep_id = quant.sweep_id
        AND by_run.model_id = quant.model_id
        AND by_run.quant_tag = quant.quant_tag
    LEFT JOIN reasons
        ON reasons.sweep_id = quant.sweep_id
        AND reasons.model_id = quant.model_id
        AND reasons.quant_tag = quant.quant_tag
    LEFT JOIN notes
        ON notes.sweep_id = quant.sweep_id
        AND notes.model_id = quant.model_id
        AND notes.quant_tag = quant.quant_tag
    LEFT JOIN repeats
        ON repeats.sweep_id = quant.sweep_id
        AND repeats.model_id = quant.model_id
        AND repeats.quant_tag = quant.quant_tag
    LEFT JOIN trends
        ON trends.sweep_id = quant.sweep_id
        AND trends.model_id = quant.model_id
        AND trends.quant_tag = quant.quant_tag
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    quant_rank,
    rank_known,
    bits_per_weight_micro,
    bits_per_weight_source,
    model_bytes,
    planned_tasks,
    failed_everywhere_tasks,
    tasks,
    covered_tasks,
    fillable_tasks,
    unsolved_tasks,
    tasks > 0 AND covered_tasks = tasks AS is_covered,
    tasks > 0 AND fillable_tasks = tasks AS is_fillable,
    planned_runs,
    attempts,
    missing_runs,
    clean_runs,
    valid_runs,
    polluted_runs,
    polluted_used,
    failed_runs,
    outlier_runs,
    if(planned_runs > 0 AND clean_runs = planned_runs, 'CLEAN', 'POLLUTED')
        AS run_quality_status,
    list_transform(
        coalesce(run_quality_reason_counts, []), lambda entry: entry.reason
    ) AS run_quality_reasons,
    coalesce(run_quality_reason_counts, []) AS run_quality_reason_counts,
    list_sort(
        list_concat(
            coalesce(advisories, []),
            v1.codes([
                if(has_drift, 'DRIFT', NULL),
                if(outlier_runs > 0, 'OUTLIER', NULL),
                if(failed_everywhere_tasks > 0, 'TASK_FAILED_EVERYWHERE', NULL)
            ])
        )
    ) AS advisories,
    coalesce(unobserved_reasons, []) AS unobserved_reasons,
    adherence_tasks,
    passed_tasks,
    distinct_answers,
    checks_unsupported,
    adherence_sum_nano,
    CAST(v1.scaled(adherence_sum_nano, adherence_tasks, 1) AS BIGINT) AS adherence_nano,
    latency_tasks,
    latency_sum_ns,
    CAST(v1.scaled(latency_sum_ns, latency_tasks, 1) AS BIGINT) AS total_latency_ns,
    latency_p50_ns,
    latency_p95_ns,
    CAST(v1.scaled(cv_sum_micro, cv_tasks, 1) AS BIGINT) AS latency_cv_micro,
    v1.scaled(variance_sum_ns2, cv_tasks, 1) AS latency_variance_ns2,
    CAST(v1.scaled(internal_sum_ns, internal_tasks, 1) AS BIGINT) AS internal_ns,
    CAST(v1.scaled(ttft_sum_ns, ttft_tasks, 1) AS BIGINT) AS ttft_ns,
    length_tasks,
    length_sum_milli,
    CAST(v1.scaled(prompt_rate_tokens, prompt_rate_ns, 1000000000000) AS BIGINT)
        AS prompt_tokens_per_second_milli,
    coalesce(prompt_rate_runs, 0) AS prompt_rate_runs,
    CAST(v1.scaled(generation_rate_tokens, generation_rate_ns, 1000000000000) AS BIGINT)
        AS generation_tokens_per_second_milli,
    coalesce(generation_rate_runs, 0) AS generation_rate_runs,
    prompt_tokens,
    coalesce(prompt_token_runs, 0) AS prompt_token_runs,
    completion_tokens,
    coalesce(completion_token_runs, 0) AS completion_token_runs,
    v1.micro(overhead_wall_ns - overhead_internal_ns, overhead_wall_ns)
        AS orchestration_overhead_micro,
    coalesce(overhead_runs, 0) AS overhead_runs,
    CASE
        WHEN status_nothing > 0 THEN 'TOKEN_AND_TIMING_UNAVAILABLE'
        WHEN status_no_timing > 0 THEN 'TIMING_UNAVAILABLE'
        WHEN status_no_counts > 0 THEN 'TOKEN_COUNT_UNAVAILABLE'
        WHEN status_ok > 0 THEN 'OK'
    END AS token_metrics_status,
    coalesce(status_ok, 0) AS status_ok_runs,
    coalesce(status_no_counts, 0) AS status_token_count_unavailable_runs,
    coalesce(status_no_timing, 0) AS status_timing_unavailable_runs,
    coalesce(status_nothing, 0) AS status_token_and_timing_unavailable_runs,
    CASE
        WHEN peak_rss_bytes IS NOT NULL
            THEN peak_rss_bytes + coalesce(peak_gpu_bytes, 0)
        WHEN peak_gpu_bytes IS NOT NULL THEN peak_gpu_bytes
        ELSE reported_bytes
    END AS peak_memory_bytes,
    CASE
        WHEN peak_rss_bytes IS NOT NULL AND peak_gpu_bytes IS NOT NULL THEN 'rss+vram'
        WHEN peak_rss_bytes IS NOT NULL THEN 'rss'
        WHEN peak_gpu_bytes IS NOT NULL THEN 'vram'
        WHEN reported_bytes IS NOT NULL THEN 'reported'
    END AS memory_source,
    v1.micro(code_chars, answer_chars) AS code_density_micro,
    generation_retries,
    coalesce(repeated_groups, 0) AS repeated_groups,
    coalesce(deterministic_groups, 0) AS deterministic_groups,
    v1.micro(deterministic_groups, repeated_groups) AS determinism_micro
FROM joined;

COMMENT ON VIEW v1.quant_aggregate IS 'One quant over all tasks. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_aggregate.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.quant_aggregate.model_id IS 'Model';
COMMENT ON COLUMN v1.quant_aggregate.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.quant_aggregate.quant_rank IS 'Precision rank in the session, 1 = least precise, NULL if not known';
COMMENT ON COLUMN v1.quant_aggregate.rank_known IS 'Whether the session''s basis knows this quant';
COMMENT ON COLUMN v1.quant_aggregate.bits_per_weight_micro IS 'Bits per weight, 1e-6';
COMMENT ON COLUMN v1.quant_aggregate.bits_per_weight_source IS 'measured or nominal';
COMMENT ON COLUMN v1.quant_aggregate.model_bytes IS 'Size of the weights, bytes';
COMMENT ON COLUMN v1.quant_aggregate.planned_tasks IS 'Tasks in the plan';
COMMENT ON COLUMN v1.quant_aggregate.failed_everywhere_tasks IS 'Of these, without an OK run of any quant: left out for all';
COMMENT ON COLUMN v1.quant_aggregate.tasks IS 'Tasks that are left';
COMMENT ON COLUMN v1.quant_aggregate.covered_tasks IS 'Of these, with enough valid runs';
COMMENT ON COLUMN v1.quant_aggregate.fillable_tasks IS 'Of these, with enough runs under include_polluted = fill';
COMMENT ON COLUMN v1.quant_aggregate.unsolved_tasks IS 'Of these, tried without any OK run although another quant had one';
COMMENT ON COLUMN v1.quant_aggregate.is_covered IS 'Every task that is left has enough valid runs';
COMMENT ON COLUMN v1.quant_aggregate.is_fillable IS 'The same under include_polluted = fill';
COMMENT ON COLUMN v1.quant_aggregate.planned_runs IS 'Planned runs of the matrix';
COMMENT ON COLUMN v1.quant_aggregate.attempts IS 'Attempts made';
COMMENT ON COLUMN v1.quant_aggregate.missing_runs IS 'Planned runs without any attempt';
COMMENT ON COLUMN v1.quant_aggregate.clean_runs IS 'Planned runs whose counting attempt is CLEAN';
COMMENT ON COLUMN v1.quant_aggregate.valid_runs IS 'Runs that count';
COMMENT ON COLUMN v1.quant_aggregate.polluted_runs IS 'Planned runs whose counting attempt is POLLUTED';
COMMENT ON COLUMN v1.quant_aggregate.polluted_used IS 'Polluted runs that count, by include_polluted';
COMMENT ON COLUMN v1.quant_aggregate.failed_runs IS 'Planned runs whose counting attempt failed';
COMMENT ON COLUMN v1.quant_aggregate.outlier_runs IS 'Runs far from the median of their cell: flagged, never dropped';
COMMENT ON COLUMN v1.quant_aggregate.run_quality_status IS 'CLEAN when every planned run has a clean attempt';
COMMENT ON COLUMN v1.quant_aggregate.run_quality_reasons IS 'Reasons of the counting attempts, sorted; NOT_RUN where there is none';
COMMENT ON COLUMN v1.quant_aggregate.run_quality_reason_counts IS 'The same with the number of planned runs';
COMMENT ON COLUMN v1.quant_aggregate.advisories IS 'What is worth a note, sorted';
COMMENT ON COLUMN v1.quant_aggregate.unobserved_reasons IS 'Reasons that could not be observed in some run, sorted';
COMMENT ON COLUMN v1.quant_aggregate.adherence_tasks IS 'Tasks with an adherence';
COMMENT ON COLUMN v1.quant_aggregate.passed_tasks IS 'Tasks that passed in the majority of their repetitions';
COMMENT ON COLUMN v1.quant_aggregate.distinct_answers IS 'Distinct answers, summed over the tasks';
COMMENT ON COLUMN v1.quant_aggregate.checks_unsupported IS 'Checks the sandbox could not run';
COMMENT ON COLUMN v1.quant_aggregate.adherence_sum_nano IS 'Sum of the task means, 1e-9';
COMMENT ON COLUMN v1.quant_aggregate.adherence_nano IS 'Mean of the task means, 1e-9';
COMMENT ON COLUMN v1.quant_aggregate.latency_tasks IS 'Tasks with a latency';
COMMENT ON COLUMN v1.quant_aggregate.latency_sum_ns IS 'Sum of the tasks'' mean wall times, ns';
COMMENT ON COLUMN v1.quant_aggregate.total_latency_ns IS 'Mean wall time, every task weighing the same, ns';
COMMENT ON COLUMN v1.quant_aggregate.latency_p50_ns IS 'Median wall time of the valid runs by nearest rank, ns';
COMMENT ON COLUMN v1.quant_aggregate.latency_p95_ns IS '95th percentile, NULL below p95_min_runs runs, ns';
COMMENT ON COLUMN v1.quant_aggregate.latency_cv_micro IS 'Variation of the wall time within a cell, averaged over tasks, 1e-6';
COMMENT ON COLUMN v1.quant_aggregate.latency_variance_ns2 IS 'Variance of the wall time within a cell, averaged over tasks, ns^2';
COMMENT ON COLUMN v1.quant_aggregate.internal_ns IS 'Mean model-internal time, every task weighing the same, ns';
COMMENT ON COLUMN v1.quant_aggregate.ttft_ns IS 'Mean client-observed time to first token, ns';
COMMENT ON COLUMN v1.quant_aggregate.length_tasks IS 'Tasks with a completion length';
COMMENT ON COLUMN v1.quant_aggregate.length_sum_milli IS 'Sum of the tasks'' mean completion lengths, 1/1000 tokens';
COMMENT ON COLUMN v1.quant_aggregate.prompt_tokens_per_second_milli IS 'New prompt tokens / prefill time, totals, 1/1000 per second';
COMMENT ON COLUMN v1.quant_aggregate.prompt_rate_runs IS 'Runs behind that rate';
COMMENT ON COLUMN v1.quant_aggregate.generation_tokens_per_second_milli IS 'Decoded tokens / decode time, totals, 1/1000 per second';
COMMENT ON COLUMN v1.quant_aggregate.generation_rate_runs IS 'Runs behind that rate';
COMMENT ON COLUMN v1.quant_aggregate.prompt_tokens IS 'Prompt tokens of the valid runs that report them';
COMMENT ON COLUMN v1.quant_aggregate.prompt_token_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_aggregate.completion_tokens IS 'Completion tokens of the valid runs that report them';
COMMENT ON COLUMN v1.quant_aggregate.completion_token_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_aggregate.orchestration_overhead_micro IS '(wall - internal) / wall over runs with both, 1e-6';
COMMENT ON COLUMN v1.quant_aggregate.overhead_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_aggregate.token_metrics_status IS 'The worst token status of the valid runs';
COMMENT ON COLUMN v1.quant_aggregate.status_ok_runs IS 'Valid runs with status OK';
COMMENT ON COLUMN v1.quant_aggregate.status_token_count_unavailable_runs IS 'Valid runs with status TOKEN_COUNT_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_aggregate.status_timing_unavailable_runs IS 'Valid runs with status TIMING_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_aggregate.status_token_and_timing_unavailable_runs IS 'Valid runs with status TOKEN_AND_TIMING_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_aggregate.peak_memory_bytes IS 'Peak memory of the serving process, else the size it reports, bytes';
COMMENT ON COLUMN v1.quant_aggregate.memory_source IS 'rss, rss+vram, vram or reported';
COMMENT ON COLUMN v1.quant_aggregate.code_density_micro IS 'Characters in code fences / characters of the answers, 1e-6';
COMMENT ON COLUMN v1.quant_aggregate.generation_retries IS 'Further generations inside attempts';
COMMENT ON COLUMN v1.quant_aggregate.repeated_groups IS 'Groups of equal requests with two attempts or more';
COMMENT ON COLUMN v1.quant_aggregate.deterministic_groups IS 'Of these, with one distinct answer';
COMMENT ON COLUMN v1.quant_aggregate.determinism_micro IS 'The share of these, 1e-6';

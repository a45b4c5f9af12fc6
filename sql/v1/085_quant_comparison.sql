-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.task_pair, v1.runs, v1.policy.
-- Rules: against the reference, over the tasks on which both have a verdict, so that
-- no quant is held against work it did not do. It is judged when these are at least
-- min_pair_ppm of the tasks that both were asked. A flip is lost when the reference passes the task and
-- this one does not. Response agreement is paired by task and repetition. vibe_delta is
-- the adherence given up per GiB of memory saved, and NULL with a reason where one of
-- these is unknown. Both deltas of adherence come from the exact sums of the tasks' means,
-- over their common denominator, and are rounded once; where that would leave 10^15 (checks
-- whose numbers share nothing), from the means in 1e-9.

CREATE VIEW v1.quant_comparison AS
WITH baselines AS (
    SELECT DISTINCT sweep_id, model_id, baseline_quant_tag, baseline_shifted
    FROM v1.task_pair
    WHERE baseline_quant_tag IS NOT NULL
),

denominators AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list_reduce(
            list_sort(list_distinct(
                list(own_checks_total) || list(baseline_checks_total)
            )),
            lambda found, one: CASE
                WHEN found <= 1000000000000000 THEN lcm(found, CAST(one AS HUGEINT))
            END,
            CAST(1 AS HUGEINT)
        ) AS parts
    FROM v1.task_pair
    WHERE is_paired
    GROUP BY ALL
),

fractions AS (
    SELECT
        pairs.*,
        if(parts <= 1000000000000000, parts, NULL) AS parts
    FROM v1.task_pair AS pairs
    LEFT JOIN denominators USING (sweep_id, model_id, quant_tag)
),

paired_tasks AS (
    -- A figure counts over the tasks on which both sides have it.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        -- Where rounds end in the middle, it may be ahead of the reference.
        count(*) FILTER (WHERE is_common) AS tasks,
        count(*) FILTER (WHERE is_paired) AS pairs,
        count(*) FILTER (WHERE baseline_passed AND NOT own_passed) AS flips_lost,
        count(*) FILTER (WHERE NOT baseline_passed AND own_passed) AS flips_gained,
        count(*) FILTER (WHERE baseline_passed AND is_paired) AS baseline_passes,
        -- loss = max(0, baseline task mean - own), task by task.
        sum(greatest(0, CAST(baseline_adherence_nano AS HUGEINT) - own_adherence_nano))
            FILTER (WHERE is_paired) AS loss_sum_nano,
        sum(CAST(own_adherence_nano AS HUGEINT)) FILTER (WHERE is_paired)
            AS own_adherence_sum_nano,
        sum(CAST(baseline_adherence_nano AS HUGEINT)) FILTER (WHERE is_paired)
            AS baseline_adherence_sum_nano,
        -- Exact, in 1/parts: no mean of a task is rounded before it is subtracted.
        coalesce(min(parts), 1000000000) AS parts,
        coalesce(
            sum(
                own_checks_passed * (parts // own_checks_total)
                - baseline_checks_passed * (parts // baseline_checks_total)
            ) FILTER (WHERE is_paired),
            sum(CAST(own_adherence_nano AS HUGEINT) - baseline_adherence_nano)
                FILTER (WHERE is_paired)
        ) AS delta_sum,
        count(own_wall_ns + baseline_wall_ns) AS timed_pairs,
        sum(CAST(own_wall_ns AS HUGEINT)) FILTER (WHERE baseline_wall_ns IS NOT NULL)
            AS own_wall_sum_ns,
        sum(CAST(baseline_wall_ns AS HUGEINT)) FILTER (WHERE own_wall_ns IS NOT NULL)
            AS baseline_wall_sum_ns,
        sum(CAST(own_typical_ns AS HUGEINT)) FILTER (WHERE baseline_typical_ns IS NOT NULL)
            AS own_typical_sum_ns,
        sum(CAST(baseline_typical_ns AS HUGEINT)) FILTER (WHERE own_typical_ns IS NOT NULL)
            AS baseline_typical_sum_ns,
        sum(CAST(own_tokens_milli AS HUGEINT))
            FILTER (WHERE baseline_tokens_milli IS NOT NULL) AS own_milli,
        sum(CAST(baseline_tokens_milli AS HUGEINT))
            FILTER (WHERE own_tokens_milli IS NOT NULL) AS baseline_milli
    FROM fractions
    GROUP BY ALL
),

answers AS (
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        count(*) AS answer_pairs,
        count(*) FILTER (WHERE own.answer_text = other.answer_text) AS answers_agreeing
    FROM v1.runs AS own
    INNER JOIN baselines USING (sweep_id, model_id)
    INNER JOIN v1.runs AS other
        ON other.sweep_id = own.sweep_id
        AND other.model_id = own.model_id
        AND other.quant_tag = baselines.baseline_quant_tag
        AND other.test_id = own.test_id
        AND other.repetition = own.repetition
    WHERE
        own.is_valid AND other.is_valid
        AND own.answer_text IS NOT NULL AND other.answer_text IS NOT NULL
    GROUP BY ALL
),

joined AS (
    SELECT
        quants.sweep_id,
        quants.model_id,
        quants.quant_tag,
        baselines.baseline_quant_tag,
        quants.quant_tag = baselines.baseline_quant_tag AS is_baseline_quant,
        baselines.baseline_shifted,
        baseline.adherence_sum_nano AS baseline_adherence_sum_nano,
        baseline.adherence_tasks AS baseline_adherence_tasks,
        baseline.passed_tasks AS baseline_passed_tasks,
        paired_tasks.delta_sum,
        paired_tasks.parts,
        v1.scaled(
            paired_tasks.delta_sum, paired_tasks.parts * paired_tasks.pairs, 1000000000
        ) AS adherence_delta_nano,
        v1.scaled(paired_tasks.own_wall_sum_ns, paired_tasks.timed_pairs, 1)
        - v1.scaled(paired_tasks.baseline_wall_sum_ns, paired_tasks.timed_pairs, 1)
            AS latency_delta_ns,
        coalesce(paired_tasks.tasks, 0) AS tasks,
        coalesce(paired_tasks.pairs, 0) AS pairs,
        coalesce(
            paired_tasks.pairs > 0
            AND paired_tasks.pairs * 1000000 >= paired_tasks.tasks * policy.min_pair_ppm,
            false
        ) AS is_judged,
        coalesce(paired_tasks.baseline_passes, 0) AS baseline_passes,
        coalesce(paired_tasks.flips_lost, 0) AS flips_lost,
        coalesce(paired_tasks.flips_gained, 0) AS flips_gained,
        coalesce(answers.answer_pairs, 0) AS answer_pairs,
        coalesce(answers.answers_agreeing, 0) AS answers_agreeing,
        paired_tasks.loss_sum_nano,
        paired_tasks.own_adherence_sum_nano AS paired_adherence_sum_nano,
        paired_tasks.baseline_adherence_sum_nano AS paired_baseline_adherence_sum_nano,
        paired_tasks.own_typical_sum_ns AS paired_typical_sum_ns,
        paired_tasks.baseline_typical_sum_ns AS paired_baseline_typical_sum_ns,
        v1.exceeds_ppm(
            abs(paired_tasks.own_milli - paired_tasks.baseline_milli),
            paired_tasks.baseline_milli,
            policy.output_length_ppm
        ) AS output_length_differs,
        CASE
            WHEN quants.memory_source = baseline.memory_source
                THEN baseline.peak_memory_bytes - quants.peak_memory_bytes
        END AS memory_saved_bytes
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN baselines USING (sweep_id, model_id)
    LEFT JOIN paired_tasks USING (sweep_id, model_id, quant_tag)
    LEFT JOIN answers USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.quant_aggregate AS baseline
        ON baseline.sweep_id = quants.sweep_id
        AND baseline.model_id = quants.model_id
        AND baseline.quant_tag = baselines.baseline_quant_tag
),

reasoned AS (
    SELECT
        *,
        CASE
            WHEN baseline_quant_tag IS NULL THEN 'NO_BASELINE'
            WHEN adherence_delta_nano IS NULL THEN 'ADHERENCE_UNAVAILABLE'
            WHEN memory_saved_bytes IS NULL THEN 'MEMORY_UNAVAILABLE'
            WHEN memory_saved_bytes <= 0 THEN 'NO_MEMORY_SAVED'
            ELSE 'OK'
        END AS vibe_delta_status
    FROM joined
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    baseline_quant_tag,
    is_baseline_quant,
    baseline_shifted,
    baseline_adherence_sum_nano,
    baseline_adherence_tasks,
    baseline_passed_tasks,
    TRY_CAST(adherence_delta_nano AS BIGINT) AS adherence_delta_nano,
    TRY_CAST(latency_delta_ns AS BIGINT) AS latency_delta_ns,
    tasks,
    pairs,
    is_judged,
    baseline_passes,
    flips_lost,
    flips_gained,
    answer_pairs,
    answers_agreeing,
    v1.micro(answers_agreeing, answer_pairs) AS response_agreement_micro,
    loss_sum_nano,
    paired_adherence_sum_nano,
    paired_baseline_adherence_sum_nano,
    paired_typical_sum_ns,
    paired_baseline_typical_sum_ns,
    output_length_differs,
    memory_saved_bytes,
    -- Adherence per GiB, to 1e-6: delta_sum / parts / pairs * 2^30 / bytes * 10^6.
    CASE
        WHEN
            vibe_delta_status = 'OK'
            AND v1.fits(CAST(parts AS DOUBLE) * pairs, memory_saved_bytes)
            THEN TRY_CAST(
                v1.scaled(
                    greatest(0, -delta_sum),
                    parts * pairs * CAST(memory_saved_bytes AS HUGEINT),
                    1073741824000000
                ) AS BIGINT
            )
    END AS vibe_delta_micro,
    vibe_delta_status
FROM reasoned;

COMMENT ON VIEW v1.quant_comparison IS 'Each quant against the reference of its sweep. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_comparison.is_baseline_quant IS 'This quant is the reference';
COMMENT ON COLUMN v1.quant_comparison.baseline_shifted IS 'The reference is not the most precise planned one';
COMMENT ON COLUMN v1.quant_comparison.baseline_adherence_sum_nano IS 'Sum of the reference''s task means, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.baseline_adherence_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.quant_comparison.baseline_passed_tasks IS 'Of these, the tasks that it passes in full';
COMMENT ON COLUMN v1.quant_comparison.adherence_delta_nano IS 'Own adherence minus the reference''s over the pairs, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.latency_delta_ns IS 'Own mean wall time minus the reference''s over the tasks that both have timed, ns';
COMMENT ON COLUMN v1.quant_comparison.tasks IS 'Tasks that both were asked and that did not fail everywhere';
COMMENT ON COLUMN v1.quant_comparison.pairs IS 'Of these, with a verdict on both sides';
COMMENT ON COLUMN v1.quant_comparison.is_judged IS 'These are enough to judge this quant';
COMMENT ON COLUMN v1.quant_comparison.baseline_passes IS 'Of the pairs, passed by the reference';
COMMENT ON COLUMN v1.quant_comparison.flips_lost IS 'Of these, passed by the reference only';
COMMENT ON COLUMN v1.quant_comparison.flips_gained IS 'Of these, passed by this quant only';
COMMENT ON COLUMN v1.quant_comparison.answer_pairs IS 'Pairs of valid runs by task and repetition';
COMMENT ON COLUMN v1.quant_comparison.answers_agreeing IS 'Of these, with the same answer';
COMMENT ON COLUMN v1.quant_comparison.response_agreement_micro IS 'The share of these, 1e-6';
COMMENT ON COLUMN v1.quant_comparison.loss_sum_nano IS 'Sum over the pairs of max(0, baseline task mean - own), 1e-9';
COMMENT ON COLUMN v1.quant_comparison.paired_adherence_sum_nano IS 'Own adherence summed over the pairs, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.paired_baseline_adherence_sum_nano IS 'The reference''s adherence summed over the pairs, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.paired_typical_sum_ns IS 'Own median wall times summed over the tasks that both have timed, ns';
COMMENT ON COLUMN v1.quant_comparison.paired_baseline_typical_sum_ns IS 'The reference''s median wall times summed over the same tasks, ns';
COMMENT ON COLUMN v1.quant_comparison.output_length_differs IS 'More or fewer tokens than the reference beyond output_length_ppm';
COMMENT ON COLUMN v1.quant_comparison.memory_saved_bytes IS 'Peak memory of the reference minus own, from one source, bytes';
COMMENT ON COLUMN v1.quant_comparison.vibe_delta_micro IS 'max(0, baseline adherence - own) per GiB of memory saved, 1e-6';
COMMENT ON COLUMN v1.quant_comparison.vibe_delta_status IS 'OK, NO_BASELINE, ADHERENCE_UNAVAILABLE, MEMORY_UNAVAILABLE or NO_MEMORY_SAVED';

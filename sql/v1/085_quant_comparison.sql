-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.task_aggregate, v1.runs, v1.policy.
-- Rules: the baseline quant is the most precise covered quant of known rank. Against it,
-- paired by task: a flip is lost when the baseline quant passes the task and this one does
-- not. Response agreement is paired by task and repetition. vibe_delta is the adherence
-- given up per GiB of memory saved, and NULL with a reason where one of these is unknown.

CREATE VIEW v1.quant_comparison AS
WITH baselines AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        quant_rank,
        adherence_sum_nano,
        adherence_tasks,
        peak_memory_bytes,
        memory_source,
        latency_sum_ns,
        latency_tasks,
        quant_rank = max_rank AS is_most_precise
    FROM (
        SELECT
            *,
            max(quant_rank) OVER (PARTITION BY sweep_id, model_id) AS max_rank
        FROM v1.quant_aggregate
    )
    WHERE is_covered AND rank_known
    QUALIFY
        row_number() OVER (PARTITION BY sweep_id, model_id ORDER BY quant_rank DESC) = 1
),

pairs AS (
    -- Each task beside the same task of the baseline quant.
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        own.is_passed AS own_passed,
        other.is_passed AS baseline_passed,
        own.adherence_nano AS own_nano,
        other.adherence_nano AS baseline_nano,
        own.mean_completion_tokens_milli AS own_milli,
        other.mean_completion_tokens_milli AS baseline_milli
    FROM v1.task_aggregate AS own
    INNER JOIN baselines USING (sweep_id, model_id)
    INNER JOIN v1.task_aggregate AS other
        ON other.sweep_id = own.sweep_id
        AND other.model_id = own.model_id
        AND other.quant_tag = baselines.quant_tag
        AND other.test_id = own.test_id
),

paired_tasks AS (
    -- A figure counts over the tasks on which both sides have it.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) FILTER (WHERE own_passed IS NOT NULL AND baseline_passed IS NOT NULL)
            AS pairs,
        count(*) FILTER (WHERE baseline_passed AND NOT own_passed) AS flips_lost,
        count(*) FILTER (WHERE NOT baseline_passed AND own_passed) AS flips_gained,
        count(own_nano + baseline_nano) AS loss_tasks,
        -- loss = max(0, baseline task mean - own), task by task.
        sum(greatest(0, CAST(baseline_nano AS HUGEINT) - own_nano))
            FILTER (WHERE own_nano IS NOT NULL AND baseline_nano IS NOT NULL)
            AS loss_sum_nano,
        sum(CAST(own_milli AS HUGEINT)) FILTER (WHERE baseline_milli IS NOT NULL)
            AS own_milli,
        sum(CAST(baseline_milli AS HUGEINT)) FILTER (WHERE own_milli IS NOT NULL)
            AS baseline_milli
    FROM pairs
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
        AND other.quant_tag = baselines.quant_tag
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
        baselines.quant_tag AS baseline_quant_tag,
        quants.quant_tag = baselines.quant_tag AS is_baseline_quant,
        NOT baselines.is_most_precise AS baseline_shifted,
        baselines.adherence_sum_nano AS baseline_adherence_sum_nano,
        baselines.adherence_tasks AS baseline_adherence_tasks,
        quants.adherence_sum_nano,
        quants.adherence_tasks,
        v1.scaled(quants.adherence_sum_nano, quants.adherence_tasks, 1)
        - v1.scaled(baselines.adherence_sum_nano, baselines.adherence_tasks, 1)
            AS adherence_delta_nano,
        v1.scaled(quants.latency_sum_ns, quants.latency_tasks, 1)
        - v1.scaled(baselines.latency_sum_ns, baselines.latency_tasks, 1)
            AS latency_delta_ns,
        coalesce(paired_tasks.pairs, 0) AS pairs,
        coalesce(paired_tasks.flips_lost, 0) AS flips_lost,
        coalesce(paired_tasks.flips_gained, 0) AS flips_gained,
        coalesce(answers.answer_pairs, 0) AS answer_pairs,
        coalesce(answers.answers_agreeing, 0) AS answers_agreeing,
        paired_tasks.loss_tasks,
        paired_tasks.loss_sum_nano,
        v1.exceeds_ppm(
            abs(paired_tasks.own_milli - paired_tasks.baseline_milli),
            paired_tasks.baseline_milli,
            policy.output_length_ppm
        ) AS output_length_differs,
        CASE
            WHEN quants.memory_source = baselines.memory_source
                THEN baselines.peak_memory_bytes - quants.peak_memory_bytes
        END AS memory_saved_bytes
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN paired_tasks USING (sweep_id, model_id, quant_tag)
    LEFT JOIN answers USING (sweep_id, model_id, quant_tag)
    LEFT JOIN baselines USING (sweep_id, model_id)
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
    CAST(adherence_delta_nano AS BIGINT) AS adherence_delta_nano,
    CAST(latency_delta_ns AS BIGINT) AS latency_delta_ns,
    pairs,
    flips_lost,
    flips_gained,
    answer_pairs,
    answers_agreeing,
    v1.micro(answers_agreeing, answer_pairs) AS response_agreement_micro,
    coalesce(loss_tasks, 0) AS loss_tasks,
    loss_sum_nano,
    output_length_differs,
    memory_saved_bytes,
    -- nano adherence per GiB, to 1e-6: nano * 2^30 / bytes / 1000.
    CASE
        WHEN vibe_delta_status = 'OK'
            THEN CAST(
                v1.scaled(
                    greatest(0, -adherence_delta_nano),
                    CAST(memory_saved_bytes AS HUGEINT) * 1000,
                    1073741824
                ) AS BIGINT
            )
    END AS vibe_delta_micro,
    vibe_delta_status
FROM reasoned;

COMMENT ON VIEW v1.quant_comparison IS 'Each quant against the baseline quant of its sweep. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_comparison.baseline_quant_tag IS 'The most precise covered quant of known rank, NULL if there is none';
COMMENT ON COLUMN v1.quant_comparison.is_baseline_quant IS 'This quant is the baseline quant';
COMMENT ON COLUMN v1.quant_comparison.baseline_shifted IS 'The baseline quant is not the most precise planned one';
COMMENT ON COLUMN v1.quant_comparison.baseline_adherence_sum_nano IS 'Sum of the baseline quant''s task means, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.baseline_adherence_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.quant_comparison.adherence_delta_nano IS 'Own adherence minus the baseline quant''s, 1e-9';
COMMENT ON COLUMN v1.quant_comparison.latency_delta_ns IS 'Own mean wall time minus the baseline quant''s, ns';
COMMENT ON COLUMN v1.quant_comparison.pairs IS 'Tasks that both have a verdict on';
COMMENT ON COLUMN v1.quant_comparison.flips_lost IS 'Of these, passed by the baseline quant only';
COMMENT ON COLUMN v1.quant_comparison.flips_gained IS 'Of these, passed by this quant only';
COMMENT ON COLUMN v1.quant_comparison.answer_pairs IS 'Pairs of valid runs by task and repetition';
COMMENT ON COLUMN v1.quant_comparison.answers_agreeing IS 'Of these, with the same answer';
COMMENT ON COLUMN v1.quant_comparison.response_agreement_micro IS 'The share of these, 1e-6';
COMMENT ON COLUMN v1.quant_comparison.loss_tasks IS 'Tasks with an adherence on both sides';
COMMENT ON COLUMN v1.quant_comparison.loss_sum_nano IS 'Sum over them of max(0, baseline task mean - own), 1e-9';
COMMENT ON COLUMN v1.quant_comparison.output_length_differs IS 'More or fewer tokens than the baseline quant beyond output_length_ppm';
COMMENT ON COLUMN v1.quant_comparison.memory_saved_bytes IS 'Peak memory of the baseline quant minus own, from one source, bytes';
COMMENT ON COLUMN v1.quant_comparison.vibe_delta_micro IS 'max(0, baseline adherence - own) per GiB of memory saved, 1e-6';
COMMENT ON COLUMN v1.quant_comparison.vibe_delta_status IS 'OK, NO_BASELINE, ADHERENCE_UNAVAILABLE, MEMORY_UNAVAILABLE or NO_MEMORY_SAVED';

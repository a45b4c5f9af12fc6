-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.quant_comparison, v1.frontier, v1.support, v1.choice,
-- v1.runs, v1.telemetry, v1.policy.
-- Rules: the points of the pictures that everybody asks for: quality against size and
-- against speed. Quality has its 95 % Wilson interval over distinct tasks. Speed has the
-- middle half of its valid runs, by nearest rank: that is how runs scatter, no bound on a
-- mean. Under quality_only nothing is said of speed. A quant is ALIKE where its tasks
-- cannot tell it from the reference. needed_adherence is the reference's own
-- adherence times the threshold.

CREATE VIEW v1.quant_picture AS
WITH rates AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(telemetry.generation_tokens_per_second_milli) AS rate_runs,
        quantile_disc(telemetry.generation_tokens_per_second_milli, [0.25, 0.5, 0.75])
            AS rates_milli,
        quantile_disc(runs.wall_ns, [0.25, 0.5, 0.75]) AS walls_ns
    FROM v1.runs AS runs
    INNER JOIN v1.telemetry AS telemetry
        USING (sweep_id, model_id, quant_tag, run_id, attempt_id)
    WHERE runs.phase = 'matrix' AND runs.is_valid
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    quants.quant_rank,
    quants.model_bytes,
    quants.bits_per_weight_micro,
    quants.peak_memory_bytes,
    TRY_CAST(
        v1.scaled(quants.adherence_sum_nano, quants.adherence_tasks * 1000, 1) AS BIGINT
    ) AS adherence_micro,
    if(
        quants.adherence_tasks > 0,
        v1.wilson_micro(
            quants.adherence_nano, quants.adherence_tasks, policy.confidence_z_milli, -1
        ),
        NULL
    ) AS adherence_low_micro,
    if(
        quants.adherence_tasks > 0,
        v1.wilson_micro(
            quants.adherence_nano, quants.adherence_tasks, policy.confidence_z_milli, 1
        ),
        NULL
    ) AS adherence_high_micro,
    TRY_CAST(
        v1.scaled(
            comparison.baseline_adherence_sum_nano * policy.adherence_threshold_ppm,
            comparison.baseline_adherence_tasks,
            1
        ) // 1000000000 AS BIGINT
    ) AS needed_adherence_micro,
    if(policy.quality_only, NULL, rates.rate_runs) AS rate_runs,
    if(policy.quality_only, NULL, rates.rates_milli[1]) AS rate_low_milli,
    if(policy.quality_only, NULL, rates.rates_milli[2]) AS rate_middle_milli,
    if(policy.quality_only, NULL, rates.rates_milli[3]) AS rate_high_milli,
    if(policy.quality_only, NULL, rates.walls_ns[1]) AS wall_low_ns,
    if(policy.quality_only, NULL, rates.walls_ns[2]) AS wall_middle_ns,
    if(policy.quality_only, NULL, rates.walls_ns[3]) AS wall_high_ns,
    CASE
        WHEN NOT frontier.is_eligible THEN 'OUT'
        WHEN quant_tag = choice.advised_quant THEN 'ADVISED'
        WHEN quant_tag = choice.best_value_quant THEN 'BEST_VALUE'
        WHEN quant_tag = choice.smallest_supported_quant THEN 'SMALLEST_SHOWN'
        WHEN quant_tag = choice.minimum_viable_quant THEN 'MINIMUM_VIABLE'
        ELSE 'ELIGIBLE'
    END AS mark,
    coalesce(quant_tag = choice.best_value_quant, false) AS is_best_value,
    frontier.is_baseline_quant,
    coalesce(support.is_separable IS FALSE AND comparison.pairs > 0, false) AS is_alike,
    list_contains(
        list_transform(choice.rivals, lambda rival: rival.quant_tag), quant_tag
    ) AS is_rival,
    coalesce(frontier.is_pareto_optimal, false) AS is_pareto_optimal
FROM v1.quant_aggregate AS quants
INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.support AS support USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
LEFT JOIN rates USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_picture IS 'Each quant as a point: size, speed and quality, with what they scatter by. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_picture.adherence_micro IS 'Mean of the task means, 1e-6';
COMMENT ON COLUMN v1.quant_picture.adherence_low_micro IS 'Lower bound of its 95 % interval, 1e-6';
COMMENT ON COLUMN v1.quant_picture.adherence_high_micro IS 'Upper bound of its 95 % interval, 1e-6';
COMMENT ON COLUMN v1.quant_picture.needed_adherence_micro IS 'What the threshold leaves of the reference''s own adherence, 1e-6';
COMMENT ON COLUMN v1.quant_picture.rate_runs IS 'Valid runs with a decode rate';
COMMENT ON COLUMN v1.quant_picture.rate_low_milli IS 'Their decode rate that a quarter of the runs stays below, 1/1000 tokens per second';
COMMENT ON COLUMN v1.quant_picture.rate_middle_milli IS 'Their median decode rate, 1/1000 tokens per second';
COMMENT ON COLUMN v1.quant_picture.rate_high_milli IS 'Their decode rate that a quarter of the runs goes beyond, 1/1000 tokens per second';
COMMENT ON COLUMN v1.quant_picture.wall_low_ns IS 'Wall time that a quarter of the valid runs stays below, ns';
COMMENT ON COLUMN v1.quant_picture.wall_middle_ns IS 'Median wall time of the valid runs, ns';
COMMENT ON COLUMN v1.quant_picture.wall_high_ns IS 'Wall time that a quarter of the valid runs goes beyond, ns';
COMMENT ON COLUMN v1.quant_picture.mark IS 'ADVISED, BEST_VALUE, SMALLEST_SHOWN, MINIMUM_VIABLE, ELIGIBLE or OUT, the first that holds after OUT';
COMMENT ON COLUMN v1.quant_picture.is_best_value IS 'The best value of those that pass; what is advised may be another';
COMMENT ON COLUMN v1.quant_picture.is_alike IS 'Its tasks cannot tell it from the reference';
COMMENT ON COLUMN v1.quant_picture.is_rival IS 'The best value does not clearly beat it';
COMMENT ON COLUMN v1.quant_picture.is_pareto_optimal IS 'No judged quant is at least as good on every axis and better on one';

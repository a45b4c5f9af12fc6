-- Grain: sweep x model.
-- Inputs: v1.session, v1.frontier, v1.quant_comparison, v1.quant_aggregate, v1.duel,
-- v1.support.
-- Rules: the minimum viable quant is the eligible quant of the lowest precision; the best
-- value is the eligible quant of the highest utility. The best value is CLEAR when it beats
-- every rival, else WITHIN_NOISE. The confidence is that of the minimum viable quant, and
-- never changes the choice. Where none is eligible, what stands in the way is counted.

CREATE VIEW v1.choice AS
WITH codes AS (
    SELECT sweep_id, model_id, unnest(ineligible_reasons) AS code FROM v1.frontier
),

code_counts AS (
    SELECT sweep_id, model_id, code, count(*) AS quants FROM codes GROUP BY ALL
),

reasons AS (
    SELECT
        sweep_id,
        model_id,
        list({'reason': code, 'quants': quants} ORDER BY code) AS ineligible_reason_counts
    FROM code_counts
    GROUP BY ALL
),

gated AS (
    SELECT
        frontier.*,
        aggregate.unsolved_tasks,
        comparison.baseline_adherence_sum_nano
    FROM v1.frontier AS frontier
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
),

quants AS (
    SELECT
        sweep_id,
        model_id,
        count(*) AS quants,
        count(*) FILTER (WHERE is_eligible) AS eligible_quants,
        arg_min(quant_tag, quant_rank) FILTER (WHERE is_eligible) AS minimum_viable_quant,
        any_value(quant_tag) FILTER (WHERE utility_rank = 1) AS best_value_quant,
        -- The threshold and the ceiling at which one quant would pass, the other as it is.
        max(kept_adherence_ppm) FILTER (
            WHERE is_covered AND quant_rank IS NOT NULL AND within_ceiling
            AND unsolved_tasks = 0
        ) AS passing_threshold_ppm,
        min(total_latency_ns) FILTER (
            WHERE is_covered AND quant_rank IS NOT NULL AND keeps_adherence
            AND unsolved_tasks = 0 AND baseline_adherence_sum_nano > 0
        ) AS passing_ceiling_ns,
        list_sort(list(quant_tag) FILTER (WHERE is_pareto_optimal)) AS pareto_quant_tags,
        count(*) FILTER (WHERE is_fillable AND NOT is_covered) AS quants_out_by_pollution
    FROM gated
    GROUP BY ALL
),

rivals AS (
    SELECT
        sweep_id,
        model_id,
        list(
            {'quant_tag': quant_tag, 'pairs': pairs, 'wins': wins}
            ORDER BY quant_rank DESC, quant_tag
        ) AS rivals
    FROM v1.duel
    WHERE NOT is_clear
    GROUP BY ALL
),

runs AS (
    SELECT
        sweep_id,
        model_id,
        CAST(sum(polluted_used) AS BIGINT) AS polluted_used,
        CAST(sum(polluted_runs) AS BIGINT) AS polluted_runs,
        CAST(sum(missing_runs) AS BIGINT) AS missing_runs,
        CAST(sum(planned_runs) AS BIGINT) AS planned_runs
    FROM v1.quant_aggregate
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quants.minimum_viable_quant,
    quants.best_value_quant,
    CASE
        WHEN quants.best_value_quant IS NULL THEN NULL
        WHEN rivals.rivals IS NULL THEN 'CLEAR'
        ELSE 'WITHIN_NOISE'
    END AS best_value_status,
    coalesce(rivals.rivals, []) AS rivals,
    CASE
        WHEN quants.minimum_viable_quant IS NULL THEN NULL
        WHEN runs.polluted_used > 0 THEN 'PROVISIONAL'
        WHEN support.is_supported THEN 'SUPPORTED'
        ELSE 'NEEDS_MORE_TASKS'
    END AS confidence,
    support.evidence_tasks,
    support.mean_loss_nano,
    support.margin_nano,
    if(support.is_supported, NULL, support.supporting_tasks) AS tasks_needed,
    coalesce(quants.eligible_quants, 0) AS eligible_quants,
    coalesce(quants.quants, 0) AS quants,
    coalesce(reasons.ineligible_reason_counts, []) AS ineligible_reason_counts,
    if(quants.eligible_quants > 0, NULL, quants.passing_threshold_ppm)
        AS passing_threshold_ppm,
    if(quants.eligible_quants > 0, NULL, quants.passing_ceiling_ns) AS passing_ceiling_ns,
    coalesce(quants.pareto_quant_tags, []) AS pareto_quant_tags,
    coalesce(quants.quants_out_by_pollution, 0) AS quants_out_by_pollution,
    runs.polluted_used,
    runs.missing_runs,
    runs.polluted_runs,
    runs.planned_runs
FROM v1.session AS session
LEFT JOIN quants USING (sweep_id, model_id)
LEFT JOIN rivals USING (sweep_id, model_id)
LEFT JOIN reasons USING (sweep_id, model_id)
LEFT JOIN runs USING (sweep_id, model_id)
LEFT JOIN v1.support AS support
    ON support.sweep_id = session.sweep_id
    AND support.model_id = session.model_id
    AND support.quant_tag = quants.minimum_viable_quant;

COMMENT ON VIEW v1.choice IS 'Which quants are chosen, and how sure that is. One row per sweep and model.';
COMMENT ON COLUMN v1.choice.minimum_viable_quant IS 'The eligible quant of the lowest precision, NULL if none is eligible';
COMMENT ON COLUMN v1.choice.best_value_quant IS 'The eligible quant of the highest utility, NULL if none is eligible';
COMMENT ON COLUMN v1.choice.best_value_status IS 'CLEAR or WITHIN_NOISE';
COMMENT ON COLUMN v1.choice.rivals IS 'Eligible quants that the best value does not clearly beat, with wins of pairs';
COMMENT ON COLUMN v1.choice.confidence IS 'SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL, of the minimum viable quant';
COMMENT ON COLUMN v1.choice.tasks_needed IS 'Tasks at which this loss would be supported; NULL if it is, or if no number would do';
COMMENT ON COLUMN v1.choice.eligible_quants IS 'Eligible quants';
COMMENT ON COLUMN v1.choice.quants IS 'Quants of the session';
COMMENT ON COLUMN v1.choice.ineligible_reason_counts IS 'Why quants are out, counted';
COMMENT ON COLUMN v1.choice.passing_threshold_ppm IS 'When none is eligible: the adherence threshold at which one would pass, ppm';
COMMENT ON COLUMN v1.choice.passing_ceiling_ns IS 'When none is eligible: the latency ceiling at which one would pass, ns';
COMMENT ON COLUMN v1.choice.pareto_quant_tags IS 'Pareto-optimal quants, sorted';
COMMENT ON COLUMN v1.choice.quants_out_by_pollution IS 'Quants that lack valid runs only through pollution';
COMMENT ON COLUMN v1.choice.polluted_used IS 'Polluted runs that count';

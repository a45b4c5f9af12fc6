-- Grain: sweep x model.
-- Inputs: v1.session, v1.frontier, v1.quant_comparison, v1.duel, v1.support,
-- v1.quant_aggregate, v1.policy, v1.reason.
-- Rules: the minimum viable quant is the smallest eligible quant (v1.quant.size_rank: of
-- the lowest precision, or where levels differ of the least memory), the best value that
-- of the highest utility, and the smallest supported quant the smallest eligible one that
-- is proven to keep the threshold. The best value is CLEAR when
-- it beats every rival, else WITHIN_NOISE; under quality_only nothing was timed
-- (NOT_TIMED). Each has a confidence of its own, which never changes the choice: SUPPORTED
-- where it is proven, at most PROVISIONAL where polluted runs were used or the reference
-- had to be another than planned. Advised is the best value where it is proven and
-- clear, else the smallest supported quant. Where none is eligible, what stands in the way
-- is counted.

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
        comparison.baseline_passed_tasks
    FROM v1.frontier AS frontier
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
),

quants AS (
    SELECT
        sweep_id,
        model_id,
        count(*) AS quants,
        count(*) FILTER (WHERE is_judged) AS judged_quants,
        list_sort(list(quant_tag) FILTER (WHERE NOT is_judged)) AS unjudged_quant_tags,
        count(*) FILTER (WHERE is_eligible) AS eligible_quants,
        any_value(baseline_quant_tag) AS baseline_quant_tag,
        arg_min(quant_tag, size_rank) FILTER (WHERE is_eligible) AS minimum_viable_quant,
        any_value(quant_tag) FILTER (WHERE utility_rank = 1) AS best_value_quant,
        arg_min(quant_tag, size_rank) FILTER (WHERE is_eligible AND is_proven)
            AS proven_quant,
        -- The threshold and the ceiling at which one quant would pass, the other as it is.
        max(kept_adherence_ppm) FILTER (
            WHERE is_judged AND quant_rank IS NOT NULL AND (within_ceiling OR quality_only)
            AND unsolved_tasks = 0 AND baseline_passed_tasks > 0
        ) AS passing_threshold_ppm,
        min(total_latency_ns) FILTER (
            WHERE is_judged AND quant_rank IS NOT NULL AND keeps_adherence
            AND unsolved_tasks = 0 AND baseline_passed_tasks > 0
        ) AS passing_ceiling_ns,
        list_sort(list(quant_tag) FILTER (WHERE is_pareto_optimal)) AS pareto_quant_tags,
        count(*) FILTER (WHERE is_fillable AND NOT is_covered AND NOT is_judged) AS quants_out_by_pollution
    FROM gated
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.support AS support USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

rivals AS (
    SELECT
        sweep_id,
        model_id,
        list(
            {'quant_tag': quant_tag, 'pairs': pairs, 'wins': wins, 'blocks': blocks}
            ORDER BY quant_rank DESC, quant_tag
        ) AS rivals,
        -- Only where repetitions are all that is missing, against every rival.
        if(
            count(repetitions_needed) = count(*), max(repetitions_needed), NULL
        ) AS repetitions_needed
    FROM v1.duel
    WHERE NOT is_clear
    GROUP BY ALL
),

runs AS (
    SELECT
        sweep_id,
        model_id,
        TRY_CAST(sum(polluted_used) AS BIGINT) AS polluted_used,
        TRY_CAST(sum(polluted_runs) AS BIGINT) AS polluted_runs,
        TRY_CAST(sum(missing_runs) AS BIGINT) AS missing_runs,
        TRY_CAST(sum(planned_runs) AS BIGINT) AS planned_runs,
        max(unsupported_tasks) AS unsupported_tasks,
        max(planned_tasks) AS planned_tasks
    FROM v1.quant_aggregate
    GROUP BY ALL
),

yardstick AS (
    -- How much of the work the reference itself does.
    SELECT
        own.sweep_id,
        own.model_id,
        own.baseline_shifted,
        aggregate.passed_tasks AS reference_passes,
        aggregate.adherence_tasks AS reference_tasks,
        aggregate.passed_tasks * 1000000
        < CAST(aggregate.adherence_tasks AS HUGEINT) * policy.min_reference_ppm
            AS reference_fails,
        aggregate.passed_tasks * 1000000
        <= CAST(aggregate.adherence_tasks AS HUGEINT) * policy.chance_ppm
            AS reference_guesses
    FROM v1.quant_comparison AS own
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    WHERE own.is_baseline_quant
),

signals AS (
    SELECT
        sweep_id,
        model_id,
        unnest([
            {'signal': 'baseline_shifted', 'holds': baseline_shifted},
            {'signal': 'reference_fails', 'holds': reference_fails},
            {'signal': 'reference_guesses', 'holds': reference_guesses}
        ], recursive := true)
    FROM yardstick
),

notes AS (
    SELECT sweep_id, model_id, list(code ORDER BY code) FILTER (WHERE holds) AS advisories
    FROM signals
    INNER JOIN v1.reason AS reason USING (signal)
    WHERE reason.scope = 'quant'
    GROUP BY ALL
),

confidences AS (
    SELECT
        sweep_id,
        model_id,
        support.quant_tag,
        CASE
            WHEN runs.polluted_used > 0 OR yardstick.baseline_shifted THEN 'PROVISIONAL'
            WHEN support.is_proven THEN 'SUPPORTED'
            ELSE 'NEEDS_MORE_TASKS'
        END AS confidence
    FROM v1.support AS support
    INNER JOIN runs USING (sweep_id, model_id)
    INNER JOIN yardstick USING (sweep_id, model_id)
)

SELECT
    sweep_id,
    model_id,
    quants.baseline_quant_tag,
    coalesce(yardstick.baseline_shifted, false) AS baseline_shifted,
    quants.minimum_viable_quant,
    -- Nothing is proven against a stand-in, nor by polluted runs.
    if(
        runs.polluted_used > 0 OR yardstick.baseline_shifted, NULL, quants.proven_quant
    ) AS smallest_supported_quant,
    quants.best_value_quant,
    CASE
        WHEN quants.best_value_quant IS NULL THEN NULL
        WHEN policy.quality_only THEN 'NOT_TIMED'
        WHEN rivals.rivals IS NULL THEN 'CLEAR'
        ELSE 'WITHIN_NOISE'
    END AS best_value_status,
    CASE
        WHEN best.confidence = 'SUPPORTED' AND best_value_status = 'CLEAR'
            THEN quants.best_value_quant
        ELSE smallest_supported_quant
    END AS advised_quant,
    coalesce(rivals.rivals, []) AS rivals,
    rivals.repetitions_needed,
    smallest.confidence,
    best.confidence AS best_value_confidence,
    support.evidence_tasks,
    support.passes AS evidence_passes,
    support.losses AS evidence_losses,
    support.gains AS evidence_gains,
    support.families AS evidence_families,
    support.family_losses AS evidence_family_losses,
    support.design_effect_micro,
    support.mean_loss_nano,
    support.margin_nano,
    support.tasks_needed,
    support.tasks_likely,
    support.families_needed,
    yardstick.reference_passes,
    yardstick.reference_tasks,
    coalesce(yardstick.reference_fails, false) AS reference_fails,
    coalesce(yardstick.reference_guesses, false) AS reference_guesses,
    coalesce(notes.advisories, []) AS advisories,
    coalesce(quants.eligible_quants, 0) AS eligible_quants,
    coalesce(quants.judged_quants, 0) AS judged_quants,
    coalesce(quants.unjudged_quant_tags, []) AS unjudged_quant_tags,
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
    runs.planned_runs,
    runs.unsupported_tasks,
    runs.planned_tasks
FROM v1.session AS session
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
LEFT JOIN quants USING (sweep_id, model_id)
LEFT JOIN rivals USING (sweep_id, model_id)
LEFT JOIN reasons USING (sweep_id, model_id)
LEFT JOIN runs USING (sweep_id, model_id)
LEFT JOIN yardstick USING (sweep_id, model_id)
LEFT JOIN notes USING (sweep_id, model_id)
LEFT JOIN v1.support AS support
    ON support.sweep_id = session.sweep_id
    AND support.model_id = session.model_id
    AND support.quant_tag = quants.minimum_viable_quant
LEFT JOIN confidences AS smallest
    ON smallest.sweep_id = session.sweep_id
    AND smallest.model_id = session.model_id
    AND smallest.quant_tag = quants.minimum_viable_quant
LEFT JOIN confidences AS best
    ON best.sweep_id = session.sweep_id
    AND best.model_id = session.model_id
    AND best.quant_tag = quants.best_value_quant;

COMMENT ON VIEW v1.choice IS 'Which quants are chosen, and how sure that is. One row per sweep and model.';
COMMENT ON COLUMN v1.choice.minimum_viable_quant IS 'The eligible quant of the lowest precision, NULL if none is eligible';
COMMENT ON COLUMN v1.choice.baseline_quant_tag IS 'The quant that the others are held against, NULL if there is none';
COMMENT ON COLUMN v1.choice.baseline_shifted IS 'A more precise one was planned and could not be judged';
COMMENT ON COLUMN v1.choice.smallest_supported_quant IS 'The eligible quant of the lowest precision that is proven to keep the threshold; the reference keeps its own score by definition';
COMMENT ON COLUMN v1.choice.best_value_quant IS 'The eligible quant of the highest utility, NULL if none is eligible';
COMMENT ON COLUMN v1.choice.best_value_status IS 'CLEAR, WITHIN_NOISE or NOT_TIMED';
COMMENT ON COLUMN v1.choice.advised_quant IS 'The one to use: the best value where it is SUPPORTED and CLEAR, else the smallest supported quant; NULL where nothing is shown';
COMMENT ON COLUMN v1.choice.rivals IS 'Eligible quants that the best value does not clearly beat, with wins of pairs';
COMMENT ON COLUMN v1.choice.repetitions_needed IS 'Repetitions that would make it CLEAR, where only these are missing';
COMMENT ON COLUMN v1.choice.confidence IS 'SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL, of the minimum viable quant: whether it keeps the threshold';
COMMENT ON COLUMN v1.choice.best_value_confidence IS 'The same of the best value';
COMMENT ON COLUMN v1.choice.evidence_passes IS 'Tasks behind the minimum viable quant that the reference passes, or has no verdict on';
COMMENT ON COLUMN v1.choice.evidence_losses IS 'Of these, lost by it or without a verdict on both sides';
COMMENT ON COLUMN v1.choice.evidence_gains IS 'Tasks that only it passes';
COMMENT ON COLUMN v1.choice.evidence_families IS 'Families of these tasks';
COMMENT ON COLUMN v1.choice.evidence_family_losses IS 'Families where it loses more tasks than the threshold allows';
COMMENT ON COLUMN v1.choice.reference_passes IS 'Tasks that the reference passes';
COMMENT ON COLUMN v1.choice.reference_tasks IS 'Tasks it has a verdict on';
COMMENT ON COLUMN v1.choice.reference_fails IS 'These are fewer than min_reference_ppm';
COMMENT ON COLUMN v1.choice.reference_guesses IS 'These are no more than chance_ppm';
COMMENT ON COLUMN v1.choice.advisories IS 'What is worth a note about the reference, sorted';
COMMENT ON COLUMN v1.choice.judged_quants IS 'Quants with enough tasks to be judged';
COMMENT ON COLUMN v1.choice.unjudged_quant_tags IS 'The others, sorted';
COMMENT ON COLUMN v1.choice.eligible_quants IS 'Eligible quants';
COMMENT ON COLUMN v1.choice.quants IS 'Quants of the session';
COMMENT ON COLUMN v1.choice.ineligible_reason_counts IS 'Why quants are out, counted';
COMMENT ON COLUMN v1.choice.passing_threshold_ppm IS 'When none is eligible: the adherence threshold at which one would pass, ppm';
COMMENT ON COLUMN v1.choice.passing_ceiling_ns IS 'When none is eligible: the latency ceiling at which one would pass, ns';
COMMENT ON COLUMN v1.choice.pareto_quant_tags IS 'Pareto-optimal quants, sorted';
COMMENT ON COLUMN v1.choice.quants_out_by_pollution IS 'Quants that lack valid runs only through pollution';
COMMENT ON COLUMN v1.choice.polluted_used IS 'Polluted runs that count';

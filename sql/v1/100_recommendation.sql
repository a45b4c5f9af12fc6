-- Grain: sweep x model.
-- Inputs: v1.session, v1.frontier, v1.quant_comparison, v1.quant_aggregate, v1.runs,
-- v1.policy.
-- Rules: the minimum viable quant is the eligible quant of the lowest precision; the best
-- value is the eligible quant of the highest utility. The best value is CLEAR when it beats
-- every rival in a sign test over pairs of task and repetition, else WITHIN_NOISE. The
-- confidence is over distinct tasks, never over repetitions, and never changes the choice:
-- SUPPORTED when the upper Wilson bound U of the mean loss p over n tasks stays within the
-- margin m. U <= m is the same as m >= p and n (m - p)^2 >= z^2 m (1 - m), which needs no
-- square root; p and m are integers in 1e-12 units.

CREATE VIEW v1.recommendation AS
WITH eligible AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY sweep_id, model_id ORDER BY quant_rank) AS smallness
    FROM v1.frontier
    WHERE is_eligible
),

chosen AS (
    SELECT
        sweep_id,
        model_id,
        max(quant_tag) FILTER (WHERE smallness = 1) AS minimum_viable_quant,
        max(quant_tag) FILTER (WHERE utility_rank = 1) AS best_value_quant,
        count(*) AS eligible_quants
    FROM eligible
    GROUP BY sweep_id, model_id
),

duels AS (
    SELECT
        best.sweep_id,
        best.model_id,
        rival.quant_tag AS rival_tag,
        count(*) AS pairs,
        count(*) FILTER (WHERE best.wall_ns < rival.wall_ns) AS wins
    FROM chosen
    INNER JOIN v1.runs AS best
        ON best.sweep_id = chosen.sweep_id
        AND best.model_id = chosen.model_id
        AND best.quant_tag = chosen.best_value_quant
    INNER JOIN v1.runs AS rival
        ON rival.sweep_id = best.sweep_id
        AND rival.model_id = best.model_id
        AND rival.test_id = best.test_id
        AND rival.repetition = best.repetition
        AND rival.quant_tag <> best.quant_tag
    WHERE
        best.is_valid AND rival.is_valid
        AND best.wall_ns IS NOT NULL AND rival.wall_ns IS NOT NULL
    GROUP BY ALL
),

rivals AS (
    SELECT
        rival.sweep_id,
        rival.model_id,
        list(
            {
                'quant_tag': rival.quant_tag,
                'pairs': coalesce(duels.pairs, 0),
                'wins': coalesce(duels.wins, 0)
            }
            ORDER BY rival.quant_rank DESC, rival.quant_tag
        ) FILTER (
            WHERE coalesce(duels.pairs, 0) < policy.rival_min_pairs
            OR CAST(2 * duels.wins - duels.pairs AS HUGEINT)
            * (2 * duels.wins - duels.pairs) * 1000
            <= CAST(duels.pairs AS HUGEINT) * policy.rival_chi2_milli
        ) AS rivals
    FROM eligible AS rival
    INNER JOIN chosen
        ON chosen.sweep_id = rival.sweep_id
        AND chosen.model_id = rival.model_id
        AND chosen.best_value_quant <> rival.quant_tag
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = rival.sweep_id
        AND policy.model_id = rival.model_id
    LEFT JOIN duels
        ON duels.sweep_id = rival.sweep_id
        AND duels.model_id = rival.model_id
        AND duels.rival_tag = rival.quant_tag
    GROUP BY rival.sweep_id, rival.model_id
),

margins AS (
    SELECT
        comparison.sweep_id,
        comparison.model_id,
        comparison.loss_tasks AS n,
        v1.scaled(comparison.loss_sum_nano, comparison.loss_tasks, 1000) AS loss_pico,
        v1.scaled(
            (1000000 - policy.adherence_threshold_ppm)
            * comparison.baseline_adherence_sum_nano,
            comparison.baseline_adherence_tasks * 1000,
            1
        ) AS margin_pico,
        CAST(policy.confidence_z_milli AS HUGEINT) * policy.confidence_z_milli AS z2_micro
    FROM chosen
    INNER JOIN v1.quant_comparison AS comparison
        ON comparison.sweep_id = chosen.sweep_id
        AND comparison.model_id = chosen.model_id
        AND comparison.quant_tag = chosen.minimum_viable_quant
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = chosen.sweep_id
        AND policy.model_id = chosen.model_id
),

bounds AS (
    SELECT
        *,
        -- n (m - p)^2 >= z^2 m (1 - m), with z^2 in 1e-6 units.
        margin_pico >= loss_pico
        AND n * (margin_pico - loss_pico) * (margin_pico - loss_pico) * 1000000
        >= z2_micro * margin_pico * (1000000000000 - margin_pico)
        AND margin_pico > 0 AS is_supported,
        CASE
            WHEN margin_pico > loss_pico
                THEN (
                    z2_micro * margin_pico * (1000000000000 - margin_pico)
                    + (margin_pico - loss_pico) * (margin_pico - loss_pico) * 1000000 - 1
                ) // ((margin_pico - loss_pico) * (margin_pico - loss_pico) * 1000000)
        END AS tasks_needed
    FROM margins
),

reason_counts AS (
    SELECT sweep_id, model_id, code, count(*) AS quants
    FROM (
        SELECT sweep_id, model_id, unnest(ineligible_reasons) AS code
        FROM v1.frontier
    )
    GROUP BY ALL
),

reasons AS (
    SELECT
        sweep_id,
        model_id,
        list({'reason': code, 'quants': quants} ORDER BY code) AS ineligible_reason_counts,
        string_agg(
            code || ' ' || CAST(quants AS VARCHAR), ', ' ORDER BY code
        ) AS reasons_text
    FROM reason_counts
    GROUP BY ALL
),

passing AS (
    -- The threshold and the ceiling at which one quant would pass, the other as it is.
    SELECT
        sweep_id,
        model_id,
        count(*) AS quants,
        max(kept_adherence_ppm) FILTER (
            WHERE is_covered AND quant_rank IS NOT NULL AND within_ceiling
            AND NOT list_contains(ineligible_reasons, 'RUN_FAILURES')
        ) AS passing_threshold_ppm,
        min(total_latency_ns) FILTER (
            WHERE is_covered AND quant_rank IS NOT NULL AND keeps_adherence
            AND NOT list_contains(ineligible_reasons, 'RUN_FAILURES')
            AND NOT list_contains(ineligible_reasons, 'NO_BASELINE_ADHERENCE')
        ) AS passing_ceiling_ns,
        list_sort(
            list(quant_tag) FILTER (WHERE is_pareto_optimal)
        ) AS pareto_quant_tags,
        count(*) FILTER (
            WHERE is_fillable AND NOT is_covered
        ) AS quants_out_by_pollution
    FROM v1.frontier
    GROUP BY sweep_id, model_id
),

polluted AS (
    SELECT
        sweep_id,
        model_id,
        sum(polluted_used) AS polluted_used,
        sum(polluted_runs) AS polluted_runs,
        sum(missing_runs) AS missing_runs,
        sum(planned_runs) AS planned_runs
    FROM v1.quant_aggregate
    GROUP BY sweep_id, model_id
),

joined AS (
    SELECT
        session.sweep_id,
        session.model_id,
        chosen.minimum_viable_quant,
        chosen.best_value_quant,
        coalesce(chosen.eligible_quants, 0) AS eligible_quants,
        coalesce(passing.quants, 0) AS quants,
        CASE
            WHEN chosen.best_value_quant IS NULL THEN NULL
            WHEN len(coalesce(rivals.rivals, [])) = 0 THEN 'CLEAR'
            ELSE 'WITHIN_NOISE'
        END AS best_value_status,
        coalesce(rivals.rivals, []) AS rivals,
        CASE
            WHEN chosen.minimum_viable_quant IS NULL THEN NULL
            WHEN polluted.polluted_used > 0 THEN 'PROVISIONAL'
            WHEN bounds.is_supported THEN 'SUPPORTED'
            ELSE 'NEEDS_MORE_TASKS'
        END AS confidence,
        bounds.n AS evidence_tasks,
        bounds.loss_pico,
        bounds.margin_pico,
        CASE
            WHEN chosen.minimum_viable_quant IS NOT NULL AND NOT bounds.is_supported
                THEN CAST(bounds.tasks_needed AS BIGINT)
        END AS tasks_needed,
        coalesce(reasons.ineligible_reason_counts, []) AS ineligible_reason_counts,
        reasons.reasons_text,
        CASE WHEN chosen.sweep_id IS NULL THEN passing.passing_threshold_ppm END
            AS passing_threshold_ppm,
        CASE WHEN chosen.sweep_id IS NULL THEN passing.passing_ceiling_ns END
            AS passing_ceiling_ns,
        coalesce(passing.pareto_quant_tags, []) AS pareto_quant_tags,
        coalesce(passing.quants_out_by_pollution, 0) AS quants_out_by_pollution,
        CAST(polluted.polluted_used AS BIGINT) AS polluted_used,
        CAST(polluted.polluted_runs AS BIGINT) AS polluted_runs,
        CAST(polluted.missing_runs AS BIGINT) AS missing_runs,
        CAST(polluted.planned_runs AS BIGINT) AS planned_runs,
        policy.adherence_threshold_ppm,
        policy.latency_ceiling_ns
    FROM v1.session AS session
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = session.sweep_id
        AND policy.model_id = session.model_id
    LEFT JOIN chosen
        ON chosen.sweep_id = session.sweep_id
        AND chosen.model_id = session.model_id
    LEFT JOIN rivals
        ON rivals.sweep_id = session.sweep_id
        AND rivals.model_id = session.model_id
    LEFT JOIN bounds
        ON bounds.sweep_id = session.sweep_id
        AND bounds.model_id = session.model_id
    LEFT JOIN reasons
        ON reasons.sweep_id = session.sweep_id
        AND reasons.model_id = session.model_id
    LEFT JOIN passing
        ON passing.sweep_id = session.sweep_id
        AND passing.model_id = session.model_id
    LEFT JOIN polluted
        ON polluted.sweep_id = session.sweep_id
        AND polluted.model_id = session.model_id
)

SELECT
    joined.sweep_id,
    joined.model_id,
    joined.minimum_viable_quant,
    joined.best_value_quant,
    joined.best_value_status,
    joined.rivals,
    joined.confidence,
    joined.evidence_tasks,
    CAST(joined.loss_pico // 1000 AS BIGINT) AS mean_loss_nano,
    CAST(joined.margin_pico // 1000 AS BIGINT) AS margin_nano,
    joined.tasks_needed,
    joined.eligible_quants,
    joined.quants,
    joined.ineligible_reason_counts,
    joined.passing_threshold_ppm,
    joined.passing_ceiling_ns,
    joined.pareto_quant_tags,
    joined.quants_out_by_pollution,
    joined.polluted_used,
    joined.missing_runs,
    CASE
        WHEN joined.minimum_viable_quant IS NOT NULL
            THEN 'Smallest eligible quant; the best value is the eligible quant of the highest utility.'
        ELSE
            'No quant is eligible: ' || coalesce(joined.reasons_text, 'no quant was measured')
            || '.'
    END AS reason,
    CASE
        WHEN joined.minimum_viable_quant IS NOT NULL
            THEN
                'Run '
                || joined.model_id
                || ' in '
                || joined.minimum_viable_quant
                || CASE
                    WHEN joined.minimum_viable_quant = smallest.baseline_quant_tag
                        THEN
                            ': the only eligible one of '
                            || CAST(joined.quants AS VARCHAR)
                            || ' quants (adherence '
                            || v1.decimal_text(smallest.adherence_nano, 9, 3)
                    ELSE
                        ': the smallest of '
                        || CAST(joined.quants AS VARCHAR)
                        || ' quants that keeps '
                        || v1.decimal_text(joined.adherence_threshold_ppm, 4, 1)
                        || ' % of '
                        || smallest.baseline_quant_tag
                        || '''s adherence ('
                        || v1.decimal_text(smallest.adherence_nano, 9, 3)
                        || ' against '
                        || v1.decimal_text(
                            smallest.adherence_nano - comparison.adherence_delta_nano,
                            9,
                            3
                        )
                END
                || ') within '
                || v1.decimal_text(joined.latency_ceiling_ns, 9, 1)
                || ' s; '
                || CASE
                    WHEN joined.best_value_quant = joined.minimum_viable_quant
                        THEN 'it is also the best value'
                    ELSE 'the best value is ' || joined.best_value_quant
                END
                || ' ('
                || v1.decimal_text(best.total_latency_ns, 9, 3)
                || ' s a task'
                || CASE
                    WHEN joined.best_value_status = 'WITHIN_NOISE'
                        THEN
                            ', within noise of '
                            || array_to_string(
                                list_transform(joined.rivals, lambda rival: rival.quant_tag),
                                ', '
                            )
                    ELSE ''
                END
                || ').'
                || CASE
                    WHEN joined.confidence = 'PROVISIONAL'
                        THEN
                            ' Provisional: polluted runs were used ('
                            || CAST(joined.polluted_used AS VARCHAR)
                            || ').'
                    WHEN joined.confidence = 'NEEDS_MORE_TASKS' AND joined.tasks_needed IS NULL
                        THEN
                            ' Not supported: the loss observed (tasks: '
                            || CAST(joined.evidence_tasks AS VARCHAR)
                            || ') leaves no room within the margin.'
                    WHEN joined.confidence = 'NEEDS_MORE_TASKS'
                        THEN
                            ' Not yet supported: this claim needs '
                            || CAST(joined.tasks_needed AS VARCHAR)
                            || ' tasks and rests on '
                            || CAST(joined.evidence_tasks AS VARCHAR)
                            || '.'
                    ELSE
                        ' Supported by '
                        || CAST(joined.evidence_tasks AS VARCHAR)
                        || ' tasks at 95 %.'
                END
        ELSE
            'No recommendation for '
            || joined.model_id
            || ': none of '
            || CAST(joined.quants AS VARCHAR)
            || ' quants is eligible ('
            || coalesce(joined.reasons_text, 'none was measured')
            || ').'
            || CASE
                WHEN joined.passing_threshold_ppm < joined.adherence_threshold_ppm
                    THEN
                        ' One would pass at an adherence threshold of '
                        || v1.decimal_text(joined.passing_threshold_ppm, 6, 6)
                        || '.'
                ELSE ''
            END
            || CASE
                WHEN joined.passing_ceiling_ns > joined.latency_ceiling_ns
                    THEN
                        ' One would pass at a latency ceiling of '
                        || v1.decimal_text(joined.passing_ceiling_ns, 9, 6)
                        || ' s.'
                ELSE ''
            END
            || CASE
                WHEN joined.quants_out_by_pollution > 0
                    THEN
                        ' '
                        || CAST(joined.polluted_runs AS VARCHAR)
                        || ' of '
                        || CAST(joined.planned_runs AS VARCHAR)
                        || ' runs are polluted.'
                ELSE ''
            END
    END
    -- What was not run could have changed the answer.
    || CASE
        WHEN joined.missing_runs > 0
            THEN
                ' Incomplete: '
                || CAST(joined.missing_runs AS VARCHAR)
                || ' of '
                || CAST(joined.planned_runs AS VARCHAR)
                || ' planned runs were not made.'
        ELSE ''
    END AS recommendation
FROM joined
LEFT JOIN v1.frontier AS smallest
    ON smallest.sweep_id = joined.sweep_id
    AND smallest.model_id = joined.model_id
    AND smallest.quant_tag = joined.minimum_viable_quant
LEFT JOIN v1.quant_comparison AS comparison
    ON comparison.sweep_id = joined.sweep_id
    AND comparison.model_id = joined.model_id
    AND comparison.quant_tag = joined.minimum_viable_quant
LEFT JOIN v1.frontier AS best
    ON best.sweep_id = joined.sweep_id
    AND best.model_id = joined.model_id
    AND best.quant_tag = joined.best_value_quant;

COMMENT ON VIEW v1.recommendation IS 'What to run, and how sure it is. One row per sweep and model.';
COMMENT ON COLUMN v1.recommendation.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.recommendation.model_id IS 'Model';
COMMENT ON COLUMN v1.recommendation.minimum_viable_quant IS 'The eligible quant of the lowest precision, NULL if none is eligible';
COMMENT ON COLUMN v1.recommendation.best_value_quant IS 'The eligible quant of the highest utility, NULL if none is eligible';
COMMENT ON COLUMN v1.recommendation.best_value_status IS 'CLEAR or WITHIN_NOISE';
COMMENT ON COLUMN v1.recommendation.rivals IS 'Eligible quants that the best value does not clearly beat, with wins of pairs';
COMMENT ON COLUMN v1.recommendation.confidence IS 'SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL, of the minimum viable quant';
COMMENT ON COLUMN v1.recommendation.evidence_tasks IS 'Distinct tasks behind it';
COMMENT ON COLUMN v1.recommendation.mean_loss_nano IS 'Mean over tasks of max(0, baseline task mean - own), 1e-9';
COMMENT ON COLUMN v1.recommendation.margin_nano IS '(1 - threshold) x baseline adherence, 1e-9';
COMMENT ON COLUMN v1.recommendation.tasks_needed IS 'Tasks at which this loss would be supported; NULL if it is, or if no number would do';
COMMENT ON COLUMN v1.recommendation.eligible_quants IS 'Eligible quants';
COMMENT ON COLUMN v1.recommendation.quants IS 'Quants of the session';
COMMENT ON COLUMN v1.recommendation.ineligible_reason_counts IS 'Why quants are out, counted';
COMMENT ON COLUMN v1.recommendation.passing_threshold_ppm IS 'When none is eligible: the adherence threshold at which one would pass, ppm';
COMMENT ON COLUMN v1.recommendation.passing_ceiling_ns IS 'When none is eligible: the latency ceiling at which one would pass, ns';
COMMENT ON COLUMN v1.recommendation.pareto_quant_tags IS 'Pareto-optimal quants, sorted';
COMMENT ON COLUMN v1.recommendation.quants_out_by_pollution IS 'Quants that lack valid runs only through pollution';
COMMENT ON COLUMN v1.recommendation.polluted_used IS 'Polluted runs that count';
COMMENT ON COLUMN v1.recommendation.missing_runs IS 'Planned runs without any attempt';
COMMENT ON COLUMN v1.recommendation.reason IS 'The rule behind the choice, or why there is none';
COMMENT ON COLUMN v1.recommendation.recommendation IS 'One sentence for a person';

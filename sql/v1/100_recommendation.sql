-- Grain: sweep x model.
-- Inputs: v1.choice, v1.frontier, v1.quant_comparison, v1.policy.
-- Rules: the choice in words; nothing is decided here. What was not run could have changed
-- the answer, so it is said with every choice.

CREATE VIEW v1.recommendation AS
WITH figures AS (
    -- What the words are made from.
    SELECT
        choice.*,
        smallest.baseline_quant_tag,
        v1.decimal_text(smallest.adherence_nano, 9, 3) AS adherence_text,
        v1.decimal_text(smallest.adherence_nano - comparison.adherence_delta_nano, 9, 3)
            AS baseline_text,
        v1.decimal_text(policy.adherence_threshold_ppm, 4, 1) AS threshold_text,
        v1.decimal_text(policy.latency_ceiling_ns, 9, 1) AS ceiling_text,
        v1.decimal_text(best.total_latency_ns, 9, 3) AS seconds_text,
        nullif(
            array_to_string(
                list_transform(
                    choice.ineligible_reason_counts,
                    lambda entry: format('{} {}', entry.reason, entry.quants)
                ),
                ', '
            ),
            ''
        ) AS reasons_text,
        array_to_string(
            list_transform(choice.rivals, lambda rival: rival.quant_tag), ', '
        ) AS rivals_text,
        choice.passing_threshold_ppm < policy.adherence_threshold_ppm
            AS passes_at_threshold,
        choice.passing_ceiling_ns > policy.latency_ceiling_ns AS passes_at_ceiling
    FROM v1.choice AS choice
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.frontier AS smallest
        ON smallest.sweep_id = choice.sweep_id
        AND smallest.model_id = choice.model_id
        AND smallest.quant_tag = choice.minimum_viable_quant
    LEFT JOIN v1.quant_comparison AS comparison
        ON comparison.sweep_id = choice.sweep_id
        AND comparison.model_id = choice.model_id
        AND comparison.quant_tag = choice.minimum_viable_quant
    LEFT JOIN v1.frontier AS best
        ON best.sweep_id = choice.sweep_id
        AND best.model_id = choice.model_id
        AND best.quant_tag = choice.best_value_quant
),

phrases AS (
    SELECT
        *,
        CASE
            WHEN minimum_viable_quant = baseline_quant_tag
                THEN format(
                    'the only eligible one of {} quants (adherence {})',
                    quants,
                    adherence_text
                )
            ELSE format(
                'the smallest of {} quants that keeps {} % of {}''s adherence ({} against {})',
                quants,
                threshold_text,
                baseline_quant_tag,
                adherence_text,
                baseline_text
            )
        END AS claim,
        if(
            best_value_quant = minimum_viable_quant,
            'it is also the best value',
            'the best value is ' || best_value_quant
        ) AS value,
        if(best_value_status = 'WITHIN_NOISE', ', within noise of ' || rivals_text, '')
            AS noise,
        CASE
            WHEN confidence = 'PROVISIONAL'
                THEN format('Provisional: polluted runs were used ({}).', polluted_used)
            WHEN confidence = 'NEEDS_MORE_TASKS' AND tasks_needed IS NULL
                THEN format(
                    'Not supported: the loss observed (tasks: {}) leaves no room within the margin.',
                    evidence_tasks
                )
            WHEN confidence = 'NEEDS_MORE_TASKS'
                THEN format(
                    'Not yet supported: this claim needs {} tasks and rests on {}.',
                    tasks_needed,
                    evidence_tasks
                )
            ELSE format('Supported by {} tasks at 95 %.', evidence_tasks)
        END AS evidence
    FROM figures
),

sentences AS (
    SELECT
        *,
        CASE
            WHEN minimum_viable_quant IS NOT NULL
                THEN [
                    format(
                        'Run {} in {}: {} within {} s; {} ({} s a task{}).',
                        model_id,
                        minimum_viable_quant,
                        claim,
                        ceiling_text,
                        value,
                        seconds_text,
                        noise
                    ),
                    evidence
                ]
            ELSE [
                format(
                    'No recommendation for {}: none of {} quants is eligible ({}).',
                    model_id,
                    quants,
                    coalesce(reasons_text, 'none was measured')
                ),
                if(
                    passes_at_threshold,
                    format(
                        'One would pass at an adherence threshold of {}.',
                        v1.decimal_text(passing_threshold_ppm, 6, 6)
                    ),
                    NULL
                ),
                if(
                    passes_at_ceiling,
                    format(
                        'One would pass at a latency ceiling of {} s.',
                        v1.decimal_text(passing_ceiling_ns, 9, 6)
                    ),
                    NULL
                ),
                if(
                    quants_out_by_pollution > 0,
                    format('{} of {} runs are polluted.', polluted_runs, planned_runs),
                    NULL
                )
            ]
        END AS spoken
    FROM phrases
)

SELECT
    choice.* EXCLUDE (polluted_runs, planned_runs),
    if(
        choice.minimum_viable_quant IS NOT NULL,
        'Smallest eligible quant; the best value is the eligible quant of the highest utility.',
        format('No quant is eligible: {}.', coalesce(reasons_text, 'no quant was measured'))
    ) AS reason,
    array_to_string(
        list_append(
            spoken,
            if(
                choice.missing_runs > 0,
                format(
                    'Incomplete: {} of {} planned runs were not made.',
                    choice.missing_runs,
                    choice.planned_runs
                ),
                NULL
            )
        ),
        ' '
    ) AS recommendation
FROM v1.choice AS choice
INNER JOIN sentences USING (sweep_id, model_id);

COMMENT ON VIEW v1.recommendation IS 'What to run, and how sure it is. One row per sweep and model.';
COMMENT ON COLUMN v1.recommendation.reason IS 'The rule behind the choice, or why there is none';
COMMENT ON COLUMN v1.recommendation.recommendation IS 'One sentence for a person';

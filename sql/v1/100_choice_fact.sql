-- Grain: sweep x model.
-- Inputs: v1.choice, v1.left_out, v1.quant_score, v1.frontier, v1.session, v1.manifest,
-- v1.canary, v1.policy, v1.proof, v1.next_round.
-- Rules: all that the recommendation tells beside the choice itself. Figures of speed are
-- left out where the canary bounds nothing. Of an adaptive sweep it is said by how many
-- tasks each quant was judged.

CREATE VIEW v1.choice_fact AS
WITH judged_by AS (
    SELECT
        sweep_id,
        model_id,
        asked_tasks,
        any_value(planned_tasks) AS planned_tasks,
        string_agg(quant_tag, ', ' ORDER BY place NULLS LAST, quant_tag) AS quants
    FROM v1.proof
    GROUP BY sweep_id, model_id, asked_tasks
),

asked AS (
    SELECT
        sweep_id,
        model_id,
        format(
            'Asked, of the {}: {}.',
            v1.count_text(any_value(planned_tasks), 'task'),
            string_agg(
                format(
                    '{} of {}',
                    if(asked_tasks = 0, 'none', CAST(asked_tasks AS VARCHAR)),
                    quants
                ),
                '; ' ORDER BY asked_tasks DESC
            )
        ) AS asked_text
    FROM judged_by
    GROUP BY ALL
),

shifts AS (
    -- The more precise quants that another stands in for.
    SELECT
        own.sweep_id,
        own.model_id,
        string_agg(own.quant_tag, ', ' ORDER BY own.quant_rank DESC) AS missing_quants
    FROM v1.frontier AS own
    INNER JOIN v1.frontier AS base
        ON base.sweep_id = own.sweep_id
        AND base.model_id = own.model_id
        AND base.quant_tag = own.baseline_quant_tag
    WHERE own.quant_rank > base.quant_rank
    GROUP BY ALL
)

SELECT
    session.sweep_id,
    session.model_id,
    round.answer,
    if(round.answer = 'REFERENCE_PASSES_FEW', round.out_of_reach_passes, NULL)
        AS out_of_reach_passes,
    asked.asked_text,
    left_out.out_text,
    left_out.unjudged_text,
    shifts.missing_quants,
    left_out.base_why,
    manifest.scope_buckets IS NOT NULL AS is_scoped,
    if(
        manifest.scope_buckets IS NULL,
        choice.model_id,
        format(
            '{}, for {} ({} of {})',
            choice.model_id,
            array_to_string(
                list_concat(manifest.scope_buckets, manifest.scope_families), ', '
            ),
            len(manifest.tasks),
            v1.count_text(manifest.planned_tasks, 'task')
        )
    ) AS subject,
    regexp_replace(v1.exact_text(policy.adherence_threshold_ppm, 4), '\.0$', '')
        AS share_text,
    v1.exact_text(policy.latency_ceiling_ns, 9) AS ceiling_text,
    1000000 // policy.evidence_level_ppm AS one_in,
    policy.quality_only,
    manifest.repetitions,
    NOT policy.quality_only
    AND coalesce(canary.latency_bound_ppm <= policy.max_claimed_cv_ppm, false)
        AS tells_speed,
    canary.is_mostly_disturbed,
    coalesce(session.controls.temperature_milli = 0, false) AS is_greedy,
    choice.passing_threshold_ppm < policy.adherence_threshold_ppm AS passes_at_threshold,
    choice.passing_ceiling_ns > policy.latency_ceiling_ns AS passes_at_ceiling,
    array_to_string(
        list_transform(choice.rivals, lambda rival: rival.quant_tag), ', '
    ) AS rivals_text,
    lead,
    base,
    best,
    small,
    proven
FROM v1.choice AS choice
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
INNER JOIN v1.session AS session USING (sweep_id, model_id)
INNER JOIN v1.canary AS canary USING (sweep_id, model_id)
INNER JOIN v1.manifest AS manifest USING (sweep_id)
LEFT JOIN v1.next_round AS round USING (sweep_id, model_id)
LEFT JOIN v1.left_out AS left_out USING (sweep_id, model_id)
LEFT JOIN asked USING (sweep_id, model_id)
LEFT JOIN shifts USING (sweep_id, model_id)
LEFT JOIN v1.quant_score AS lead
    ON lead.sweep_id = choice.sweep_id
    AND lead.model_id = choice.model_id
    AND lead.quant_tag = choice.advised_quant
LEFT JOIN v1.quant_score AS base
    ON base.sweep_id = choice.sweep_id
    AND base.model_id = choice.model_id
    AND base.quant_tag = choice.baseline_quant_tag
LEFT JOIN v1.quant_score AS best
    ON best.sweep_id = choice.sweep_id
    AND best.model_id = choice.model_id
    AND best.quant_tag = choice.best_value_quant
LEFT JOIN v1.quant_score AS small
    ON small.sweep_id = choice.sweep_id
    AND small.model_id = choice.model_id
    AND small.quant_tag = choice.minimum_viable_quant
LEFT JOIN v1.quant_score AS proven
    ON proven.sweep_id = choice.sweep_id
    AND proven.model_id = choice.model_id
    AND proven.quant_tag = choice.smallest_supported_quant;

COMMENT ON VIEW v1.choice_fact IS 'What the recommendation tells beside the choice. One row per sweep and model.';
COMMENT ON COLUMN v1.choice_fact.out_of_reach_passes IS 'Where it ended because the reference does too few tasks: how many any proof takes';
COMMENT ON COLUMN v1.choice_fact.asked_text IS 'How many tasks each quant was asked; of an adaptive sweep';
COMMENT ON COLUMN v1.choice_fact.missing_quants IS 'More precise quants that another stands in for as the baseline';
COMMENT ON COLUMN v1.choice_fact.is_scoped IS 'A what-if asks for some buckets or families';
COMMENT ON COLUMN v1.choice_fact.subject IS 'The model, and what work is asked for';
COMMENT ON COLUMN v1.choice_fact.share_text IS 'The adherence threshold in percent';
COMMENT ON COLUMN v1.choice_fact.ceiling_text IS 'The latency ceiling in seconds';
COMMENT ON COLUMN v1.choice_fact.one_in IS 'One chance in so many that what is shown is wrong';
COMMENT ON COLUMN v1.choice_fact.tells_speed IS 'Times are judged, and the canary bounds them';
COMMENT ON COLUMN v1.choice_fact.is_greedy IS 'Every answer is the likeliest one';
COMMENT ON COLUMN v1.choice_fact.passes_at_threshold IS 'One would pass at a lower adherence threshold';
COMMENT ON COLUMN v1.choice_fact.passes_at_ceiling IS 'One would pass at a higher latency ceiling';
COMMENT ON COLUMN v1.choice_fact.rivals_text IS 'The quants that the best value does not clearly beat';
COMMENT ON COLUMN v1.choice_fact.lead IS 'What can be said of the advised quant';
COMMENT ON COLUMN v1.choice_fact.base IS 'The same of the reference';
COMMENT ON COLUMN v1.choice_fact.best IS 'The same of the best value';
COMMENT ON COLUMN v1.choice_fact.small IS 'The same of the smallest eligible quant';
COMMENT ON COLUMN v1.choice_fact.proven IS 'The same of the smallest supported quant';

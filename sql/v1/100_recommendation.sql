-- Grain: sweep x model.
-- Inputs: v1.choice, v1.frontier, v1.quant_comparison, v1.quant_aggregate, v1.support,
-- v1.session, v1.manifest, v1.canary, v1.policy, v1.proof, v1.next_round.
-- Rules: the choice in words that need no statistics; nothing is decided here. First what
-- to run, then what else, then how sure that is and what would make it surer. Nothing is
-- told to be used unless it is shown, or called not shown yet. Figures of speed are left
-- out where the canary bounds nothing. What was not judged, not run or not comparable
-- could have changed the answer, so it is named. Of an adaptive sweep it is said by how
-- many tasks each quant was judged, and why no more were asked.

CREATE VIEW v1.recommendation AS
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
            'Asked of the {} tasks: {}.',
            any_value(planned_tasks),
            string_agg(
                format('{} {}', quants, if(asked_tasks = 0, 'none', CAST(asked_tasks AS VARCHAR))),
                '; ' ORDER BY asked_tasks DESC
            )
        ) AS asked_text
    FROM judged_by
    GROUP BY ALL
),

facts AS (
    SELECT
        choice.*,
        round.answer,
        asked.asked_text,
        -- What leads: the best value if it is shown to do the work, else the smallest that is.
        CASE
            WHEN choice.best_value_confidence = 'SUPPORTED' THEN choice.best_value_quant
            WHEN choice.smallest_supported_quant IS NOT NULL
                THEN choice.smallest_supported_quant
        END AS lead_quant,
        regexp_replace(v1.exact_text(policy.adherence_threshold_ppm, 4), '\.0$', '')
            AS share_text,
        v1.exact_text(policy.latency_ceiling_ns, 9) AS ceiling_text,
        1000000 // policy.evidence_level_ppm AS one_in,
        policy.quality_only,
        manifest.repetitions,
        NOT policy.quality_only AND canary.latency_bound_ppm <= policy.max_claimed_cv_ppm
            AS tells_speed,
        coalesce(session.controls.temperature_milli = 0, false) AS is_greedy,
        choice.passing_threshold_ppm < policy.adherence_threshold_ppm AS passes_at_threshold,
        choice.passing_ceiling_ns > policy.latency_ceiling_ns AS passes_at_ceiling
    FROM v1.choice AS choice
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.canary AS canary USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    LEFT JOIN v1.next_round AS round USING (sweep_id, model_id)
    LEFT JOIN asked USING (sweep_id, model_id)
),

-- What can be said of one quant: its score beside the baseline quant's on the same tasks.
scores AS (
    SELECT
        support.sweep_id,
        support.model_id,
        support.quant_tag,
        comparison.pairs,
        comparison.baseline_passes,
        comparison.baseline_passes - comparison.flips_lost AS kept,
        comparison.flips_lost,
        comparison.flips_gained,
        aggregate.determinism_micro,
        if(
            aggregate.total_latency_ns < 1000000,
            v1.decimal_text(aggregate.total_latency_ns, 9, 6),
            v1.decimal_text(aggregate.total_latency_ns, 9, 3)
        ) AS seconds_text,
        support.families,
        support.evidence_tasks,
        support.tasks_needed,
        support.tasks_likely,
        support.families_needed,
        support.passes,
        support.losses,
        proof.state,
        proof.least_passes
    FROM v1.support AS support
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag)
),

figures AS (
    SELECT
        facts.*,
        lead.seconds_text AS lead_seconds,
        lead.kept AS lead_kept,
        lead.baseline_passes AS lead_passes,
        lead.flips_gained AS lead_gained,
        lead.pairs AS lead_pairs,
        lead.determinism_micro AS lead_determinism,
        base.seconds_text AS base_seconds,
        best.kept AS best_kept,
        best.baseline_passes AS best_passes,
        best.seconds_text AS best_seconds,
        small.kept AS small_kept,
        small.baseline_passes AS small_passes,
        small.flips_lost AS small_lost,
        small.flips_gained AS small_gained,
        small.pairs AS small_pairs,
        small.evidence_tasks AS small_tasks,
        small.families AS small_families,
        small.passes AS small_counted,
        small.state AS small_state,
        small.least_passes AS small_least_passes,
        array_to_string(
            list_transform(rivals, lambda rival: rival.quant_tag), ', '
        ) AS rivals_text,
        array_to_string(unjudged_quant_tags, ', ') AS unjudged_text,
        nullif(
            array_to_string(
                list_transform(
                    ineligible_reason_counts,
                    lambda entry: format('{} {}', entry.reason, entry.quants)
                ),
                ', '
            ),
            ''
        ) AS reasons_text
    FROM facts
    LEFT JOIN scores AS lead
        ON lead.sweep_id = facts.sweep_id
        AND lead.model_id = facts.model_id
        AND lead.quant_tag = facts.lead_quant
    LEFT JOIN scores AS base
        ON base.sweep_id = facts.sweep_id
        AND base.model_id = facts.model_id
        AND base.quant_tag = facts.baseline_quant_tag
    LEFT JOIN scores AS best
        ON best.sweep_id = facts.sweep_id
        AND best.model_id = facts.model_id
        AND best.quant_tag = facts.best_value_quant
    LEFT JOIN scores AS small
        ON small.sweep_id = facts.sweep_id
        AND small.model_id = facts.model_id
        AND small.quant_tag = facts.minimum_viable_quant
),

phrases AS (
    SELECT
        *,
        format('at least {} % of the work that {} does', share_text, baseline_quant_tag)
            AS work,
        format(
            'no{} does at least {} % of the work that {} does{}',
            if(
                judged_quants = 2,
                ' other quant judged',
                format('ne of the other {} quants judged', judged_quants - 1)
            ),
            share_text,
            baseline_quant_tag,
            if(quality_only, '', format(' within {} s a task', ceiling_text))
        ) AS none_other,
        -- Of the smallest: kept of those that the baseline quant did.
        if(
            small_lost = 0 AND small_gained = 0,
            format(
                'on {} tasks no difference between {} and {} was seen',
                small_pairs,
                minimum_viable_quant,
                baseline_quant_tag
            ),
            format(
                '{} did {} of the {} tasks that {} did{}',
                minimum_viable_quant,
                small_kept,
                small_passes,
                baseline_quant_tag,
                if(small_gained > 0, format(', and {} that it did not', small_gained), '')
            )
        ) AS small_score,
        CASE
            WHEN small_state IN ('OPEN', 'NOT_ASKED') AND small_least_passes > small_counted
                THEN format(
                    'A proof takes at least {} more tasks that {} passes, none of them lost.',
                    small_least_passes - small_counted,
                    baseline_quant_tag
                )
            WHEN small_state IN ('OPEN', 'NOT_ASKED')
                THEN 'A proof of it takes a proof of those before it.'
            WHEN small_state IS NOT NULL
                THEN 'The tasks of this sweep cannot prove it any more.'
            WHEN evidence_families < evidence_tasks AND families_needed > evidence_families
                THEN format(
                    'The {} tasks are of only {} kinds; at least {} kinds would be needed, none of the further ones lost.',
                    evidence_tasks,
                    evidence_families,
                    families_needed
                )
            WHEN tasks_needed IS NULL
                THEN 'No practicable number of tasks would show it at this rate of loss.'
            WHEN tasks_needed = tasks_likely OR tasks_likely IS NULL
                THEN format(
                    'At least {} tasks would be needed, if none of the further ones is lost{}.',
                    tasks_needed,
                    if(
                        tasks_likely IS NULL,
                        '; if it goes on losing as it does, no practicable number would do',
                        ''
                    )
                )
            ELSE format(
                'At least {} tasks would be needed, if none of the further ones is lost; about {}, if it goes on losing as it does.',
                tasks_needed,
                tasks_likely
            )
        END AS needed
    FROM figures
),

leads AS (
    SELECT
        *,
        CASE
            WHEN minimum_viable_quant IS NULL
                THEN format(
                    'No recommendation for {}: none of {} quants passes ({}).',
                    model_id,
                    quants,
                    coalesce(reasons_text, 'none was measured')
                )
            WHEN quants = 1
                THEN format(
                    '{}: only {} was measured, so there is nothing to compare it with; it passes {} of {} tasks.',
                    model_id,
                    baseline_quant_tag,
                    reference_passes,
                    reference_tasks
                )
            WHEN
                confidence = 'PROVISIONAL' AND minimum_viable_quant = baseline_quant_tag
                AND judged_quants = 1
                THEN format(
                    '{}: not shown yet, a first impression only: no quant but {} could be judged.',
                    model_id,
                    baseline_quant_tag
                )
            WHEN confidence = 'PROVISIONAL' AND minimum_viable_quant = baseline_quant_tag
                THEN format(
                    '{}: not shown yet, a first impression only: {}.', model_id, none_other
                )
            WHEN confidence = 'PROVISIONAL'
                THEN format(
                    '{}: not shown yet, a first impression only: {}; {} % is asked.',
                    model_id,
                    small_score,
                    share_text
                )
            WHEN minimum_viable_quant = baseline_quant_tag AND judged_quants = 1
                THEN format(
                    '{}: stay with {}; no other quant could be judged.',
                    model_id,
                    baseline_quant_tag
                )
            WHEN minimum_viable_quant = baseline_quant_tag
                THEN format(
                    '{}: stay with {}. N{}.',
                    model_id,
                    baseline_quant_tag,
                    substr(none_other, 2)
                )
            WHEN
                lead_quant = baseline_quant_tag
                AND smallest_supported_quant <> baseline_quant_tag
                THEN if(
                    best_value_status = 'CLEAR',
                    format('{}: use {}, the best value.', model_id, baseline_quant_tag),
                    format('{}: use {}, which does {}.', model_id, smallest_supported_quant, work)
                )
            WHEN lead_quant = baseline_quant_tag AND best_value_quant = baseline_quant_tag
                AND best_value_status = 'CLEAR'
                THEN format(
                    '{}: use {}, the best value. Smaller is not shown yet: {}. {}',
                    model_id,
                    baseline_quant_tag,
                    small_score,
                    needed
                )
            WHEN lead_quant = baseline_quant_tag
                THEN format(
                    '{}: not shown yet that anything smaller does {}; {} is the safe choice. So far, {}. {}',
                    model_id,
                    work,
                    baseline_quant_tag,
                    small_score,
                    needed
                )
            WHEN lead_quant = best_value_quant AND best_value_status = 'CLEAR'
                THEN format(
                    '{}: use {}, the fastest for its right answers of those that do {}.',
                    model_id,
                    lead_quant,
                    work
                )
            ELSE format('{}: use {}, which does {}.', model_id, lead_quant, work)
        END AS what,
        CASE
            WHEN minimum_viable_quant IS NULL OR quants = 1 OR confidence = 'PROVISIONAL'
                THEN NULL
            WHEN minimum_viable_quant = baseline_quant_tag THEN NULL
            WHEN smallest_supported_quant = baseline_quant_tag THEN NULL
            WHEN lead_quant = baseline_quant_tag
                THEN if(
                    best_value_status = 'CLEAR',
                    format(
                        'If memory is tight: {}, the smallest that is shown to do {}.',
                        smallest_supported_quant,
                        work
                    ),
                    NULL
                )
            WHEN smallest_supported_quant <> lead_quant
                THEN format(
                    'If memory is tight: {}, the smallest that is shown to do so.',
                    smallest_supported_quant
                )
            WHEN smallest_supported_quant = minimum_viable_quant
                THEN 'It is also the smallest that does so.'
        END AS otherwise,
        if(
            minimum_viable_quant IS NOT NULL AND quants > 1
            AND confidence = 'NEEDS_MORE_TASKS' AND lead_quant <> baseline_quant_tag,
            format('Smaller still is not shown yet: {}. {}', small_score, needed),
            NULL
        ) AS smaller
    FROM phrases
),

sentences AS (
    SELECT
        *,
        list_filter(
            [
                if(
                    baseline_shifted,
                    format(
                        'Mind: the most precise quant could not be judged, so {} stands in for it; nothing is shown against the one that is missing.',
                        baseline_quant_tag
                    ),
                    NULL
                ),
                if(
                    reference_fails,
                    format(
                        'Mind: {} itself passes only {} of {} tasks{}. A model that cannot do the work cannot lose much of it.',
                        baseline_quant_tag,
                        reference_passes,
                        reference_tasks,
                        if(
                            reference_guesses,
                            ', no more than guessing does',
                            ''
                        )
                    ),
                    NULL
                ),
                what,
                otherwise,
                smaller,
                -- How sure.
                CASE
                    WHEN minimum_viable_quant IS NULL OR quants = 1 THEN NULL
                    WHEN polluted_used > 0
                        THEN format(
                            'How sure: not at all yet; {} disturbed runs were used.',
                            polluted_used
                        )
                    WHEN baseline_shifted THEN NULL
                    WHEN lead_quant <> baseline_quant_tag
                        THEN format(
                            'How sure: shown on {} tasks like these, where {} did {} of the {} tasks that {} did; 1 chance in {} of error.',
                            lead_pairs,
                            lead_quant,
                            lead_kept,
                            lead_passes,
                            baseline_quant_tag,
                            one_in
                        )
                    WHEN
                        smallest_supported_quant = minimum_viable_quant
                        AND smallest_supported_quant <> baseline_quant_tag
                        THEN format(
                            'How sure: shown on {} tasks like these, where {} did {} of the {} tasks that {} did; 1 chance in {} of error.',
                            small_pairs,
                            minimum_viable_quant,
                            small_kept,
                            small_passes,
                            baseline_quant_tag,
                            one_in
                        )
                    WHEN minimum_viable_quant = baseline_quant_tag
                        THEN format(
                            'How sure: on {} tasks like these; {} keeps its own score by definition, which needs no proof.',
                            reference_tasks,
                            baseline_quant_tag
                        )
                END,
                if(
                    minimum_viable_quant IS NOT NULL AND quants > 1 AND is_greedy
                    AND coalesce(lead_determinism, 1000000) = 1000000
                    AND lead_quant <> baseline_quant_tag AND confidence <> 'PROVISIONAL',
                    format(
                        'Should these {} tasks be all your work, the score itself is the answer: {} does {} of them, {} {}.',
                        lead_pairs,
                        lead_quant,
                        lead_kept + lead_gained,
                        baseline_quant_tag,
                        lead_passes
                    ),
                    NULL
                ),
                -- Speed.
                CASE
                    WHEN minimum_viable_quant IS NULL OR quants = 1 THEN NULL
                    WHEN quality_only
                        THEN 'Answers alone were judged: nothing is said of speed.'
                    WHEN NOT coalesce(tells_speed, false)
                        THEN 'Nothing is said of speed: the canary did not show that times repeat here.'
                    WHEN best_value_status = 'WITHIN_NOISE'
                        THEN format(
                            'Speed: {} takes {} s a task and has the best value so far, but it cannot be told for sure from {}{}.',
                            best_value_quant,
                            best_seconds,
                            rivals_text,
                            CASE
                                WHEN answer IS NULL AND repetitions = 1
                                    THEN '; one repetition cannot tell speed from chance'
                                WHEN repetitions_needed IS NULL THEN ''
                                ELSE format('; {} repetitions would do', repetitions_needed)
                            END
                        )
                    WHEN best_value_quant <> baseline_quant_tag
                        THEN format(
                            'Speed: {} takes {} s a task, {} {} s.',
                            best_value_quant,
                            best_seconds,
                            baseline_quant_tag,
                            base_seconds
                        )
                    ELSE format('Speed: {} takes {} s a task.', best_value_quant, best_seconds)
                END,
                if(
                    minimum_viable_quant IS NULL AND passes_at_threshold,
                    format(
                        'One would pass at an adherence threshold of {}.',
                        v1.decimal_text(passing_threshold_ppm, 6, 6)
                    ),
                    NULL
                ),
                if(
                    minimum_viable_quant IS NULL AND passes_at_ceiling,
                    format(
                        'One would pass at a latency ceiling of {} s.',
                        v1.decimal_text(passing_ceiling_ns, 9, 6)
                    ),
                    NULL
                ),
                if(
                    minimum_viable_quant IS NULL AND quants_out_by_pollution > 0,
                    format('{} of {} runs are polluted.', polluted_runs, planned_runs),
                    NULL
                ),
                if(
                    minimum_viable_quant IS NOT NULL AND len(unjudged_quant_tags) > 0,
                    format(
                        'Not judged{}: {}.',
                        if(answer IS NULL, ', for too few tasks with a verdict', ' so far'),
                        unjudged_text
                    ),
                    NULL
                ),
                if(
                    unsupported_tasks > 0,
                    format(
                        'Compared without {} of {} tasks: a check could not be run on some quant''s answer.',
                        unsupported_tasks,
                        planned_tasks
                    ),
                    NULL
                ),
                asked_text
                || CASE
                    WHEN answer = 'ASK' THEN ' Not decided yet: more time would tell more.'
                    WHEN answer = 'DECIDED' AND minimum_viable_quant <> baseline_quant_tag
                        THEN ' Stopped: the smallest that passes is proven.'
                    WHEN answer = 'DECIDED' THEN ' Stopped: nothing smaller passes.'
                    WHEN answer = 'BANK_EXHAUSTED'
                        THEN ' Stopped: there are no more tasks to ask.'
                    ELSE ' Stopped: nothing more can be proven by these tasks.'
                END,
                if(
                    missing_runs > 0,
                    format(
                        'Incomplete: {} of {} planned runs were not made.',
                        missing_runs,
                        planned_runs
                    ),
                    NULL
                )
            ],
            lambda line: line IS NOT NULL
        ) AS lines
    FROM leads
)

SELECT
    choice.* EXCLUDE (polluted_runs, planned_runs, unsupported_tasks, planned_tasks),
    if(
        choice.minimum_viable_quant IS NOT NULL,
        'Smallest eligible quant; the best value is the eligible quant of the highest utility.',
        format('No quant is eligible: {}.', coalesce(reasons_text, 'no quant was measured'))
    ) AS reason,
    lines AS recommendation_lines,
    array_to_string(lines, ' ') AS recommendation
FROM v1.choice AS choice
INNER JOIN sentences USING (sweep_id, model_id);

COMMENT ON VIEW v1.recommendation IS 'What to run, and how sure it is. One row per sweep and model.';
COMMENT ON COLUMN v1.recommendation.reason IS 'The rule behind the choice, or why there is none';
COMMENT ON COLUMN v1.recommendation.recommendation_lines IS 'The recommendation for a person, one thought a line';
COMMENT ON COLUMN v1.recommendation.recommendation IS 'The same as one text';

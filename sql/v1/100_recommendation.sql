-- Grain: sweep x model.
-- Inputs: v1.choice, v1.frontier, v1.quant_comparison, v1.quant_aggregate, v1.support,
-- v1.session, v1.manifest, v1.canary, v1.policy, v1.proof, v1.next_round, v1.reason.
-- Rules: the choice in words that need no statistics; nothing is decided here. Three lines
-- are the answer: what to use, what if memory is tight, how sure that is and what would make
-- it surer; notes follow. Nothing is told to be used unless it is shown, or called not shown
-- yet. Figures of speed are left out where the canary bounds nothing. What was not judged,
-- not run or not comparable could have changed the answer, so it is named with the reason.
-- Of an adaptive sweep it is said by how many tasks each quant was judged, and why no more
-- were asked. Where a what-if asks for some buckets or families, these are named first.

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
            'Asked, of the {} tasks: {}.',
            any_value(planned_tasks),
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

-- Why a quant is out, in words: a reason's own, or what its runs lack.
lacks AS (
    SELECT
        frontier.sweep_id,
        frontier.model_id,
        frontier.quant_tag,
        frontier.quant_rank,
        frontier.is_judged,
        reason.signal,
        CASE
            WHEN reason.signal <> 'uncovered' THEN reason.short
            WHEN aggregate.attempts = 0 THEN 'not run'
            WHEN aggregate.missing_runs > 0 THEN 'not run to the end'
            WHEN frontier.is_fillable THEN 'too many disturbed runs'
            WHEN aggregate.answered_runs = 0 THEN 'no answers'
            ELSE 'too few answers that count'
        END AS why
    FROM v1.frontier AS frontier
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    CROSS JOIN unnest(frontier.ineligible_reasons) AS coded (code)
    INNER JOIN v1.reason AS reason ON reason.code = coded.code AND reason.scope = 'quant'
    WHERE
        -- Where nothing could be judged there is no yardstick either.
        reason.signal <> 'no_baseline_adherence'
        OR frontier.baseline_quant_tag IS NOT NULL
),

alike AS (
    SELECT
        sweep_id,
        model_id,
        is_judged,
        why,
        max(quant_rank) AS quant_rank,
        string_agg(quant_tag, ', ' ORDER BY quant_rank DESC NULLS LAST, quant_tag) AS quants
    FROM lacks
    -- A quant that is not judged is told once, by what it lacks.
    WHERE is_judged OR signal = 'uncovered' OR NOT EXISTS (
        SELECT 1 FROM lacks AS other
        WHERE
            other.sweep_id = lacks.sweep_id AND other.model_id = lacks.model_id
            AND other.quant_tag = lacks.quant_tag AND other.signal = 'uncovered'
    )
    GROUP BY sweep_id, model_id, is_judged, why
),

outs AS (
    SELECT
        sweep_id,
        model_id,
        string_agg(
            format('{}{}: {}.', upper(why[1]), why[2:], quants),
            ' ' ORDER BY quant_rank DESC NULLS LAST, why
        ) AS out_text,
        string_agg(
            format('{} ({})', quants, why), '; ' ORDER BY quant_rank DESC NULLS LAST, why
        ) FILTER (WHERE NOT is_judged) AS unjudged_text
    FROM alike
    GROUP BY ALL
),

baseline_lacks AS (
    SELECT sweep_id, model_id, string_agg(why, ', ' ORDER BY why) AS why
    FROM lacks
    INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
    WHERE frontier.is_baseline_quant
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
),

facts AS (
    SELECT
        choice.*,
        choice.advised_quant AS lead_quant,
        round.answer,
        asked.asked_text,
        outs.out_text,
        outs.unjudged_text,
        shifts.missing_quants,
        baseline_lacks.why AS base_why,
        manifest.scope_buckets IS NOT NULL AS is_scoped,
        if(
            manifest.scope_buckets IS NULL,
            choice.model_id,
            format(
                '{}, for {} ({} of {} tasks)',
                choice.model_id,
                array_to_string(
                    list_concat(manifest.scope_buckets, manifest.scope_families), ', '
                ),
                len(manifest.tasks),
                manifest.planned_tasks
            )
        ) AS subject,
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
    LEFT JOIN outs USING (sweep_id, model_id)
    LEFT JOIN shifts USING (sweep_id, model_id)
    LEFT JOIN baseline_lacks USING (sweep_id, model_id)
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
        -- Tasks that are done in part count too.
        comparison.adherence_delta_nano = 0 AND comparison.loss_sum_nano = 0 AS is_equal,
        -- Lost for want of a run that counts, under it or under the baseline quant.
        support.losses - comparison.flips_lost AS unpaired_losses,
        aggregate.determinism_micro,
        if(
            aggregate.total_latency_ns < 1000000,
            v1.decimal_text(aggregate.total_latency_ns, 9, 6),
            v1.decimal_text(aggregate.total_latency_ns, 9, 3)
        ) AS seconds_text,
        aggregate.total_latency_ns = min(aggregate.total_latency_ns)
            FILTER (WHERE frontier.is_eligible) OVER session AS is_fastest,
        support.families,
        support.evidence_tasks,
        support.tasks_needed,
        support.tasks_likely,
        support.families_needed,
        support.passes,
        proof.state,
        proof.passes_needed
    FROM v1.support AS support
    INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag)
    WINDOW session AS (PARTITION BY support.sweep_id, support.model_id)
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
        lead.is_fastest AS lead_is_fastest,
        base.seconds_text AS base_seconds,
        best.seconds_text AS best_seconds,
        small.kept AS small_kept,
        small.baseline_passes AS small_passes,
        small.flips_lost AS small_lost,
        small.flips_gained AS small_gained,
        small.unpaired_losses AS small_unpaired,
        small.pairs AS small_pairs,
        small.is_equal AS small_is_equal,
        small.passes AS small_counted,
        small.state AS small_state,
        small.passes_needed AS small_passes_needed,
        proven.kept AS proven_kept,
        proven.baseline_passes AS proven_passes,
        proven.pairs AS proven_pairs,
        array_to_string(
            list_transform(rivals, lambda rival: rival.quant_tag), ', '
        ) AS rivals_text
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
    LEFT JOIN scores AS proven
        ON proven.sweep_id = facts.sweep_id
        AND proven.model_id = facts.model_id
        AND proven.quant_tag = facts.smallest_supported_quant
),

phrases AS (
    SELECT
        *,
        -- Which of the situations it is.
        CASE
            WHEN minimum_viable_quant IS NULL THEN 'NOBODY'
            WHEN quants = 1 THEN 'ALONE'
            WHEN confidence = 'PROVISIONAL' THEN 'IMPRESSION'
            WHEN judged_quants = 1 THEN 'UNRIVALLED'
            WHEN minimum_viable_quant = baseline_quant_tag THEN 'BASELINE'
            WHEN smallest_supported_quant IS NULL THEN 'OPEN'
            WHEN smallest_supported_quant = baseline_quant_tag THEN 'UNSHOWN'
            ELSE 'SHOWN'
        END AS situation,
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
        best_value_status IS NOT DISTINCT FROM 'CLEAR' AND lead_quant = best_value_quant
            AS is_clear,
        if(
            lead_is_fastest, 'the fastest', 'the best for the time it takes'
        ) AS best_words,
        -- Of the smallest: kept of those that the baseline quant did.
        if(
            small_lost = 0 AND small_gained = 0 AND small_is_equal,
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
                if(
                    small_gained > 0,
                    format(', and {} that {} did not', small_gained, baseline_quant_tag),
                    ''
                )
            )
        ) AS small_score,
        CASE
            WHEN small_state IN ('OPEN', 'NOT_ASKED') AND small_passes_needed > small_counted
                THEN format(
                    'at least {} more tasks that {} does would be needed, if {} loses none of them.',
                    small_passes_needed - small_counted,
                    baseline_quant_tag,
                    minimum_viable_quant
                )
            WHEN small_state IN ('OPEN', 'NOT_ASKED')
                THEN format(
                    '{} can be shown only after those between it and {}.',
                    minimum_viable_quant,
                    baseline_quant_tag
                )
            WHEN small_state IS NOT NULL
                THEN format(
                    'the tasks of this sweep can no longer show {}.', minimum_viable_quant
                )
            WHEN evidence_families < evidence_tasks AND families_needed > evidence_families
                THEN format(
                    'the {} tasks are of only {} families, and tasks of one family fail together: at least {} families would be needed{}, if {} loses none of the further ones.',
                    evidence_tasks,
                    evidence_families,
                    families_needed,
                    coalesce(format(', or {} tasks of these', tasks_needed), ''),
                    minimum_viable_quant
                )
            WHEN tasks_needed IS NULL
                THEN format(
                    '{} loses so many that no practicable number of tasks would do.',
                    minimum_viable_quant
                )
            WHEN tasks_needed = tasks_likely OR tasks_likely IS NULL
                THEN format(
                    'at least {} tasks would be needed, if {} loses none of the further ones.',
                    tasks_needed,
                    minimum_viable_quant
                )
            ELSE format(
                'at least {} tasks would be needed, if {} loses none of the further ones; about {}, if it goes on losing as it does.',
                tasks_needed,
                minimum_viable_quant,
                tasks_likely
            )
        END
        -- A run that was thrown out is the cheapest evidence there is.
        || CASE
            WHEN coalesce(small_unpaired, 0) = 0 THEN ''
            WHEN small_unpaired = 1
                THEN ' 1 task counts as lost only for want of an undisturbed run: one more run of it would settle that.'
            ELSE format(
                ' {} tasks count as lost only for want of an undisturbed run: one more run of each would settle that.',
                small_unpaired
            )
        END AS needed
    FROM figures
),

leads AS (
    SELECT
        *,
        CASE situation
            WHEN 'NOBODY'
                THEN format(
                    'No recommendation for {}: {}.{}',
                    subject,
                    CASE
                        WHEN quants = 0 THEN 'nothing was measured'
                        WHEN quants = 1 AND judged_quants = 0
                            THEN 'its one quant could not be judged'
                        WHEN quants = 1 THEN 'its one quant will not do'
                        WHEN judged_quants = 0
                            THEN format('none of its {} quants could be judged', quants)
                        ELSE format('none of its {} quants will do', quants)
                    END,
                    coalesce(' ' || out_text, '')
                )
            WHEN 'ALONE'
                THEN format(
                    '{}: only {} was measured, so there is nothing to compare it with; it did {} of {} tasks.',
                    subject,
                    baseline_quant_tag,
                    reference_passes,
                    reference_tasks
                )
            WHEN 'IMPRESSION'
                THEN format(
                    '{}: not shown yet, a first impression only: {}.',
                    subject,
                    CASE
                        WHEN minimum_viable_quant <> baseline_quant_tag
                            THEN format(
                                '{}; at least {} % of that work is asked',
                                small_score,
                                share_text
                            )
                        WHEN judged_quants = 1
                            THEN format('no quant but {} could be judged', baseline_quant_tag)
                        ELSE none_other
                    END
                )
            WHEN 'UNRIVALLED'
                THEN format(
                    '{}: {} is the safe choice. Whether a smaller one will do is not shown yet: no other quant could be judged.',
                    subject,
                    baseline_quant_tag
                )
            WHEN 'BASELINE'
                THEN format('{}: use {}: {}.', subject, baseline_quant_tag, none_other)
            WHEN 'UNSHOWN'
                THEN format(
                    '{}: {} is the safe choice{}. Not shown yet: that a smaller one does at least {} % of its work.',
                    subject,
                    baseline_quant_tag,
                    if(is_clear, ' and ' || best_words, ''),
                    share_text
                )
            WHEN 'OPEN'
                THEN format(
                    '{}: not shown yet that any quant will do; {} itself will not ({}).',
                    subject,
                    baseline_quant_tag,
                    base_why
                )
            ELSE CASE
                WHEN lead_quant = baseline_quant_tag
                    THEN format('{}: use {}: {}.', subject, lead_quant, best_words)
                WHEN NOT is_clear
                    THEN format(
                        '{}: use {}: the smallest that is shown to do {}.',
                        subject,
                        lead_quant,
                        work
                    )
                WHEN smallest_supported_quant = lead_quant
                    THEN format(
                        '{}: use {}: {}, and the smallest that is shown to do {}.',
                        subject,
                        lead_quant,
                        best_words,
                        work
                    )
                ELSE format(
                    '{}: use {}: {} of those that are shown to do {}.',
                    subject,
                    lead_quant,
                    best_words,
                    work
                )
            END
        END AS what,
        if(
            situation = 'OPEN',
            format('{} may do: {}.', minimum_viable_quant, small_score),
            nullif(
                'If memory is tight: '
                || CASE
                    WHEN situation = 'SHOWN' AND smallest_supported_quant <> lead_quant
                        THEN format(
                            '{}, the smallest that is shown to do {}.',
                            smallest_supported_quant,
                            if(lead_quant = baseline_quant_tag, work, 'so')
                        )
                    ELSE ''
                END
                || CASE
                    WHEN
                        situation = 'UNSHOWN'
                        OR (situation = 'SHOWN' AND smallest_supported_quant <> minimum_viable_quant)
                        THEN format(
                            '{}{} may do, which is not shown yet: {}.',
                            if(situation = 'SHOWN' AND smallest_supported_quant <> lead_quant, ' ', ''),
                            minimum_viable_quant,
                            small_score
                        )
                    ELSE ''
                END,
                'If memory is tight: '
            )
        ) AS otherwise,
        'How sure: '
        || CASE
            WHEN situation IN ('NOBODY', 'ALONE', 'UNRIVALLED') THEN NULL
            WHEN polluted_used = 1 THEN 'not at all yet; 1 disturbed run was used.'
            WHEN polluted_used > 0
                THEN format('not at all yet; {} disturbed runs were used.', polluted_used)
            WHEN situation = 'IMPRESSION'
                THEN format('not yet; nothing is shown against {}.', missing_quants)
            WHEN situation = 'BASELINE'
                THEN format(
                    'by their scores on {} tasks; {}, which they are held against, needs no proof.',
                    reference_tasks,
                    baseline_quant_tag
                )
            WHEN situation IN ('OPEN', 'UNSHOWN') THEN format('not yet; {}', needed)
            ELSE format(
                'shown on {} tasks like these, where {} did {} of the {} tasks that {} did; 1 chance in {} of error.{}',
                if(lead_quant = baseline_quant_tag, proven_pairs, lead_pairs),
                if(lead_quant = baseline_quant_tag, smallest_supported_quant, lead_quant),
                if(lead_quant = baseline_quant_tag, proven_kept, lead_kept),
                if(lead_quant = baseline_quant_tag, proven_passes, lead_passes),
                baseline_quant_tag,
                one_in,
                if(
                    smallest_supported_quant <> minimum_viable_quant,
                    format(' For {}, {}', minimum_viable_quant, needed),
                    ''
                )
            )
        END AS how_sure
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
                        'Mind: {} could not be judged, so {} stands in for it; nothing is shown against {}.',
                        missing_quants,
                        baseline_quant_tag,
                        missing_quants
                    ),
                    NULL
                ),
                if(
                    reference_fails,
                    format(
                        'Mind: {} itself does {} of {} tasks{}. A model that cannot do the work cannot lose much of it.',
                        baseline_quant_tag,
                        if(reference_passes = 0, 'none', format('only {}', reference_passes)),
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
                how_sure,
                if(
                    situation = 'SHOWN' AND is_greedy
                    AND coalesce(lead_determinism, 1000000) = 1000000
                    AND lead_quant <> baseline_quant_tag,
                    format(
                        'If these {} tasks are all your work, the score itself is the answer: {} does {} of them, {} {}.',
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
                    WHEN situation IN ('NOBODY', 'ALONE') THEN NULL
                    WHEN quality_only
                        THEN 'Answers alone were judged: nothing is said of speed.'
                    WHEN NOT coalesce(tells_speed, false)
                        THEN 'Nothing is said of speed: the check before the sweep did not show that times repeat on this machine.'
                    WHEN best_value_status = 'WITHIN_NOISE'
                        THEN format(
                            'Speed: {} looks best so far with {} s a task{}, but it cannot be told for sure from {}{}.',
                            best_value_quant,
                            best_seconds,
                            if(
                                lead_quant <> best_value_quant,
                                format(' ({} {} s)', lead_quant, lead_seconds),
                                ''
                            ),
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
                    situation = 'NOBODY' AND passes_at_threshold,
                    format(
                        'One would do if {} % of that work were enough; the adherence threshold is {} %.',
                        regexp_replace(v1.exact_text(passing_threshold_ppm, 4), '\.0$', ''),
                        share_text
                    ),
                    NULL
                ),
                if(
                    situation = 'NOBODY' AND passes_at_ceiling,
                    format(
                        'One would do if {} s a task were allowed; the latency ceiling is {} s.',
                        v1.exact_text(passing_ceiling_ns, 9),
                        ceiling_text
                    ),
                    NULL
                ),
                if(
                    situation = 'NOBODY' AND quants_out_by_pollution > 0,
                    format(
                        '{} of {} runs were disturbed and do not count.',
                        polluted_runs,
                        planned_runs
                    ),
                    NULL
                ),
                if(
                    situation <> 'NOBODY' AND unjudged_text IS NOT NULL,
                    format(
                        'Not judged{}: {}.', if(answer IS NULL, '', ' so far'), unjudged_text
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
                    -- Why it stopped was judged by all its tasks.
                    WHEN is_scoped THEN ''
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
        format('No quant is eligible. {}', coalesce(out_text, 'None was measured.'))
    ) AS reason,
    lines AS recommendation_lines,
    array_to_string(lines, ' ') AS recommendation
FROM v1.choice AS choice
INNER JOIN sentences USING (sweep_id, model_id);

COMMENT ON VIEW v1.recommendation IS 'What to run, and how sure it is. One row per sweep and model.';
COMMENT ON COLUMN v1.recommendation.reason IS 'The rule behind the choice, or why there is none';
COMMENT ON COLUMN v1.recommendation.recommendation_lines IS 'The recommendation for a person, one thought a line';
COMMENT ON COLUMN v1.recommendation.recommendation IS 'The same as one text';

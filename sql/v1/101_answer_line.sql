-- Grain: sweep x model.
-- Inputs: v1.choice, v1.choice_fact, v1.policy_step.
-- Rules: three lines are the answer: what to use, what if memory is tight, how sure that is
-- and what would make it surer. Nothing is told to be used unless it is shown, or called not
-- shown yet. Where a what-if asks for some buckets or families, these are named first.

CREATE VIEW v1.answer_line AS
WITH phrases AS (
    SELECT
        *,
        -- Which of the situations it is.
        CASE
            WHEN minimum_viable_quant IS NULL AND reference_passes = 0 AND reference_tasks > 0
                THEN 'IDLE'
            -- Ended for it, and it does less than what makes a reference.
            WHEN out_of_reach_passes IS NOT NULL AND reference_fails AND NOT is_scoped
                THEN 'TOO_HARD'
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
        best_value_status IS NOT DISTINCT FROM 'CLEAR' AND advised_quant = best_value_quant
            AS is_clear,
        if(
            lead.is_fastest, 'the fastest', 'the best for the time it takes'
        ) AS best_words,
        -- Of the smallest: kept of those that the reference did.
        if(
            small.flips_lost = 0 AND small.flips_gained = 0 AND small.is_equal,
            format(
                'on {} no difference from {} was seen',
                v1.count_text(small.pairs, 'task'),
                baseline_quant_tag
            ),
            format(
                'it did {} of the {} tasks that {} did{}',
                small.kept,
                small.baseline_passes,
                baseline_quant_tag,
                if(
                    small.flips_gained > 0,
                    format(', and {} that {} did not', small.flips_gained, baseline_quant_tag),
                    ''
                )
            )
        ) AS small_score,
        CASE
            WHEN small.state IN ('OPEN', 'NOT_ASKED') AND small.passes_needed > small.passes
                THEN format(
                    'at least {} more tasks that {} does would be needed, if {} loses none of them.',
                    small.passes_needed - small.passes,
                    baseline_quant_tag,
                    minimum_viable_quant
                )
            WHEN small.state IN ('OPEN', 'NOT_ASKED')
                THEN format(
                    '{} can be shown only after those between it and {}.',
                    minimum_viable_quant,
                    baseline_quant_tag
                )
            WHEN small.state IS NOT NULL
                THEN format(
                    'the tasks of this sweep can no longer show {}.', minimum_viable_quant
                )
            WHEN evidence_families < evidence_tasks AND families_needed > evidence_families
                THEN format(
                    'at least {}{} families of tasks (now {}) would be needed, if {} loses none of the further ones.',
                    coalesce(format('{} tasks like these or ', tasks_needed), ''),
                    families_needed,
                    evidence_families,
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
            WHEN coalesce(small.unpaired_losses, 0) = 0 THEN ''
            WHEN small.unpaired_losses = 1
                THEN ' 1 task counts as lost only for want of an undisturbed run: one more run of it would settle that.'
            ELSE format(
                ' {} tasks count as lost only for want of an undisturbed run: one more run of each would settle that.',
                small.unpaired_losses
            )
        END AS needed
    FROM v1.choice AS choice
    INNER JOIN v1.choice_fact AS facts USING (sweep_id, model_id)
)

SELECT
    sweep_id,
    model_id,
    situation,
    CASE situation
        WHEN 'IDLE'
            THEN format(
                'No recommendation for {}: {} itself does none of the {} in full, so there is nothing to hold the others against.',
                subject,
                baseline_quant_tag,
                v1.count_text(reference_tasks, 'task')
            )
        WHEN 'TOO_HARD'
            THEN format(
                'No recommendation for {}: {} itself does only {} of {}, too few to hold the others against.',
                subject,
                baseline_quant_tag,
                reference_passes,
                v1.count_text(reference_tasks, 'task')
            )
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
                '{}: only {} was measured, so there is nothing to compare it with; it did {} of {}.',
                subject,
                baseline_quant_tag,
                reference_passes,
                v1.count_text(reference_tasks, 'task')
            )
        WHEN 'IMPRESSION'
            THEN format(
                '{}: a first impression only, not shown yet: {}.',
                subject,
                CASE
                    WHEN minimum_viable_quant <> baseline_quant_tag
                        THEN format('{} may do ({})', minimum_viable_quant, small_score)
                    WHEN judged_quants = 1
                        THEN format('no quant but {} could be judged', baseline_quant_tag)
                    ELSE none_other
                END
            )
        WHEN 'UNRIVALLED'
            THEN format(
                '{}: {} is the safe choice: no other quant could be judged, so it is not shown yet that a smaller one will do.',
                subject,
                baseline_quant_tag
            )
        WHEN 'BASELINE'
            THEN format('{}: use {}: {}.', subject, baseline_quant_tag, none_other)
        WHEN 'UNSHOWN'
            THEN format(
                '{}: {} is the safe choice{}: it is not shown yet that a smaller one does at least {} % of its work.',
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
            WHEN advised_quant = baseline_quant_tag
                THEN format('{}: use {}: {}.', subject, advised_quant, best_words)
            WHEN NOT is_clear
                THEN format(
                    '{}: use {}: the smallest that is shown to do {}.',
                    subject,
                    advised_quant,
                    work
                )
            WHEN smallest_supported_quant = advised_quant
                THEN format(
                    '{}: use {}: {}, and the smallest that is shown to do {}.',
                    subject,
                    advised_quant,
                    best_words,
                    work
                )
            ELSE format(
                '{}: use {}: {} of those that are shown to do {}.',
                subject,
                advised_quant,
                best_words,
                work
            )
        END
    END AS what,
    CASE
        WHEN situation IN ('IDLE', 'TOO_HARD')
            THEN 'What to do: ask tasks that this model can do, best those of your own work, or measure a larger model.'
        WHEN situation = 'OPEN' THEN format('{} may do ({}).', minimum_viable_quant, small_score)
        ELSE nullif(
            'If memory is tight: '
            || CASE
                WHEN situation = 'SHOWN' AND smallest_supported_quant <> advised_quant
                    THEN format(
                        '{}, the smallest that is shown to do {}.',
                        smallest_supported_quant,
                        if(advised_quant = baseline_quant_tag, work, 'so')
                    )
                ELSE ''
            END
            || CASE
                WHEN
                    situation = 'UNSHOWN'
                    OR (situation = 'SHOWN' AND smallest_supported_quant <> minimum_viable_quant)
                    THEN format(
                        '{}{} may do too ({}), but that is not shown yet.',
                        if(situation = 'SHOWN' AND smallest_supported_quant <> advised_quant, ' ', ''),
                        minimum_viable_quant,
                        small_score
                    )
                ELSE ''
            END,
            'If memory is tight: '
        )
    END AS otherwise,
    'How sure: '
    || CASE
        WHEN situation IN ('IDLE', 'TOO_HARD', 'NOBODY', 'ALONE', 'UNRIVALLED') THEN NULL
        WHEN polluted_used = 1 THEN 'not at all yet; 1 disturbed run was used.'
        WHEN polluted_used > 0
            THEN format('not at all yet; {} disturbed runs were used.', polluted_used)
        WHEN situation = 'IMPRESSION'
            THEN format('not yet; nothing is shown against {}.', missing_quants)
        WHEN situation = 'BASELINE'
            THEN format(
                'by their scores on {}; {}, which they are held against, needs no proof.',
                v1.count_text(reference_tasks, 'task'),
                baseline_quant_tag
            )
        WHEN situation IN ('OPEN', 'UNSHOWN') THEN format('not yet; {}', needed)
        ELSE format(
            'shown on {} tasks like these: {} did {} that {} did; 1 chance in {} of error.',
            if(advised_quant = baseline_quant_tag, proven.pairs, lead.pairs),
            if(advised_quant = baseline_quant_tag, smallest_supported_quant, advised_quant),
            CASE
                WHEN advised_quant <> baseline_quant_tag AND lead.kept = lead.baseline_passes
                    THEN format('all {}', lead.kept)
                WHEN advised_quant <> baseline_quant_tag
                    THEN format('{} of the {}', lead.kept, lead.baseline_passes)
                WHEN proven.kept = proven.baseline_passes THEN format('all {}', proven.kept)
                ELSE format('{} of the {}', proven.kept, proven.baseline_passes)
            END,
            baseline_quant_tag,
            one_in
        )
    END AS how_sure,
    if(
        situation = 'SHOWN' AND smallest_supported_quant <> minimum_viable_quant,
        format('To show {} too: {}', minimum_viable_quant, needed),
        NULL
    ) AS further,
    if(
        quality_only,
        format(
            'Answers alone were judged{}: nothing is said of speed.',
            if(
                len(step.reasons) > 0,
                ', for the machine was not steady (as by --quality-only)',
                ', as by --quality-only'
            )
        ),
        NULL
    ) AS untimed
FROM phrases
LEFT JOIN (SELECT sweep_id, model_id, reasons FROM v1.policy_step) AS step
    USING (sweep_id, model_id);

COMMENT ON VIEW v1.answer_line IS 'The answer in three lines. One row per sweep and model.';
COMMENT ON COLUMN v1.answer_line.situation IS 'IDLE: the reference does no task, TOO_HARD: too few to go on, NOBODY will do, ALONE, IMPRESSION, UNRIVALLED, BASELINE itself, OPEN, UNSHOWN or SHOWN';
COMMENT ON COLUMN v1.answer_line.what IS 'What to use';
COMMENT ON COLUMN v1.answer_line.otherwise IS 'What if memory is tight, or what to do where nothing can be said; NULL where nothing smaller may do';
COMMENT ON COLUMN v1.answer_line.how_sure IS 'How sure that is, and what would make it surer; NULL where nothing is told';
COMMENT ON COLUMN v1.answer_line.further IS 'What would show the smallest too, where another is shown';
COMMENT ON COLUMN v1.answer_line.untimed IS 'That answers alone were judged, and why; NULL where times were too';

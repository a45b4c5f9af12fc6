-- Grain: sweep x model.
-- Inputs: v1.choice, v1.choice_fact, v1.answer_line, v1.manifest, v1.stop, v1.stop_reason.
-- Rules: the choice in words that need no statistics; nothing is decided here. The answer
-- stands first, but for what has to be minded; notes follow. What was not judged, not run or
-- not comparable could have changed the answer, so it is named with the reason. Of an
-- adaptive sweep it is said why no more tasks were asked, in the words of v1.stop_reason.

CREATE VIEW v1.recommendation AS
WITH sentences AS (
    SELECT
        sweep_id,
        model_id,
        out_text,
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
                    reference_fails AND situation NOT IN ('IDLE', 'TOO_HARD'),
                    format(
                        'Mind: {} itself does only {} of {}{}. A model that cannot do the work cannot lose much of it.',
                        baseline_quant_tag,
                        reference_passes,
                        v1.count_text(reference_tasks, 'task'),
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
                further,
                if(
                    situation = 'SHOWN' AND is_greedy
                    AND coalesce(lead.determinism_micro, 1000000) = 1000000
                    AND advised_quant <> baseline_quant_tag,
                    format(
                        'If these {} tasks are all your work, the score itself is the answer: {} does {} of them, {} {}.',
                        lead.pairs,
                        advised_quant,
                        lead.kept + lead.flips_gained,
                        baseline_quant_tag,
                        lead.baseline_passes
                    ),
                    NULL
                ),
                -- Speed.
                CASE
                    WHEN situation IN ('IDLE', 'TOO_HARD', 'NOBODY', 'ALONE') THEN NULL
                    WHEN quality_only THEN untimed
                    WHEN is_mostly_disturbed
                        THEN 'Nothing is said of speed: other programs disturbed the check before the sweep.'
                    WHEN NOT coalesce(tells_speed, false)
                        THEN 'Nothing is said of speed: the check before the sweep did not show that times repeat on this machine.'
                    WHEN best_value_status = 'WITHIN_NOISE'
                        THEN format(
                            'Speed: {} looks best so far with {} s a task{}, but it cannot be told for sure from {}{}.',
                            best_value_quant,
                            best.seconds_text,
                            if(
                                advised_quant <> best_value_quant,
                                format(' ({} {} s)', advised_quant, lead.seconds_text),
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
                            best.seconds_text,
                            baseline_quant_tag,
                            base.seconds_text
                        )
                    ELSE format('Speed: {} takes {} s a task.', best_value_quant, best.seconds_text)
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
                    situation IN ('IDLE', 'TOO_HARD', 'NOBODY') AND quants_out_by_pollution > 0,
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
                        'Compared without {} of {} tasks: a check could not be run on some quant''s answer{}.',
                        unsupported_tasks,
                        planned_tasks,
                        if(
                            checked.sandbox = 'monty',
                            '; a new run with --sandbox monty+process can',
                            ''
                        )
                    ),
                    NULL
                ),
                asked_text
                || CASE
                    -- Why it stopped was judged by all its tasks.
                    WHEN is_scoped THEN ''
                    WHEN situation = 'IDLE' AND answer = 'ASK'
                        THEN format(
                            ' Not decided yet: {} may do some of those that are left.',
                            baseline_quant_tag
                        )
                    WHEN stopped.is_open
                        THEN format(
                            ' Stopped: {}; {} would tell more.',
                            stopped.words,
                            if(
                                stopped.code = 'MACHINE_BUSY' OR quants_out_by_pollution > 0,
                                'a quieter machine',
                                'more time'
                            )
                        )
                    WHEN answer = 'ASK' AND quants_out_by_pollution > 0
                        THEN ' Not decided yet: a quieter machine would tell more.'
                    WHEN answer = 'ASK' THEN ' Not decided yet: more time would tell more.'
                    ELSE format(
                        ' Stopped: {}{}.',
                        coalesce(ruled.words, lower(replace(answer, '_', ' '))),
                        CASE
                            WHEN answer = 'DECIDED' AND minimum_viable_quant <> baseline_quant_tag
                                THEN ', for the smallest that passes is proven'
                            WHEN answer = 'DECIDED' AND situation = 'ALONE'
                                THEN ', for there is no other quant to decide about; --grid asks it every task'
                            WHEN answer = 'DECIDED' AND situation = 'UNRIVALLED'
                                THEN ', for no other quant could be judged'
                            WHEN answer = 'DECIDED' THEN ', for nothing smaller passes'
                            WHEN answer = 'REFERENCE_PASSES_NONE'
                                THEN ', so that more of them would hardly tell anything'
                            WHEN out_of_reach_passes IS NOT NULL
                                THEN format(
                                    ', for a proof takes {} that {} does, and by those it does so far that is out of reach',
                                    out_of_reach_passes,
                                    baseline_quant_tag
                                )
                            WHEN answer = 'BANK_EXHAUSTED' THEN ', and there are no more to ask'
                            ELSE ''
                        END
                    )
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
    FROM v1.choice AS choice
    INNER JOIN v1.choice_fact AS facts USING (sweep_id, model_id)
    INNER JOIN v1.answer_line AS line USING (sweep_id, model_id)
    INNER JOIN (SELECT sweep_id, sandbox FROM v1.manifest) AS checked USING (sweep_id)
    LEFT JOIN (
        SELECT sweep_id, model_id, code, words, is_open
        FROM v1.stop
        INNER JOIN v1.stop_reason USING (code)
    ) AS stopped USING (sweep_id, model_id)
    LEFT JOIN v1.stop_reason AS ruled ON ruled.code = facts.answer
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

-- Grain: sweep x model, of adaptive sweeps.
-- Inputs: v1.proof, v1.manifest, v1.frontier, v1.duel, v1.runs, v1.attempts, v1.policy,
-- v1.bank_worth, v1.reach_table.
-- Rules: who is asked next, by the rows so far; the executor obeys. First every quant is
-- asked the first two rounds (portions 1 and 2 of the tasks, then 3; the executor halves
-- the first where the time is short). Then (1) the next quant of the first chain of proofs,
-- while it can still be proven; if that chain ended without any proof, of the second. (2)
-- The minimum viable quant by its score, where that is smaller than the smallest proven
-- one, until it has answered all; under until = point every smaller quant that is near its
-- margin. What can be neither is not asked again. A quant that is behind catches up by two
-- portions; the reference is asked whenever another goes beyond it, and where it does
-- not answer, the next one that does takes its part. With the second round the baseline and the
-- start quant repeat three tasks, to see whether answers repeat. (3) With nothing left, a
-- dozen tasks are repeated for speed, up to four times, where that alone is missing to tell
-- the best value from its rivals; not under until = proof. Most precise first, the other
-- way in every second round. Where the reference does none of 34 tasks in full there is
-- nothing to hold the others against, and hardly will be: at most one task in nine, for
-- sure to 98 %. Where it does so few that it will hardly do as many as any proof takes
-- (v1.reach_table; what was only disturbed counts as done), no more are asked once the first
-- two rounds are over, but under until = point; tasks that were added later are hope anew.
-- With nothing left to ask the round says why: DECIDED, REFERENCE_PASSES_NONE,
-- REFERENCE_PASSES_FEW, CANNOT_BE_PROVEN, or BANK_EXHAUSTED.

CREATE VIEW v1.next_round AS
WITH blocks AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        phase,
        block_index,
        -- Of the tasks from 0; of the repetitions for speed from 1, 0 for answers.
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag, phase ORDER BY block_index
        ) - 1 AS portion,
        bool_and(attempt_id IS NOT NULL AND outcome <> 'CANCELLED') AS is_asked,
        bool_or(attempt_id IS NOT NULL AND outcome <> 'CANCELLED') AS is_begun
    FROM v1.runs
    SEMI JOIN v1.proof USING (sweep_id)
    WHERE phase IN ('matrix', 'repeat')
    GROUP BY sweep_id, model_id, quant_tag, phase, block_index
),

repeats AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        bool_or(NOT is_asked AND portion = 0) AS lacks_repetition,
        max(portion) FILTER (WHERE is_begun AND portion > 0) AS speed_round,
        max(portion) FILTER (WHERE is_asked AND portion > 0) AS done_speed_round
    FROM blocks
    WHERE phase = 'repeat'
    GROUP BY ALL
),

quants AS (
    SELECT
        proof.*,
        proof.state <> 'NOT_ANSWERING' AS is_answering,
        proof.state <> 'NOT_ANSWERING' AND proof.next_portion IS NOT NULL AS can_be_asked,
        coalesce(frontier.is_eligible, false) AS is_eligible,
        coalesce(repeats.lacks_repetition, false) AS lacks_repetition,
        coalesce(repeats.speed_round, 0) AS speed_round,
        coalesce(repeats.done_speed_round, 0) AS done_speed_round
    FROM v1.proof AS proof
    LEFT JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
    LEFT JOIN repeats USING (sweep_id, model_id, quant_tag)
),

-- Who is there to be held against: the most precise that answers.
bases AS (
    SELECT
        sweep_id,
        model_id,
        coalesce(min(place) FILTER (WHERE is_answering), 0) AS base_place
    FROM quants
    GROUP BY ALL
),

-- Whether the reference does so few tasks that every proof is out of reach.
reaches AS (
    SELECT
        sweep_id,
        model_id,
        reach.least_passes,
        quants.passes + quants.disturbed_tasks <= reach.most_passes AS is_out_of_reach
    FROM quants
    INNER JOIN bases USING (sweep_id, model_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.bank_worth AS bank USING (sweep_id, model_id)
    INNER JOIN v1.reach_table AS reach
        ON reach.adherence_threshold_ppm = policy.adherence_threshold_ppm
        AND reach.evidence_level_ppm = policy.evidence_level_ppm
        AND reach.worth_tasks = bank.worth_tasks
        AND reach.tasks = bank.tasks
        AND reach.tasks = quants.planned_tasks
        AND reach.asked_tasks = quants.asked_tasks
    WHERE quants.place = bases.base_place
),

ends AS (
    SELECT sweep_id, model_id, max(portion) AS last_portion
    FROM blocks
    WHERE phase = 'matrix'
    GROUP BY ALL
),

standing AS (
    SELECT
        sweep_id,
        model_id,
        any_value(start_place) AS start_place,
        any_value(base_place) AS base_place,
        -- The first two portions are one round, the third is another.
        CASE
            WHEN min(next_portion) FILTER (WHERE can_be_asked) <= 1 THEN 1
            WHEN min(next_portion) FILTER (WHERE can_be_asked) = 2 THEN 2
        END AS breadth_portion,
        min(next_portion) FILTER (WHERE place = base_place) AS baseline_portion,
        coalesce(bool_or(can_be_asked) FILTER (WHERE place = base_place), false)
            AS baseline_goes_on,
        coalesce(
            bool_or(passes = 0 AND asked_tasks - disturbed_tasks >= 34)
                FILTER (WHERE place = base_place),
            false
        ) AS reference_fails,
        coalesce(max(place) FILTER (WHERE is_proven), 0) AS proven_place,
        coalesce(bool_or(is_proven) FILTER (WHERE place >= start_place), false)
            AS has_first_proof,
        min(place) FILTER (WHERE place >= start_place AND NOT is_proven) AS next_down,
        min(place) FILTER (WHERE place BETWEEN 1 AND start_place - 1 AND NOT is_proven)
            AS next_from_top,
        max(place) FILTER (
            WHERE is_eligible AND NOT is_shown_not_viable AND is_answering
        ) AS viable_place,
        coalesce(
            bool_or(most_passes >= least_lossless AND NOT is_shifted)
                FILTER (WHERE place > 0),
            false
        ) AS could_prove,
        max(speed_round) AS speed_round
    FROM quants
    INNER JOIN bases USING (sweep_id, model_id)
    GROUP BY ALL
),

open_quants AS (
    SELECT sweep_id, model_id, place
    FROM quants
    WHERE state IN ('OPEN', 'NOT_ASKED') AND next_portion IS NOT NULL
),

targets AS (
    SELECT
        standing.*,
        ends.last_portion,
        manifest.until,
        reaches.least_passes,
        coalesce(reaches.is_out_of_reach AND manifest.until IS DISTINCT FROM 'point', false)
            AS is_out_of_reach,
        coalesce(
            down.place,
            if(has_first_proof, NULL, from_top.place)
        ) AS proof_place,
        if(viable.can_be_asked AND viable_place > proven_place, viable_place, NULL)
            AS point_place,
        viable.next_portion IS NULL AS viable_is_done
    FROM standing
    INNER JOIN ends USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    LEFT JOIN reaches USING (sweep_id, model_id)
    LEFT JOIN open_quants AS down
        ON down.sweep_id = standing.sweep_id
        AND down.model_id = standing.model_id
        AND down.place = standing.next_down
    LEFT JOIN open_quants AS from_top
        ON from_top.sweep_id = standing.sweep_id
        AND from_top.model_id = standing.model_id
        AND from_top.place = standing.next_from_top
    LEFT JOIN quants AS viable
        ON viable.sweep_id = standing.sweep_id
        AND viable.model_id = standing.model_id
        AND viable.place = standing.viable_place
),

asked AS (
    SELECT
        sweep_id,
        model_id,
        quants.quant_tag,
        quants.place,
        quants.next_portion AS from_portion,
        CASE
            WHEN targets.breadth_portion IS NOT NULL
                THEN least(targets.breadth_portion, targets.last_portion)
            -- Behind the reference: two portions, but not beyond it.
            WHEN NOT targets.baseline_goes_on AND targets.baseline_portion IS NULL
                THEN quants.next_portion + 1
            WHEN quants.next_portion < targets.baseline_portion
                THEN least(quants.next_portion + 1, targets.baseline_portion - 1)
            ELSE quants.next_portion
        END AS to_portion,
        CASE
            WHEN targets.breadth_portion IS NOT NULL THEN 'BREADTH'
            WHEN quants.place = targets.proof_place THEN 'PROOF'
            WHEN quants.place = targets.base_place THEN 'BASELINE'
            ELSE 'POINT'
        END AS purpose,
        targets.base_place,
        targets.baseline_portion,
        targets.baseline_goes_on
    FROM targets
    INNER JOIN quants USING (sweep_id, model_id)
    WHERE
        quants.can_be_asked
        AND (
            quants.next_portion <= targets.breadth_portion
            OR (
                targets.breadth_portion IS NULL
                AND NOT targets.reference_fails
                AND NOT targets.is_out_of_reach
                AND (
                    quants.place IN (targets.proof_place, targets.point_place)
                    OR (
                        targets.until = 'point'
                        AND quants.place > greatest(targets.proven_place, targets.base_place)
                        AND quants.is_near_margin AND NOT quants.is_shown_not_viable
                    )
                )
                -- Nobody is asked what the reference cannot be.
                AND (
                    targets.baseline_goes_on
                    OR quants.next_portion < coalesce(targets.baseline_portion, 1000000)
                )
            )
        )
),

task_blocks AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        place,
        from_portion,
        to_portion,
        -- Where a load is dear, one portion more at once; not to one that catches up.
        to_portion + if(
            purpose <> 'BREADTH' AND baseline_goes_on AND to_portion >= baseline_portion, 1, 0
        ) AS further_portion,
        purpose
    FROM asked
    UNION ALL
    SELECT DISTINCT
        asked.sweep_id,
        asked.model_id,
        base.quant_tag,
        base.place,
        asked.baseline_portion AS from_portion,
        asked.baseline_portion AS to_portion,
        asked.baseline_portion + 1 AS further_portion,
        'BASELINE' AS purpose
    FROM asked
    INNER JOIN quants AS base
        ON base.sweep_id = asked.sweep_id
        AND base.model_id = asked.model_id
        AND base.place = asked.base_place
    WHERE
        asked.purpose <> 'BREADTH' AND asked.place IS DISTINCT FROM asked.base_place
        AND asked.baseline_goes_on AND asked.to_portion >= asked.baseline_portion
),

-- What is missing to tell the best value from all its rivals.
doubts AS (
    SELECT
        sweep_id,
        model_id,
        any_value(best_value_quant) AS best_value_quant,
        list(quant_tag) AS rivals,
        -- Only where further observations are all that is missing, against every rival.
        if(
            count(blocks_needed) = count(*), max(blocks_needed - blocks), NULL
        ) AS rounds_needed
    FROM v1.duel
    WHERE NOT is_clear
    GROUP BY ALL
),

speed AS (
    SELECT
        targets.sweep_id,
        targets.model_id,
        quants.quant_tag,
        quants.place,
        -- The round that was begun is finished first.
        if(
            bool_or(quants.done_speed_round < targets.speed_round) OVER (
                PARTITION BY targets.sweep_id, targets.model_id
            ),
            targets.speed_round,
            targets.speed_round + 1
        ) AS portion,
        quants.done_speed_round
    FROM targets
    INNER JOIN doubts USING (sweep_id, model_id)
    INNER JOIN quants USING (sweep_id, model_id)
    WHERE
        targets.until IN ('clear', 'point') AND quants.is_answering
        AND (
            list_contains(doubts.rivals, quants.quant_tag)
            OR quants.quant_tag = doubts.best_value_quant
            OR quants.place = targets.base_place
        )
        AND doubts.rounds_needed <= 5 - greatest(targets.speed_round, 1)
        AND (targets.sweep_id, targets.model_id) NOT IN (
            SELECT (task_blocks.sweep_id, task_blocks.model_id) FROM task_blocks
        )
),

chosen AS (
    SELECT
        task_blocks.*,
        'matrix' AS phase
    FROM task_blocks
    UNION ALL
    SELECT
        sweep_id, model_id, quants.quant_tag, quants.place,
        0 AS from_portion, 0 AS to_portion, 0 AS further_portion,
        'REPEAT' AS purpose,
        'repeat' AS phase
    FROM targets
    INNER JOIN quants USING (sweep_id, model_id)
    WHERE
        quants.place IN (targets.base_place, targets.start_place)
        AND quants.lacks_repetition AND quants.is_answering
        AND coalesce(targets.breadth_portion >= least(2, targets.last_portion), true)
    UNION ALL
    SELECT
        sweep_id, model_id, quant_tag, place,
        portion AS from_portion, portion AS to_portion, portion AS further_portion,
        'SPEED' AS purpose,
        'repeat' AS phase
    FROM speed
    WHERE done_speed_round < portion
),

-- How often the reference was asked so far: every second time the other way.
turns AS (
    SELECT
        targets.sweep_id,
        targets.model_id,
        count(DISTINCT attempts.block_index) AS turns
    FROM targets
    LEFT JOIN quants AS base
        ON base.sweep_id = targets.sweep_id
        AND base.model_id = targets.model_id
        AND base.place = targets.base_place
    LEFT JOIN v1.attempts AS attempts
        ON attempts.sweep_id = base.sweep_id
        AND attempts.model_id = base.model_id
        AND attempts.quant_tag = base.quant_tag
        AND attempts.phase IN ('matrix', 'repeat')
        AND attempts.retry_pass = 0
    GROUP BY ALL
),

listed AS (
    SELECT
        sweep_id,
        model_id,
        list(
            {
                'quant_tag': chosen.quant_tag,
                'block_index': blocks.block_index,
                'purpose': purpose,
                'is_further': blocks.portion > to_portion
            }
            ORDER BY
                if(turns.turns % 2 = 0, place, -place) NULLS LAST,
                chosen.quant_tag,
                chosen.phase,
                blocks.portion
        ) AS blocks,
        -- Portions 1 and 2 are round 1; what is repeated belongs to the round before.
        greatest(
            coalesce(
                max(blocks.portion)
                    FILTER (WHERE chosen.phase = 'matrix' AND blocks.portion <= to_portion),
                0
            ),
            1
        ) AS round
    FROM chosen
    INNER JOIN blocks USING (sweep_id, model_id, quant_tag, phase)
    INNER JOIN turns USING (sweep_id, model_id)
    WHERE blocks.portion BETWEEN from_portion AND further_portion AND NOT blocks.is_asked
    GROUP BY ALL
)

SELECT
    targets.sweep_id,
    targets.model_id,
    CASE
        WHEN listed.blocks IS NOT NULL THEN 'ASK'
        -- Only where something else could have been asked.
        WHEN
            is_out_of_reach AND NOT reference_fails
            AND (proof_place IS NOT NULL OR point_place IS NOT NULL)
            THEN 'REFERENCE_PASSES_FEW'
        WHEN proven_place >= viable_place THEN 'DECIDED'
        WHEN reference_fails THEN 'REFERENCE_PASSES_NONE'
        WHEN could_prove AND viable_place IS NOT NULL AND viable_is_done
            THEN 'BANK_EXHAUSTED'
        ELSE 'CANNOT_BE_PROVEN'
    END AS answer,
    listed.round,
    coalesce(listed.blocks, []) AS blocks,
    start.quant_tag AS start_quant,
    proof.quant_tag AS proof_quant,
    proven.quant_tag AS proven_quant,
    viable.quant_tag AS viable_quant,
    if(is_out_of_reach, targets.least_passes, NULL) AS out_of_reach_passes
FROM targets
LEFT JOIN listed USING (sweep_id, model_id)
LEFT JOIN quants AS start
    ON start.sweep_id = targets.sweep_id
    AND start.model_id = targets.model_id
    AND start.place = targets.start_place
LEFT JOIN quants AS proof
    ON proof.sweep_id = targets.sweep_id
    AND proof.model_id = targets.model_id
    AND proof.place = targets.proof_place
    AND NOT targets.is_out_of_reach
LEFT JOIN quants AS proven
    ON proven.sweep_id = targets.sweep_id
    AND proven.model_id = targets.model_id
    AND proven.place = targets.proven_place
    AND proven.place > 0
LEFT JOIN quants AS viable
    ON viable.sweep_id = targets.sweep_id
    AND viable.model_id = targets.model_id
    AND viable.place = targets.viable_place;

COMMENT ON VIEW v1.next_round IS 'What an adaptive sweep asks next, or why nothing. One row per sweep and model.';
COMMENT ON COLUMN v1.next_round.answer IS 'ASK, or why it stops: DECIDED, REFERENCE_PASSES_NONE, REFERENCE_PASSES_FEW, CANNOT_BE_PROVEN or BANK_EXHAUSTED';
COMMENT ON COLUMN v1.next_round.round IS 'The round of tasks that the foremost quant is asked, from 1; NULL if it stops';
COMMENT ON COLUMN v1.next_round.blocks IS 'Blocks of the plan to ask, in order, with what each is for: BREADTH, PROOF, POINT, BASELINE, REPEAT or SPEED; the further ones only where a load is dear';
COMMENT ON COLUMN v1.next_round.start_quant IS 'Where the first chain of proofs starts';
COMMENT ON COLUMN v1.next_round.proof_quant IS 'The next of its chain that can be proven, NULL if none can';
COMMENT ON COLUMN v1.next_round.proven_quant IS 'The smallest that is proven to keep the threshold, NULL if none is';
COMMENT ON COLUMN v1.next_round.viable_quant IS 'The smallest that passes by its score so far, NULL if none does';
COMMENT ON COLUMN v1.next_round.out_of_reach_passes IS 'Tasks that the reference would have to pass at least for any proof, where that is out of reach by those it passes so far; else NULL';

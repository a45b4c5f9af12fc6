-- Grain: sweep x model, of adaptive sweeps.
-- Inputs: v1.proof, v1.frontier, v1.planned_run.
-- Rules: who is asked next, by the rows so far; the executor obeys. First every quant is
-- asked the first three portions of the tasks. Then (1) the next quant of the first chain
-- of proofs, while it can still be proven; if that chain ended without any proof, of the
-- second. (2) The minimum viable quant by its score, where that is smaller than the
-- smallest proven one, until it has answered all. What can be neither is not asked again. A
-- quant that is behind catches up by two blocks; the baseline quant is asked whenever
-- another goes beyond it. Most precise first, the other way in every second round. With
-- nothing left to ask the round says why: DECIDED, CANNOT_BE_PROVEN, or BANK_EXHAUSTED.

CREATE VIEW v1.next_round AS
WITH blocks AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        block_index,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag ORDER BY block_index
        ) - 1 AS portion
    FROM v1.planned_run
    SEMI JOIN v1.proof USING (sweep_id)
    WHERE phase = 'matrix'
    GROUP BY sweep_id, model_id, quant_tag, block_index
),

quants AS (
    SELECT
        proof.*,
        proof.state <> 'NOT_ANSWERING' AND proof.next_portion IS NOT NULL AS can_be_asked,
        coalesce(frontier.is_eligible, false) AS is_eligible
    FROM v1.proof AS proof
    LEFT JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
),

standing AS (
    SELECT
        sweep_id,
        model_id,
        any_value(start_place) AS start_place,
        min(next_portion) FILTER (WHERE can_be_asked AND next_portion < 3) AS first_portion,
        min(next_portion) FILTER (WHERE place = 0) AS baseline_portion,
        coalesce(bool_or(can_be_asked) FILTER (WHERE place = 0), false) AS baseline_goes_on,
        coalesce(max(place) FILTER (WHERE is_proven), 0) AS proven_place,
        coalesce(bool_or(is_proven) FILTER (WHERE place >= start_place), false)
            AS has_first_proof,
        min(place) FILTER (WHERE place >= start_place AND NOT is_proven) AS next_down,
        min(place) FILTER (WHERE place BETWEEN 1 AND start_place - 1 AND NOT is_proven)
            AS next_from_top,
        max(place) FILTER (
            WHERE is_eligible AND NOT is_shown_not_viable AND state <> 'NOT_ANSWERING'
        ) AS viable_place,
        coalesce(
            bool_or(most_passes >= least_lossless AND NOT is_shifted)
                FILTER (WHERE place > 0),
            false
        ) AS could_prove
    FROM quants
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
        coalesce(
            down.place,
            if(has_first_proof, NULL, from_top.place)
        ) AS proof_place,
        if(viable.can_be_asked AND viable_place > proven_place, viable_place, NULL)
            AS point_place,
        viable.next_portion IS NULL AS viable_is_done
    FROM standing
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
            WHEN targets.first_portion IS NOT NULL THEN targets.first_portion
            -- Behind the baseline quant: two blocks, but not beyond it.
            WHEN NOT targets.baseline_goes_on AND targets.baseline_portion IS NULL
                THEN quants.next_portion + 1
            WHEN quants.next_portion < targets.baseline_portion
                THEN least(quants.next_portion + 1, targets.baseline_portion - 1)
            ELSE quants.next_portion
        END AS to_portion,
        CASE
            WHEN targets.first_portion IS NOT NULL THEN 'BREADTH'
            WHEN quants.place = targets.proof_place THEN 'PROOF'
            ELSE 'POINT'
        END AS purpose,
        targets.baseline_portion,
        targets.baseline_goes_on
    FROM targets
    INNER JOIN quants USING (sweep_id, model_id)
    WHERE
        quants.can_be_asked
        AND (
            quants.next_portion = targets.first_portion
            OR (
                targets.first_portion IS NULL
                AND quants.place IN (targets.proof_place, targets.point_place)
                -- Nobody is asked what the baseline quant cannot be.
                AND (
                    targets.baseline_goes_on
                    OR quants.next_portion < coalesce(targets.baseline_portion, 1000000)
                )
            )
        )
),

round_blocks AS (
    SELECT sweep_id, model_id, quant_tag, place, from_portion, to_portion, purpose
    FROM asked
    UNION ALL
    SELECT DISTINCT
        asked.sweep_id,
        asked.model_id,
        base.quant_tag,
        0 AS place,
        asked.baseline_portion AS from_portion,
        asked.baseline_portion AS to_portion,
        'BASELINE' AS purpose
    FROM asked
    INNER JOIN quants AS base
        ON base.sweep_id = asked.sweep_id
        AND base.model_id = asked.model_id
        AND base.place = 0
    WHERE
        asked.purpose <> 'BREADTH' AND asked.place > 0
        AND asked.baseline_goes_on AND asked.to_portion >= asked.baseline_portion
),

listed AS (
    SELECT
        sweep_id,
        model_id,
        list(
            {
                'quant_tag': quant_tag,
                'block_index': blocks.block_index,
                'purpose': purpose
            }
            ORDER BY
                if(last_portion % 2 = 0, place, -place) NULLS LAST, quant_tag, blocks.portion
        ) AS blocks,
        any_value(last_portion) + 1 AS round
    FROM (
        SELECT
            *,
            max(to_portion) OVER (PARTITION BY sweep_id, model_id) AS last_portion
        FROM round_blocks
    )
    INNER JOIN blocks USING (sweep_id, model_id, quant_tag)
    WHERE blocks.portion BETWEEN from_portion AND to_portion
    GROUP BY ALL
)

SELECT
    targets.sweep_id,
    targets.model_id,
    CASE
        WHEN listed.blocks IS NOT NULL THEN 'ASK'
        WHEN proven_place >= viable_place THEN 'DECIDED'
        WHEN could_prove AND viable_place IS NOT NULL AND viable_is_done
            THEN 'BANK_EXHAUSTED'
        ELSE 'CANNOT_BE_PROVEN'
    END AS answer,
    listed.round,
    coalesce(listed.blocks, []) AS blocks,
    start.quant_tag AS start_quant,
    proof.quant_tag AS proof_quant,
    proven.quant_tag AS proven_quant,
    viable.quant_tag AS viable_quant
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
COMMENT ON COLUMN v1.next_round.answer IS 'ASK, or why it stops: DECIDED, CANNOT_BE_PROVEN or BANK_EXHAUSTED';
COMMENT ON COLUMN v1.next_round.round IS 'Number of the portion of tasks that the foremost quant is asked, from 1; NULL if it stops';
COMMENT ON COLUMN v1.next_round.blocks IS 'Blocks of the plan to ask, in order, with what each is for: BREADTH, PROOF, POINT or BASELINE';
COMMENT ON COLUMN v1.next_round.start_quant IS 'Where the first chain of proofs starts';
COMMENT ON COLUMN v1.next_round.proof_quant IS 'The next of its chain that can be proven, NULL if none can';
COMMENT ON COLUMN v1.next_round.proven_quant IS 'The smallest that is proven to keep the threshold, NULL if none is';
COMMENT ON COLUMN v1.next_round.viable_quant IS 'The smallest that passes by its score so far, NULL if none does';

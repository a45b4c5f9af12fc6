-- Grain: sweep x model, over all sweeps.
-- Inputs: v1.fleet_entry.
-- Rules: a cell is one machine, one model, one runtime and one task bank; a machine that is
-- not known is none that another sweep ran on. One sweep speaks for a cell: of the runtime's
-- version that an answer was measured with last, the surest (SHOWN, SAFE_CHOICE, NOT_SHOWN),
-- of these the newest. CONTRADICTED: another sweep of the cell has the answer out, shows
-- another quant where this one is shown, or had other weights under its name. OTHER_ANSWERS:
-- another answers otherwise without that. AGREED: all that answer say the same; ALONE: none
-- does beside it.

CREATE VIEW v1.matrix AS
WITH entries AS (
    SELECT
        *,
        CAST(
            to_json([
                coalesce('hw ' || hardware_fingerprint, 'sweep ' || sweep_id),
                model_id,
                provider,
                task_bank
            ]) AS VARCHAR
        ) AS cell,
        standing <> 'NO_ANSWER' AS has_answer
    FROM v1.fleet_entry
),

latest AS (
    SELECT
        cell,
        first(provider_version ORDER BY has_answer DESC, started_at DESC, sweep_id DESC)
            AS latest_version
    FROM entries
    GROUP BY cell
),

ranked AS (
    SELECT
        entries.*,
        row_number() OVER (
            PARTITION BY cell
            ORDER BY
                has_answer DESC,
                (provider_version IS NOT DISTINCT FROM latest.latest_version) DESC,
                list_position(['SHOWN', 'SAFE_CHOICE', 'NOT_SHOWN'], standing) NULLS LAST,
                started_at DESC,
                sweep_id DESC
        ) = 1 AS is_current
    FROM entries
    INNER JOIN latest USING (cell)
),

speaking AS (
    SELECT
        cell,
        answer_quant AS spoken_quant,
        answer_digest AS spoken_digest,
        standing AS spoken_standing
    FROM ranked
    WHERE is_current
),

held AS (
    SELECT
        ranked.*,
        speaking.spoken_standing,
        has_answer AND answer_quant IS NOT DISTINCT FROM speaking.spoken_quant AS is_same,
        coalesce(
            answer_quant = speaking.spoken_quant
            AND answer_digest <> speaking.spoken_digest,
            false
        ) AS is_other_weights,
        coalesce(list_contains(out_quants, speaking.spoken_quant), false) AS objects
    FROM ranked
    INNER JOIN speaking USING (cell)
),

others AS (
    SELECT
        cell,
        list({'quant_tag': answer_quant, 'sweeps': sweeps} ORDER BY sweeps DESC, answer_quant)
            AS other_answers
    FROM (
        SELECT cell, answer_quant, count(*) AS sweeps
        FROM held
        WHERE has_answer AND NOT is_same
        GROUP BY cell, answer_quant
    )
    GROUP BY cell
),

counted AS (
    SELECT
        cell,
        count(*) AS sweeps,
        count(*) FILTER (WHERE has_answer) AS answering_sweeps,
        count(*) FILTER (WHERE is_same AND NOT is_other_weights) AS agreeing_sweeps,
        count(*) FILTER (WHERE objects) AS objecting_sweeps,
        bool_or(is_other_weights) AS has_other_weights,
        bool_or(
            has_answer AND NOT is_same AND standing = 'SHOWN' AND spoken_standing = 'SHOWN'
        ) AS is_shown_otherwise,
        list_sort(list(DISTINCT provider_version) FILTER (WHERE provider_version IS NOT NULL))
            AS versions
    FROM held
    GROUP BY cell
)

SELECT
    held.hardware_fingerprint,
    held.hardware_label,
    held.model_id,
    held.provider,
    held.task_bank,
    held.sweep_id,
    held.is_current,
    held.is_completed,
    held.preset,
    held.started_at,
    held.measured_at,
    held.provider_version,
    held.standing,
    CASE WHEN held.standing IN ('SHOWN', 'SAFE_CHOICE') THEN held.answer_quant END
        AS use_quant,
    CASE WHEN held.standing = 'NOT_SHOWN' THEN held.answer_quant END AS passing_quant,
    held.reference_quant,
    held.confidence,
    held.tasks,
    held.answer_digest,
    -- The figures of the answer: all that has a unit.
    COLUMNS('_(micro|ns|milli|bytes|uj)$'),
    counted.sweeps,
    counted.answering_sweeps,
    counted.agreeing_sweeps,
    counted.objecting_sweeps,
    counted.has_other_weights,
    coalesce(others.other_answers, []) AS other_answers,
    CASE
        WHEN counted.answering_sweeps = 0 THEN NULL
        WHEN
            counted.objecting_sweeps > 0
            OR counted.is_shown_otherwise
            OR counted.has_other_weights
            THEN 'CONTRADICTED'
        WHEN others.other_answers IS NOT NULL THEN 'OTHER_ANSWERS'
        WHEN counted.answering_sweeps = 1 THEN 'ALONE'
        ELSE 'AGREED'
    END AS agreement,
    coalesce(counted.versions, []) AS versions
FROM held
INNER JOIN counted USING (cell)
LEFT JOIN others USING (cell);

COMMENT ON VIEW v1.matrix IS 'What is advised on each machine for each model, over all sweeps. One row per sweep and model.';
COMMENT ON COLUMN v1.matrix.is_current IS 'It speaks for its machine, model, runtime and task bank; the others are superseded';
COMMENT ON COLUMN v1.matrix.is_completed IS 'The sweep came to its end';
COMMENT ON COLUMN v1.matrix.use_quant IS 'The quant to use, NULL where nothing is shown';
COMMENT ON COLUMN v1.matrix.passing_quant IS 'The smallest that passes, where nothing is shown';
COMMENT ON COLUMN v1.matrix.tasks IS 'Tasks of the sweep';
COMMENT ON COLUMN v1.matrix.sweeps IS 'Sweeps of the same machine, model, runtime and task bank';
COMMENT ON COLUMN v1.matrix.answering_sweeps IS 'Of these, with an answer';
COMMENT ON COLUMN v1.matrix.agreeing_sweeps IS 'Of these, with the answer of the one that speaks, of the same weights';
COMMENT ON COLUMN v1.matrix.objecting_sweeps IS 'Sweeps in which that answer was judged and is out';
COMMENT ON COLUMN v1.matrix.has_other_weights IS 'One has other weights under the name of that answer';
COMMENT ON COLUMN v1.matrix.other_answers IS 'Other answers, with the sweeps that give them';
COMMENT ON COLUMN v1.matrix.agreement IS 'ALONE, AGREED, OTHER_ANSWERS or CONTRADICTED; NULL where none answers';
COMMENT ON COLUMN v1.matrix.versions IS 'Versions of the runtime among them, sorted as text';

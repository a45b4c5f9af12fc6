-- Grain: sweep x model of which a quant is out.
-- Inputs: v1.quant_lack, v1.frontier.
-- Rules: why each quant is out, in words; nothing is decided here. Quants that are out for
-- the same are named together, the most precise first. One that was not judged is told once,
-- by what it lacks.

CREATE VIEW v1.left_out AS
WITH lacks AS (
    SELECT *
    FROM v1.quant_lack
    WHERE
        -- Where nothing could be judged there is no yardstick either.
        signal <> 'no_baseline_adherence' OR baseline_quant_tag IS NOT NULL
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
)

SELECT
    outs.*,
    baseline_lacks.why AS base_why
FROM outs
LEFT JOIN baseline_lacks USING (sweep_id, model_id);

COMMENT ON VIEW v1.left_out IS 'Why quants are out, in words. One row per sweep and model of which one is.';
COMMENT ON COLUMN v1.left_out.out_text IS 'Every quant that is out, by what it lacks';
COMMENT ON COLUMN v1.left_out.unjudged_text IS 'Those that could not be judged, NULL if all could';
COMMENT ON COLUMN v1.left_out.base_why IS 'Why the reference itself is out, NULL if it is not';

-- Grain: sweep x model, of adaptive sweeps.
-- Inputs: v1.ladder, v1.fidelity, v1.policy.
-- Rules: which quant the first chain of proofs would start at, by what is known before the
-- first task is asked: the smallest that fidelity finds to choose another token in at most
-- fidelity_start of all places, the error of that included; where it names none, Q4_K_M if
-- that is planned, else the middle. Fidelity sets where to begin, never a verdict. What was in force is an event,
-- START_FIXED, from before the first matrix call; see v1.proof.

CREATE VIEW v1.start_quant AS
WITH starts AS (
    SELECT
        sweep_id,
        model_id,
        max(place) FILTER (
            WHERE place > 0 AND fidelity.status = 'OK'
            AND fidelity.same_top_ppm - fidelity.same_top_half_width_ppm
            >= 1000000 - policy.fidelity_start_ppm
        ) AS faithful_place,
        min(place) FILTER (WHERE quant_key = 'Q4_K_M' AND place > 0) AS usual_place,
        greatest(count(place) // 2, 1) AS middle_place
    FROM v1.ladder AS ladder
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.fidelity AS fidelity USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    ladder.quant_tag,
    CASE
        WHEN faithful_place IS NOT NULL THEN 'FIDELITY'
        WHEN usual_place IS NOT NULL THEN 'USUAL'
        ELSE 'MIDDLE'
    END AS named_by
FROM starts
INNER JOIN v1.ladder AS ladder USING (sweep_id, model_id)
WHERE ladder.place = coalesce(faithful_place, usual_place, middle_place);

COMMENT ON VIEW v1.start_quant IS 'Where the first chain of proofs would start, by what is known before the first task. One row per sweep and model.';
COMMENT ON COLUMN v1.start_quant.quant_tag IS 'That quant';
COMMENT ON COLUMN v1.start_quant.named_by IS 'FIDELITY, USUAL (it is Q4_K_M) or MIDDLE';

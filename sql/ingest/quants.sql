-- Grain: sweep x model x quant.

SELECT
    sweep_id,
    model_id,
    quant_tag,
    -- Of several weights under one name none is the quant's.
    if(count(DISTINCT model_digest) = 1, min(model_digest), NULL) AS model_digest
FROM (
    SELECT sweep_id, model_id, quant_tag, model_digest FROM raw.runs
    UNION ALL
    SELECT sweep_id, model_id, quant_tag, NULL FROM raw.sidecars
)
GROUP BY sweep_id, model_id, quant_tag
ORDER BY sweep_id, model_id, quant_tag

-- Each run that counts for times, most precise quant first. Where answers alone are judged
-- no time counts. A rate is there where both its parts are known.
SELECT
    runs.model_id,
    runs.quant_tag,
    runs.test_id,
    runs.wall_ns,
    CASE
        WHEN runs.generation_rate_reason IS NULL
            THEN v1.scaled(runs.decoded_tokens, runs.decode_ns, 1000000000000)
    END AS rate_milli
FROM v1.runs AS runs
INNER JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
WHERE
    runs.phase = 'matrix'
    AND runs.is_valid
    AND runs.wall_ns > 0
    AND NOT coalesce(policy.quality_only, false)
ORDER BY
    runs.model_id,
    quant.quant_rank DESC NULLS LAST,
    runs.quant_tag,
    runs.test_id,
    runs.repetition

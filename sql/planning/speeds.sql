-- What answered calls of sweeps on one machine took, by model, quant and weights.
-- Parameters: prompt tokens that cost as much as one answer token; the machine.
SELECT
    runs.model_id,
    runs.quant_tag,
    runs.model_digest,
    count(*) AS calls,
    sum(runs.call.completion_tokens + runs.call.prompt_tokens // ?) AS tokens,
    sum(runs.call.wall_ns) AS wall_ns
FROM raw.runs AS runs
SEMI JOIN (SELECT sweep_id FROM raw.sweeps WHERE hardware_fingerprint = ?) AS here
    ON here.sweep_id = runs.sweep_id
WHERE runs.call.outcome = 'OK' AND runs.phase = 'matrix'
GROUP BY ALL

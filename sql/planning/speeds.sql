-- What answered calls of sweeps on one machine took, by sweep, model, quant, weights and, of
-- a server elsewhere, its address. A call that does not say its tokens tells no speed.
-- Parameters: prompt tokens that cost as much as one answer token; the machine.
SELECT
    runs.sweep_id,
    runs.model_id,
    runs.quant_tag,
    runs.model_digest,
    if(runs.locality = 'remote', here.endpoint, NULL) AS endpoint,
    count(*) AS calls,
    sum(runs.call.completion_tokens + runs.call.prompt_tokens // ?) AS tokens,
    sum(runs.call.wall_ns) AS wall_ns,
    list_sort(list(DISTINCT split_part(runs.test_id, '/', 1))) AS banks
FROM raw.runs AS runs
INNER JOIN (
    SELECT DISTINCT sweep_id, model.model_id AS model_id, model.endpoint AS endpoint
    FROM (
        SELECT sweep_id, unnest(models) AS model
        FROM raw.sweeps
        WHERE hardware_fingerprint = ?
    )
) AS here
    ON here.sweep_id = runs.sweep_id
    AND here.model_id = runs.model_id
WHERE
    runs.call.outcome = 'OK' AND runs.phase = 'matrix'
    AND runs.call.completion_tokens IS NOT NULL AND runs.call.prompt_tokens IS NOT NULL
    AND runs.call.wall_ns > 0
GROUP BY ALL
ORDER BY ALL

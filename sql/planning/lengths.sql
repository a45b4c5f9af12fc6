-- How long the answers to tasks were in sweeps on one machine, by model and task: all quants
-- answer alike. Parameter: the machine.
SELECT
    runs.model_id,
    runs.test_id,
    avg(runs.call.completion_tokens) AS tokens
FROM raw.runs AS runs
INNER JOIN (SELECT DISTINCT sweep_id FROM raw.sweeps WHERE hardware_fingerprint = ?) AS here
    ON here.sweep_id = runs.sweep_id
WHERE
    runs.call.outcome = 'OK' AND runs.phase = 'matrix'
    AND runs.call.completion_tokens IS NOT NULL
GROUP BY ALL
ORDER BY ALL

-- What a block of sweeps on one machine took beside its calls: loads, looks at the views, waits.
-- From the first call of the matrix to the last, by executor, so that no pause counts.
-- Parameter: the machine.
SELECT
    greatest(sum(passed_ns - called_ns), 0) AS between_ns,
    sum(blocks) AS blocks
FROM (
    SELECT
        max(runs.ended_ns) - min(runs.started_ns) AS passed_ns,
        sum(runs.ended_ns - runs.started_ns) AS called_ns,
        count(DISTINCT runs.block_index) AS blocks
    FROM raw.runs AS runs
    INNER JOIN (SELECT DISTINCT sweep_id FROM raw.sweeps WHERE hardware_fingerprint = ?) AS here
        ON here.sweep_id = runs.sweep_id
    WHERE runs.phase NOT IN ('canary', 'warmup') AND runs.started_ns IS NOT NULL
    GROUP BY runs.sweep_id, runs.executor_started_at
    HAVING max(runs.phase = 'matrix')
)

-- Whether the last executor of a sweep said how it ended. Parameters: the sweep, twice.
SELECT event_id
FROM raw.events
WHERE
    event IN ('SWEEP_FINISHED', 'SWEEP_ABORTED')
    AND sweep_id = ?
    AND recorded_at >= (SELECT max(started_at) FROM raw.sweeps WHERE sweep_id = ?)
LIMIT 1

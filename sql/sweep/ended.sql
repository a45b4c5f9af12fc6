-- Why a sweep finished last, under the plan in force: how it ended before tasks were added
-- says nothing of them. Parameters: the sweep, the hash of the plan, the sweep.
SELECT reason
FROM raw.events
WHERE
    event = 'SWEEP_FINISHED'
    AND recorded_at >= (
        SELECT min(started_at) FROM raw.sweeps WHERE sweep_id = ? AND plan_hash = ?
    )
    AND sweep_id = ?
ORDER BY recorded_at DESC, event_id DESC
LIMIT 1

-- Prunes that are in force, oldest first.

SELECT DISTINCT event_id, recorded_at, len(target_event_ids) AS records
FROM raw.events
WHERE
    event = 'BASELINE_PRUNE'
    AND event_id NOT IN (
        SELECT target_event_id
        FROM raw.events
        WHERE event = 'BASELINE_PRUNE_UNDONE'
    )
ORDER BY recorded_at, event_id

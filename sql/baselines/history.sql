-- Every act that concerns one baseline, in order: its own, on it, and the undoing of a
-- prune that took it out.

SELECT DISTINCT event_id, recorded_at, event, reason
FROM raw.events
WHERE
    event_id = $event_id
    OR target_event_id = $event_id
    OR list_contains(target_event_ids, $event_id)
    OR target_event_id IN (
        SELECT event_id
        FROM raw.events
        WHERE event = 'BASELINE_PRUNE' AND list_contains(target_event_ids, $event_id)
    )
ORDER BY recorded_at, event_id

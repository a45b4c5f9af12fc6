-- Grain: prune x stored baseline that it names.
-- Inputs: raw.events.
-- Rules: a prune counts from its moment on, until the moment it is undone.

CREATE VIEW v1.baseline_prune AS
WITH undone AS (
    SELECT target_event_id AS event_id, min(recorded_at) AS undone_at
    FROM raw.events
    WHERE event = 'BASELINE_PRUNE_UNDONE'
    GROUP BY target_event_id
)

SELECT
    target.event_id AS target_event_id,
    prune.event_id,
    prune.recorded_at,
    undone.undone_at
FROM raw.events AS prune
CROSS JOIN unnest(
    list_concat(
        coalesce(prune.target_event_ids, []),
        if(prune.target_event_id IS NULL, [], [prune.target_event_id])
    )
) AS target (event_id)
LEFT JOIN undone
    ON undone.event_id = prune.event_id
WHERE prune.event = 'BASELINE_PRUNE';

COMMENT ON VIEW v1.baseline_prune IS 'Which stored baselines each prune takes out, and until when. One row per prune and stored baseline.';
COMMENT ON COLUMN v1.baseline_prune.target_event_id IS 'The stored baseline (its append)';
COMMENT ON COLUMN v1.baseline_prune.event_id IS 'The prune';
COMMENT ON COLUMN v1.baseline_prune.recorded_at IS 'When it was pruned, UTC';
COMMENT ON COLUMN v1.baseline_prune.undone_at IS 'When that was undone, UTC; NULL where it never was';

-- What one part says of itself: its rows as they were read, those of another sweep than
-- its folder is of, and one such sweep. $sweep_id is NULL for events, which lie together.
SELECT
    count(*) AS row_count,
    count(*) FILTER (
        WHERE $sweep_id IS NOT NULL AND sweep_id IS DISTINCT FROM $sweep_id
    ) AS strangers,
    min(sweep_id) FILTER (WHERE sweep_id IS DISTINCT FROM $sweep_id) AS stranger
FROM whole

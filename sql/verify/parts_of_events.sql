-- The parts of events that bear on a sweep: those that speak of it, and those of
-- baselines, which may be compared with any.
SELECT DISTINCT part
FROM raw.events
WHERE sweep_id = $sweep_id OR starts_with(event, 'BASELINE_')
ORDER BY part

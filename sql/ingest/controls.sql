-- Grain: sweep x model. What its first run asked for.

SELECT DISTINCT ON (sweep_id, model_id) sweep_id, model_id, requested, locality
FROM raw.runs
ORDER BY sweep_id, model_id, recorded_at, attempt_id

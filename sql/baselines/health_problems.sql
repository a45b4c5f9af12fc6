-- The stored baselines that fail a check.

SELECT *
FROM v1.baseline_health
WHERE is_stale OR is_incompatible OR is_orphaned OR is_duplicate
ORDER BY test_id, model_id, quant_tag, event_id

-- Stored baselines that are meant, newest first by test.

SELECT *
FROM v1.baseline_record
WHERE
    ($test_id IS NULL OR test_id = $test_id)
    AND ($model_id IS NULL OR model_id = $model_id)
    AND ($quant_tag IS NULL OR quant_tag = $quant_tag)
    AND ($with_pruned OR NOT pruned)
ORDER BY test_id, model_id, quant_tag, measured_at DESC NULLS LAST, event_id

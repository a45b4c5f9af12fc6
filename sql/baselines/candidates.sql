-- Every stored baseline that a cell could be compared with, and its fate.

SELECT *
FROM v1.baseline_candidate
WHERE
    ($test_id IS NULL OR test_id = $test_id)
    AND ($model_id IS NULL OR model_id = $model_id)
    AND ($quant_tag IS NULL OR quant_tag = $quant_tag)
ORDER BY model_id, quant_tag, test_id, nearness

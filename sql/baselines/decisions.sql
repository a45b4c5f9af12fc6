-- What the cells that are meant are compared with.

SELECT *
FROM v1.baseline_match
WHERE
    ($test_id IS NULL OR test_id = $test_id)
    AND ($model_id IS NULL OR model_id = $model_id)
    AND ($quant_tag IS NULL OR quant_tag = $quant_tag)
ORDER BY model_id, quant_tag, test_id

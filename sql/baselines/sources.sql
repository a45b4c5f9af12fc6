-- The cells of a sweep that are meant, in the order they were first run.

SELECT *
FROM v1.baseline_source
WHERE
    ($test_id IS NULL OR test_id = $test_id)
    AND ($model_id IS NULL OR model_id = $model_id)
    AND ($quant_tag IS NULL OR quant_tag = $quant_tag)
ORDER BY first_order_index, model_id, quant_tag, test_id

-- That answer is told where pollution alone keeps a quant out.
INSERT INTO raw.recommendation_if_polluted
SELECT sweep_id, model_id, minimum_viable_quant, best_value_quant
FROM raw.advised_if_polluted
WHERE EXISTS (SELECT * FROM v1.recommendation WHERE quants_out_by_pollution > 0)

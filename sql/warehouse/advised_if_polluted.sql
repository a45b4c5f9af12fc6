-- What is advised of each model where polluted runs count: kept for v1.session_entry.
CREATE TABLE raw.advised_if_polluted AS
SELECT sweep_id, model_id, minimum_viable_quant, best_value_quant
FROM v1.recommendation

-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.session, v1.choice, v1.attempts.
-- Rules: what it takes to run a quant as it was measured: its server, its name there, its
-- file. The name is the one that the plan gave it, else the one that every answer came
-- under. The advised quant is the one of v1.choice.

CREATE VIEW v1.quant_use AS
WITH names AS (
    SELECT sweep_id, model_id, quant_tag, v1.agreed(reported_model) AS reported_name
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase = 'matrix'
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    quant.quant_rank,
    choice.advised_quant,
    coalesce(quant_tag = choice.advised_quant, false) AS is_advised,
    choice.best_value_quant,
    session.provider,
    session.provider_version,
    session.endpoint,
    session.locality,
    coalesce(quant.server_name, names.reported_name) AS server_name,
    CASE
        WHEN quant.server_name IS NOT NULL THEN 'plan'
        WHEN names.reported_name IS NOT NULL THEN 'answers'
    END AS name_source,
    quant.file,
    quant.serve_command,
    quant.model_digest,
    quant.model_bytes,
    quant.publisher,
    session.compute_threads
FROM v1.quant AS quant
INNER JOIN v1.session AS session USING (sweep_id, model_id)
INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
LEFT JOIN names USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_use IS 'What it takes to run each quant as it was measured. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_use.advised_quant IS 'The quant of this model to use; NULL where nothing is shown';
COMMENT ON COLUMN v1.quant_use.is_advised IS 'It is this one';
COMMENT ON COLUMN v1.quant_use.best_value_quant IS 'The best value of this model so far, NULL if none is eligible';
COMMENT ON COLUMN v1.quant_use.server_name IS 'What its server calls it: untrusted text';
COMMENT ON COLUMN v1.quant_use.name_source IS 'plan or answers: where that name is from';

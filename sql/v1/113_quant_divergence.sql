-- Grain: sweep x model x quant.
-- Inputs: v1.quant, raw.sidecars.
-- Rules: what llama-perplexity said of a quant's logits against the reference's, over its
-- own text: diagnostic, never a gate, and no figure of v1.fidelity, which is measured over
-- the sweep's own prompts. As printed, and NULL where it was not. Of several outputs that
-- differ none is the quant's: SEVERAL_SETTINGS.

CREATE VIEW v1.quant_divergence AS
WITH said AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(
            DISTINCT {
                'kld_nnats': kld_nnats,
                'kld_error_nnats': kld_error_nnats,
                'same_top_ppm': same_top_ppm,
                'same_top_error_ppm': same_top_error_ppm
            }
        ) AS outputs,
        min(tool) AS tool,
        min(tool_version) AS tool_version,
        min(kld_nnats) AS kld_nnats,
        min(kld_error_nnats) AS kld_error_nnats,
        min(same_top_ppm) AS same_top_ppm,
        min(same_top_error_ppm) AS same_top_error_ppm
    FROM raw.sidecars
    WHERE test = 'kl'
    GROUP BY sweep_id, model_id, quant_tag
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    CASE
        WHEN said.outputs IS NULL THEN 'NOT_RUN'
        WHEN said.outputs > 1 THEN 'SEVERAL_SETTINGS'
        ELSE 'OK'
    END AS status,
    false AS gates,
    said.tool,
    said.tool_version,
    if(said.outputs = 1, said.kld_nnats, NULL) AS kld_nnats,
    if(said.outputs = 1, said.kld_error_nnats, NULL) AS kld_error_nnats,
    if(said.outputs = 1, said.same_top_ppm, NULL) AS same_top_ppm,
    if(said.outputs = 1, said.same_top_error_ppm, NULL) AS same_top_error_ppm
FROM v1.quant AS quant
LEFT JOIN said USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_divergence IS 'How far a quant is from the reference by llama-perplexity: diagnostic, never a gate. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_divergence.status IS 'OK, NOT_RUN, or SEVERAL_SETTINGS where outputs differ';
COMMENT ON COLUMN v1.quant_divergence.gates IS 'Always false';
COMMENT ON COLUMN v1.quant_divergence.tool IS 'Tool';
COMMENT ON COLUMN v1.quant_divergence.tool_version IS 'Its build';
COMMENT ON COLUMN v1.quant_divergence.kld_nnats IS 'Mean KL divergence from the reference, as printed, 1e-9 nats';
COMMENT ON COLUMN v1.quant_divergence.kld_error_nnats IS 'Its error, as printed, 1e-9 nats';
COMMENT ON COLUMN v1.quant_divergence.same_top_ppm IS 'Places at which the likeliest token is the reference''s, as printed, ppm';
COMMENT ON COLUMN v1.quant_divergence.same_top_error_ppm IS 'Its error, as printed, ppm';

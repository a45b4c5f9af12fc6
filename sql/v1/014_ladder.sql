-- Grain: sweep x model x quant, of adaptive sweeps.
-- Inputs: v1.manifest, v1.quant.
-- Rules: the quants of a model by precision; what has no known rank has no place.

CREATE VIEW v1.ladder AS
SELECT
    sweep_id,
    model_id,
    quant_tag,
    quant_key,
    if(
        rank_known,
        row_number() OVER (
            PARTITION BY sweep_id, model_id ORDER BY quant_rank DESC NULLS LAST
        ) - 1,
        NULL
    ) AS place
FROM v1.quant
SEMI JOIN (SELECT sweep_id FROM v1.manifest WHERE "order" = 'adaptive') USING (sweep_id);

COMMENT ON VIEW v1.ladder IS 'The quants of an adaptive sweep by precision. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.ladder.place IS 'From the most precise, 0, down; NULL if its rank is not known';

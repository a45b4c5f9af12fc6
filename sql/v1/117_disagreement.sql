-- Grain: sweep x model x quant.
-- Inputs: v1.fidelity, v1.frontier, v1.quant_comparison.
-- Rules: where fidelity and adherence say different things of a quant; adherence stays the
-- gate. FAITHFUL_BUT_FAILS: most answers are kept, and yet more tasks are lost than answers
-- can have changed: adherence falls by no more than that share, if the prompts are like the
-- tasks. DIFFERS_BUT_PASSES: most answers change, and no task is lost. Only where both are
-- held against one quant.

CREATE VIEW v1.disagreement AS
SELECT
    sweep_id,
    model_id,
    quant_tag,
    CASE
        WHEN
            fidelity.reference_quant_tag IS DISTINCT FROM frontier.baseline_quant_tag
            OR quant_tag = fidelity.reference_quant_tag
            OR NOT frontier.is_judged OR fidelity.status IN ('DETERMINISM_LOST', 'NOT_RUN')
            THEN NULL
        WHEN
            NOT frontier.keeps_adherence
            AND fidelity.kept_interval_micro[1] * 2 > 1000000
            AND CAST(comparison.flips_lost AS HUGEINT) * 1000000
            > comparison.baseline_passes * (1000000 - fidelity.kept_interval_micro[1])
            THEN 'FAITHFUL_BUT_FAILS'
        WHEN
            comparison.flips_lost = 0 AND comparison.baseline_passes > 0
            AND fidelity.kept_prompts * 2 < fidelity.prompts
            THEN 'DIFFERS_BUT_PASSES'
    END AS disagreement
FROM v1.fidelity AS fidelity
INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.disagreement IS 'Where fidelity and adherence disagree on a quant. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.disagreement.disagreement IS 'FAITHFUL_BUT_FAILS, DIFFERS_BUT_PASSES, or NULL';

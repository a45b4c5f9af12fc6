-- Grain: pair of sweeps x model x quant of both.
-- Inputs: v1.diff_quant, v1.quant_aggregate, v1.reason.
-- Rules: how a quant moved between two sweeps that stand for two versions of a runtime, by the
-- rules of v1.diff_quant and no others. A quant is compared where both sweeps had the same
-- weights by their digests; else there is the reason and no verdict. Rates stand beside it as
-- each sweep has them; no verdict rests on them.

CREATE VIEW v1.drift AS
SELECT
    diff.before_sweep,
    diff.after_sweep,
    diff.model_id,
    diff.quant_tag,
    diff.quant_rank,
    reason.code AS reason,
    if(reason.code IS NULL, diff.answers_verdict, NULL) AS answers_verdict,
    diff.answers_reason,
    if(reason.code IS NULL, diff.times_verdict, NULL) AS times_verdict,
    diff.times_reason,
    diff.pairs,
    if(reason.code IS NULL AND diff.answers_reason IS NULL, diff.lost, NULL) AS lost,
    if(reason.code IS NULL AND diff.answers_reason IS NULL, diff.gained, NULL) AS gained,
    diff.blocks,
    if(reason.code IS NULL, diff.change_ppm, NULL) AS change_ppm,
    if(reason.code IS NULL, diff.noise_ppm, NULL) AS noise_ppm,
    if(reason.code IS NULL, diff.times_within, NULL) AS times_within,
    old.generation_tokens_per_second_milli AS before_tokens_per_second_milli,
    new.generation_tokens_per_second_milli AS after_tokens_per_second_milli
FROM v1.diff_quant AS diff
LEFT JOIN v1.reason AS reason
    ON reason.scope = 'comparison'
    AND reason.signal = CASE diff.weights
        WHEN 'OTHER' THEN 'other_weights'
        WHEN 'NOT_KNOWN' THEN 'unknown_weights'
    END
LEFT JOIN v1.quant_aggregate AS old
    ON old.sweep_id = diff.before_sweep
    AND old.model_id = diff.model_id
    AND old.quant_tag = diff.quant_tag
LEFT JOIN v1.quant_aggregate AS new
    ON new.sweep_id = diff.after_sweep
    AND new.model_id = diff.after_model
    AND new.quant_tag = diff.quant_tag
WHERE diff.weights IS NOT NULL;

COMMENT ON VIEW v1.drift IS 'How each quant moved between two sweeps of one machine. One row per pair, model and quant; empty unless sweeps are laid side by side.';
COMMENT ON COLUMN v1.drift.quant_rank IS 'Place by bits per weight, 1 = least precise';
COMMENT ON COLUMN v1.drift.reason IS 'Why the two are not of the same weights, NULL where they are';
COMMENT ON COLUMN v1.drift.answers_verdict IS 'WORSE, BETTER, NO_DIFFERENCE or NOT_COMPARABLE; NULL where there is a reason';
COMMENT ON COLUMN v1.drift.pairs IS 'Tasks with a verdict in both';
COMMENT ON COLUMN v1.drift.lost IS 'Of these, passed in the first sweep alone';
COMMENT ON COLUMN v1.drift.gained IS 'Of these, passed in the second sweep alone';
COMMENT ON COLUMN v1.drift.change_ppm IS 'By how much the second takes longer, mean of the blocks, ppm';
COMMENT ON COLUMN v1.drift.noise_ppm IS 'What it would have to exceed to be more than what differs between blocks, ppm';
COMMENT ON COLUMN v1.drift.before_tokens_per_second_milli IS 'Decode rate in the first sweep, 1/1000 per second';
COMMENT ON COLUMN v1.drift.after_tokens_per_second_milli IS 'Decode rate in the second sweep, 1/1000 per second';

-- Grain: sweep x model x quant x reason for which it is out.
-- Inputs: v1.frontier, v1.quant_aggregate, v1.reason.
-- Rules: why a quant is out, in words: the one place that has them. They are those of
-- v1.reason; of too few runs it is told what they are too few for.

CREATE VIEW v1.quant_lack AS
SELECT
    frontier.sweep_id,
    frontier.model_id,
    frontier.quant_tag,
    frontier.quant_rank,
    frontier.is_judged,
    frontier.baseline_quant_tag,
    reason.signal,
    reason.code,
    CASE
        WHEN reason.signal <> 'uncovered' THEN reason.short
        WHEN aggregate.attempts = 0 THEN 'not run'
        WHEN aggregate.missing_runs > 0 THEN 'not run to the end'
        WHEN frontier.is_covered THEN 'too few tasks in common'
        WHEN frontier.is_fillable THEN 'too many disturbed runs'
        WHEN aggregate.answered_runs = 0 THEN 'no answers'
        ELSE 'too few answers that count'
    END AS why
FROM v1.frontier AS frontier
INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
CROSS JOIN unnest(frontier.ineligible_reasons) AS coded (code)
INNER JOIN v1.reason AS reason ON reason.code = coded.code AND reason.scope = 'quant';

COMMENT ON VIEW v1.quant_lack IS 'Why a quant is out. One row per sweep, model, quant and reason.';
COMMENT ON COLUMN v1.quant_lack.baseline_quant_tag IS 'What it is held against; NULL where nothing could be judged';
COMMENT ON COLUMN v1.quant_lack.signal IS 'The fact, as in v1.reason';
COMMENT ON COLUMN v1.quant_lack.code IS 'The reason, as in ineligible_reasons';
COMMENT ON COLUMN v1.quant_lack.why IS 'The same in a few words';

-- Grain: sweep x model x quant x task that is evidence on this quant.
-- Inputs: v1.task_pair, v1.task_aggregate, v1.manifest.
-- Rules: of the tasks that the reference passes some are lost. In a grid a task that
-- one of the two has no verdict on counts as lost. An adaptive sweep asks a quant only
-- what the reference has answered: there a task without a verdict of the reference
-- is no pair, and one without a verdict of this quant counts as lost. The adherence
-- that is reached and lost is asked beside it, for it is partial where some checks fail.

CREATE VIEW v1.task_evidence AS
SELECT
    pairs.*,
    -- The reference passes, or may have passed.
    coalesce(pairs.baseline_passed, true) AS counts,
    coalesce(pairs.baseline_passed, true)
    AND NOT coalesce(pairs.is_paired AND pairs.own_passed, false) AS is_lost,
    NOT own.is_covered AND own.fillable_runs > 0 AS is_disturbed,
    coalesce(pairs.baseline_adherence_nano, 1000000000) AS reached_nano,
    if(
        pairs.is_paired,
        greatest(0, pairs.baseline_adherence_nano - pairs.own_adherence_nano),
        coalesce(pairs.baseline_adherence_nano, 1000000000)
    ) AS lost_nano
FROM v1.task_pair AS pairs
INNER JOIN v1.task_aggregate AS own USING (sweep_id, model_id, quant_tag, test_id)
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE
    pairs.baseline_quant_tag IS NOT NULL
    AND (manifest."order" <> 'adaptive' OR pairs.baseline_passed IS NOT NULL);

COMMENT ON VIEW v1.task_evidence IS 'What each task says of whether a quant keeps the threshold. One row per sweep, model, quant and task.';
COMMENT ON COLUMN v1.task_evidence.counts IS 'The reference passes it, or may have';
COMMENT ON COLUMN v1.task_evidence.is_lost IS 'It counts, and this quant is not known to pass it';
COMMENT ON COLUMN v1.task_evidence.is_disturbed IS 'This quant has no verdict only for what disturbed its run';
COMMENT ON COLUMN v1.task_evidence.reached_nano IS 'Adherence of the reference, 1e-9; all of it where it has no verdict';
COMMENT ON COLUMN v1.task_evidence.lost_nano IS 'Of that, what this quant does not reach, 1e-9; all without a verdict on both sides';

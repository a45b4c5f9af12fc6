-- Grain: sweep x model x quant x task that is evidence on this quant.
-- Inputs: v1.task_pair, v1.manifest.
-- Rules: of the tasks that the baseline quant passes some are lost. In a grid a task that
-- one of the two has no verdict on counts as lost. An adaptive sweep asks a quant only
-- what the baseline quant has answered: there a task without a verdict of the baseline
-- quant is no pair, and one without a verdict of this quant counts as lost.

CREATE VIEW v1.task_evidence AS
SELECT
    pairs.*,
    -- The baseline quant passes, or may have passed.
    coalesce(pairs.baseline_passed, true) AS counts,
    coalesce(pairs.baseline_passed, true)
    AND NOT coalesce(pairs.is_paired AND pairs.own_passed, false) AS is_lost
FROM v1.task_pair AS pairs
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE
    pairs.baseline_quant_tag IS NOT NULL
    AND (manifest."order" <> 'adaptive' OR pairs.baseline_passed IS NOT NULL);

COMMENT ON VIEW v1.task_evidence IS 'What each task says of whether a quant keeps the threshold. One row per sweep, model, quant and task.';
COMMENT ON COLUMN v1.task_evidence.counts IS 'The baseline quant passes it, or may have';
COMMENT ON COLUMN v1.task_evidence.is_lost IS 'It counts, and this quant is not known to pass it';

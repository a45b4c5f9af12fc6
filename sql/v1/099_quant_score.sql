-- Grain: sweep x model x quant.
-- Inputs: v1.support, v1.frontier, v1.quant_comparison, v1.quant_aggregate, v1.proof.
-- Rules: what can be said of one quant: its score beside the reference's on the same
-- tasks, its time, and what its evidence still lacks.

CREATE VIEW v1.quant_score AS
SELECT
    support.sweep_id,
    support.model_id,
    support.quant_tag,
    comparison.pairs,
    comparison.baseline_passes,
    comparison.baseline_passes - comparison.flips_lost AS kept,
    comparison.flips_lost,
    comparison.flips_gained,
    -- Tasks that are done in part count too.
    comparison.adherence_delta_nano = 0 AND comparison.loss_sum_nano = 0 AS is_equal,
    -- Lost for want of a run that counts, under it or under the reference.
    support.losses - comparison.flips_lost AS unpaired_losses,
    aggregate.determinism_micro,
    if(
        aggregate.total_latency_ns < 1000000,
        v1.decimal_text(aggregate.total_latency_ns, 9, 6),
        v1.decimal_text(aggregate.total_latency_ns, 9, 3)
    ) AS seconds_text,
    aggregate.total_latency_ns = min(aggregate.total_latency_ns)
        FILTER (WHERE frontier.is_eligible)
        OVER (PARTITION BY support.sweep_id, support.model_id) AS is_fastest,
    support.families,
    support.evidence_tasks,
    support.tasks_needed,
    support.tasks_likely,
    support.families_needed,
    support.passes,
    proof.state,
    proof.passes_needed
FROM v1.support AS support
INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_aggregate AS aggregate USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_score IS 'What can be said of one quant. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_score.kept IS 'Tasks that the reference does and it does too';
COMMENT ON COLUMN v1.quant_score.is_equal IS 'No difference was seen on any task, of those done in part either';
COMMENT ON COLUMN v1.quant_score.unpaired_losses IS 'Lost for want of a run that counts, under it or under the reference';
COMMENT ON COLUMN v1.quant_score.seconds_text IS 'Its time a task, in seconds as people write them';
COMMENT ON COLUMN v1.quant_score.is_fastest IS 'No eligible quant is faster';

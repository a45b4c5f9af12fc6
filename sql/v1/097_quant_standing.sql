-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.frontier, v1.proof, v1.policy.
-- Rules: how a quant stands by the rows so far, also while its sweep runs; nothing is
-- decided here. The state is that of the proof where rounds are asked. Else: NOT_ASKED,
-- BASELINE, PASSES (eligible), OUT (judged, and why), or OPEN (too few tasks so far).

CREATE VIEW v1.quant_standing AS
SELECT
    quants.sweep_id,
    quants.model_id,
    quants.quant_tag,
    quants.quant_rank,
    CASE
        WHEN proof.state IS NOT NULL THEN proof.state
        WHEN quants.attempts = 0 THEN 'NOT_ASKED'
        WHEN frontier.is_baseline_quant THEN 'BASELINE'
        WHEN frontier.is_eligible THEN 'PASSES'
        WHEN frontier.is_judged THEN 'OUT'
        ELSE 'OPEN'
    END AS state,
    if(
        proof.state IS NULL AND frontier.is_judged, frontier.ineligible_reasons, []
    ) AS out_reasons,
    proof.asked_tasks,
    coalesce(proof.planned_tasks, quants.planned_tasks) AS planned_tasks,
    TRY_CAST(
        v1.scaled(quants.adherence_sum_nano, quants.adherence_tasks * 1000, 1) AS BIGINT
    ) AS adherence_score_micro,
    if(
        quants.adherence_tasks > 0,
        list_transform(
            [-1, 1],
            lambda side: v1.wilson_micro(
                quants.adherence_nano, quants.adherence_tasks, policy.confidence_z_milli, side
            )
        ),
        NULL
    ) AS adherence_interval_micro,
    quants.adherence_tasks,
    quants.generation_tokens_per_second_milli,
    quants.total_latency_ns,
    quants.peak_memory_bytes,
    quants.memory_source,
    quants.attempts,
    quants.polluted_runs,
    policy.quality_only AS is_quality_only
FROM v1.quant_aggregate AS quants
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_standing IS 'How a quant stands by the rows so far. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_standing.state IS 'That of v1.proof where rounds are asked; else NOT_ASKED, BASELINE, PASSES, OUT or OPEN';
COMMENT ON COLUMN v1.quant_standing.out_reasons IS 'Why it is OUT, sorted; empty else';
COMMENT ON COLUMN v1.quant_standing.asked_tasks IS 'Tasks that were asked; NULL where all are asked in turn';
COMMENT ON COLUMN v1.quant_standing.adherence_score_micro IS 'Mean share of checks passed over the tasks with a verdict, 1e-6; NULL without any';
COMMENT ON COLUMN v1.quant_standing.adherence_interval_micro IS 'Bounds of its 95 % Wilson interval, 1e-6';
COMMENT ON COLUMN v1.quant_standing.adherence_tasks IS 'Tasks with a verdict so far';
COMMENT ON COLUMN v1.quant_standing.is_quality_only IS 'Answers alone are judged: its times tell nothing';

-- Grain: sweep x model x quant.
-- Inputs: v1.quant_comparison, v1.policy.
-- Rules: how far distinct tasks, never repetitions, support that a quant keeps the baseline
-- quant's adherence: the upper Wilson bound U of the mean loss p over n tasks stays within
-- the margin m. U <= m is the same as m >= p and n (m - p)^2 >= z^2 m (1 - m), which needs
-- no square root; p and m are integers in 1e-12 units.

CREATE VIEW v1.support AS
WITH margins AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        loss_tasks AS n,
        v1.scaled(loss_sum_nano, loss_tasks, 1000) AS loss,
        v1.scaled(
            (1000000 - adherence_threshold_ppm) * baseline_adherence_sum_nano,
            baseline_adherence_tasks * 1000,
            1
        ) AS margin,
        CAST(confidence_z_milli AS HUGEINT) * confidence_z_milli AS z2_micro
    FROM v1.quant_comparison
    INNER JOIN v1.policy USING (sweep_id, model_id)
),

bounds AS (
    SELECT
        *,
        (margin - loss) * (margin - loss) * 1000000 AS room,
        z2_micro * margin * (1000000000000 - margin) AS spread
    FROM margins
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    n AS evidence_tasks,
    CAST(loss // 1000 AS BIGINT) AS mean_loss_nano,
    CAST(margin // 1000 AS BIGINT) AS margin_nano,
    margin >= loss AND n * room >= spread AND margin > 0 AS is_supported,
    if(margin > loss, CAST((spread + room - 1) // room AS BIGINT), NULL) AS supporting_tasks
FROM bounds;

COMMENT ON VIEW v1.support IS 'How far the tasks support that a quant keeps the adherence. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.support.evidence_tasks IS 'Distinct tasks behind it';
COMMENT ON COLUMN v1.support.mean_loss_nano IS 'Mean over tasks of max(0, baseline task mean - own), 1e-9';
COMMENT ON COLUMN v1.support.margin_nano IS '(1 - threshold) x baseline adherence, 1e-9';
COMMENT ON COLUMN v1.support.is_supported IS 'The loss stays within the margin beyond chance';
COMMENT ON COLUMN v1.support.supporting_tasks IS 'Tasks at which this loss would be supported; NULL if no number would do';

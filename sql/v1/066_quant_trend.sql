-- Grain: sweep x model x quant with two valid runs of one task.
-- Inputs: v1.runs, v1.task_aggregate, v1.policy.
-- Rules: whether the wall time grew during the sweep: Mann-Kendall over the order within
-- each cell (S > 0 and S^2 > chi^2 x its variance), and the last repetition slower than
-- the first by more than drift_min. Both ends are over the same work: only cells that have
-- every repetition.

CREATE VIEW v1.quant_trend AS
WITH valid AS (
    SELECT sweep_id, model_id, quant_tag, test_id, repetition, order_index, wall_ns
    FROM v1.runs
    WHERE phase = 'matrix' AND is_valid AND wall_ns IS NOT NULL
),

lengths AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        min(repetition) AS first_repetition,
        max(repetition) AS last_repetition
    FROM valid
    GROUP BY ALL
),

whole AS (
    -- Cells that have every repetition.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id
    FROM valid
    INNER JOIN lengths USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
    HAVING count(*) > any_value(last_repetition) - any_value(first_repetition)
),

pairs AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        TRY_CAST(sum(sign(later.wall_ns - earlier.wall_ns)) AS HUGEINT) AS concordance
    FROM valid AS earlier
    INNER JOIN valid AS later USING (sweep_id, model_id, quant_tag, test_id)
    WHERE later.order_index > earlier.order_index
    GROUP BY ALL
),

variances AS (
    -- n (n - 1) (2n + 5) / 18 per cell, kept as 18 times the variance.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        sum(CAST(timed_runs AS HUGEINT) * (timed_runs - 1) * (2 * timed_runs + 5))
            AS variance_18
    FROM v1.task_aggregate
    GROUP BY ALL
),

ends AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE repetition = first_repetition)
            AS first_ns,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE repetition = last_repetition)
            AS last_ns
    FROM valid
    SEMI JOIN whole USING (sweep_id, model_id, quant_tag, test_id)
    INNER JOIN lengths USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    coalesce(
        pairs.concordance > 0
        AND pairs.concordance * pairs.concordance * 18 * 1000
        > variances.variance_18 * policy.drift_chi2_milli
        AND v1.exceeds_ppm(ends.last_ns - ends.first_ns, ends.first_ns, policy.drift_min_ppm),
        false
    ) AS has_drift
FROM pairs
INNER JOIN variances USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
LEFT JOIN ends USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_trend IS 'Whether a quant slowed down during the sweep. One row per sweep, model and quant with pairs.';
COMMENT ON COLUMN v1.quant_trend.has_drift IS 'It did, beyond chance and by more than drift_min';

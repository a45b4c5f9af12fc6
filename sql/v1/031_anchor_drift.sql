-- Grain: attempt of the matrix that lies before an anchor.
-- Inputs: v1.attempts, v1.telemetry, v1.policy.
-- Rules: an anchor is the canary cell measured again during the matrix (phase anchor; the
-- runs of one block are one anchor, judged by their median internal time, or wall time
-- where the server has no timings). Its reference is the median of the canary runs. An
-- anchor beyond anchor_max_drift_ppm is bad, and marks the runs since the last good one.

CREATE VIEW v1.anchor_drift AS
WITH measured AS (
    SELECT
        attempts.sweep_id,
        attempts.model_id,
        attempts.phase,
        attempts.executor_started_at,
        attempts.retry_pass,
        attempts.block_index,
        attempts.started_at,
        coalesce(telemetry.internal_ns, telemetry.wall_ns) AS time_ns
    FROM v1.attempts AS attempts
    INNER JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
    WHERE attempts.phase IN ('canary', 'anchor') AND attempts.outcome = 'OK'
),

reference AS (
    SELECT
        sweep_id,
        model_id,
        quantile_disc(time_ns, 0.5) AS canary_ns
    FROM measured
    WHERE phase = 'canary'
    GROUP BY sweep_id, model_id
),

anchors AS (
    SELECT
        measured.sweep_id,
        measured.model_id,
        max(measured.started_at) AS anchored_at,
        v1.exceeds_ppm(
            abs(quantile_disc(measured.time_ns, 0.5) - any_value(reference.canary_ns)),
            any_value(reference.canary_ns),
            any_value(policy.anchor_max_drift_ppm)
        ) AS is_bad,
        v1.micro(
            quantile_disc(measured.time_ns, 0.5) - any_value(reference.canary_ns),
            any_value(reference.canary_ns)
        ) AS drift_micro
    FROM measured
    INNER JOIN reference USING (sweep_id, model_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    WHERE measured.phase = 'anchor'
    GROUP BY
        measured.sweep_id,
        measured.model_id,
        measured.executor_started_at,
        measured.retry_pass,
        measured.block_index
),

nexts AS (
    -- The first anchor after a run tells whether the machine had drifted by then.
    SELECT
        attempts.sweep_id,
        attempts.attempt_id,
        first(anchors.is_bad ORDER BY anchors.anchored_at) AS is_bad,
        first(anchors.drift_micro ORDER BY anchors.anchored_at) AS drift_micro
    FROM v1.attempts AS attempts
    INNER JOIN anchors
        ON anchors.sweep_id = attempts.sweep_id
        AND anchors.model_id = attempts.model_id
        AND anchors.anchored_at >= attempts.started_at
    WHERE attempts.phase IN ('matrix', 'repeat')
    GROUP BY attempts.sweep_id, attempts.attempt_id
)

SELECT
    sweep_id,
    attempt_id,
    is_bad AS has_drifted,
    drift_micro
FROM nexts;

COMMENT ON VIEW v1.anchor_drift IS 'What the next anchor says of a run. One row per attempt of matrix or repeat that lies before an anchor.';
COMMENT ON COLUMN v1.anchor_drift.has_drifted IS 'The next anchor is beyond the bound';
COMMENT ON COLUMN v1.anchor_drift.drift_micro IS 'Its time against the canary''s, 1e-6';

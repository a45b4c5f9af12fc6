-- Whether other programs disturbed the gate: at least every second of its runs.
-- Parameters: the sweep.
SELECT
    count(*) AS runs,
    count(*) FILTER (WHERE is_disturbed) AS disturbed,
    count(*) FILTER (WHERE is_disturbed) * 2 >= count(*) AND count(*) > 0 AS is_busy
FROM (
    SELECT list_contains(quality.run_quality_reasons, reason.code) AS is_disturbed
    FROM v1.run_quality AS quality
    INNER JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = attempts.sweep_id
        AND policy.model_id = attempts.model_id
    CROSS JOIN v1.reason AS reason
    WHERE
        quality.sweep_id = ? AND attempts.phase = 'canary' AND NOT policy.quality_only
        AND reason.scope = 'run' AND reason.signal = 'high_foreign_cpu'
)

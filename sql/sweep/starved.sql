-- Models whose quants lack valid runs only through disturbances, and that may go on under
-- looser thresholds; because: the code that disturbed most of their runs.
-- Parameters: the sweep.
WITH found AS (
    SELECT
        runs.sweep_id,
        runs.model_id,
        unnest(runs.run_quality_reasons) AS code
    FROM v1.runs AS runs
    WHERE runs.phase = 'matrix' AND runs.run_quality_status = 'POLLUTED'
),

codes AS (
    SELECT
        sweep_id,
        model_id,
        code,
        count(*) AS runs
    FROM found
    INNER JOIN v1.reason AS reason USING (code)
    WHERE reason.scope = 'run' AND reason.is_timing
    GROUP BY ALL
)

SELECT
    model_id,
    first(codes.code ORDER BY codes.runs DESC, codes.code) AS because
FROM codes
INNER JOIN v1.policy_step AS step USING (sweep_id, model_id)
INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
WHERE
    sweep_id = ?
    AND step.next_control_profile IS NOT NULL
    AND choice.quants_out_by_pollution > 0
GROUP BY model_id
ORDER BY model_id

-- Models that disturbances alone keep from an answer, after runs were made again, and that
-- may go on under looser thresholds: at least every second of the latest runs does not
-- count, or at least every second quant of the plan lacks runs that do. because: the code
-- that disturbed most of the runs. Fewer than a portion of runs tell nothing of a machine.
-- Parameters: the sweep.
WITH latest AS (
    SELECT
        runs.sweep_id,
        runs.model_id,
        runs.run_id,
        runs.run_quality_reasons,
        coalesce(
            NOT runs.is_valid
            AND runs.outcome = 'OK'
            AND runs.run_quality_status = 'POLLUTED',
            false
        ) AS is_disturbed
    FROM v1.runs AS runs
    WHERE runs.sweep_id = ? AND runs.phase = 'matrix' AND runs.attempt_id IS NOT NULL
    QUALIFY
        row_number() OVER (
            PARTITION BY runs.model_id ORDER BY runs.recorded_at DESC, runs.run_id DESC
        ) <= 68
),

lost AS (
    SELECT
        sweep_id,
        model_id,
        any_value(choice.quants_out_by_pollution) AS quants,
        count(*) AS planned_quants
    FROM v1.quant
    INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
    GROUP BY sweep_id, model_id
),

busy AS (
    SELECT
        latest.sweep_id,
        latest.model_id
    FROM latest
    INNER JOIN lost USING (sweep_id, model_id)
    GROUP BY latest.sweep_id, latest.model_id
    HAVING
        count(*) >= 17
        AND (
            2 * count_if(latest.is_disturbed) >= count(*)
            OR 2 * any_value(lost.quants) >= any_value(lost.planned_quants)
        )
),

codes AS (
    SELECT
        found.sweep_id,
        found.model_id,
        found.code,
        count(*) AS runs
    FROM (
        SELECT
            sweep_id,
            model_id,
            unnest(run_quality_reasons) AS code
        FROM latest
        WHERE is_disturbed
    ) AS found
    INNER JOIN v1.reason AS reason ON found.code = reason.code AND reason.scope = 'run'
    WHERE reason.is_timing
    GROUP BY ALL
)

SELECT
    model_id,
    first(codes.code ORDER BY codes.runs DESC, codes.code) AS because
FROM busy
INNER JOIN codes USING (sweep_id, model_id)
INNER JOIN v1.policy_step AS step USING (sweep_id, model_id)
WHERE step.next_control_profile IS NOT NULL
GROUP BY model_id
ORDER BY model_id

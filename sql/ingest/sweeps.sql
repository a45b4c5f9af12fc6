-- Grain: sweep. When it began, and what its plan comes to.

SELECT
    started.sweep_id,
    started.moment,
    plans.plan_hash,
    coalesce(plans.repetitions, 1) AS repetitions,
    coalesce(plans.canary_planned, false) AS canary_planned,
    coalesce(len(plans.plan), 0) AS planned_runs
FROM (
    SELECT sweep_id, min(moment) AS moment
    FROM (
        SELECT sweep_id, least(started_at, recorded_at) AS moment FROM raw.runs
        UNION ALL
        SELECT sweep_id, recorded_at FROM raw.sidecars
    )
    GROUP BY sweep_id
) AS started
LEFT JOIN plans
    ON plans.sweep_id = started.sweep_id
ORDER BY started.sweep_id

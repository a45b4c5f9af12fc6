-- Which thresholds rule each model, whether any are left behind them, and with how many
-- threads its server would leave others a CPU: free_threads, NULL where it does already,
-- has no thread control, or is on another machine. Parameters: the sweep.
SELECT
    step.* EXCLUDE (policy),
    step.policy.quality_only AS is_quality_only,
    CASE
        WHEN
            session.capabilities.thread_control
            AND session.locality IN ('child', 'loopback')
            AND session.cpu_only IS DISTINCT FROM false
            AND coalesce(session.controls.threads, 'server') = 'server'
            AND coalesce(session.compute_threads >= manifest.hardware.logical_cpus, true)
            THEN nullif(manifest.hardware.logical_cpus - 1, 0)
    END AS free_threads
FROM v1.policy_step AS step
INNER JOIN v1.session AS session USING (sweep_id, model_id)
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE sweep_id = ?
ORDER BY model_id

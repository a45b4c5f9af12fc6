-- Grain: sweep, as the start of a history.
-- Inputs: v1.manifest, v1.stability_kpi.
-- Rules: the totals over this sweep and all that started after it, so that "since a date"
-- is the row of the first sweep on or after it. Counts are summed before they are divided:
-- a history is weighted by runs, not by sweeps. The newest sweep's targets rule.

CREATE VIEW v1.kpi_history AS
WITH kpis AS (
    SELECT
        manifest.started_at,
        kpi.*
    FROM v1.stability_kpi AS kpi
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
),

totals AS (
    SELECT
        sweep_id AS since_sweep_id,
        started_at AS since,
        count(*) OVER onwards AS sweeps,
        TRY_CAST(sum(attempts) OVER onwards AS BIGINT) AS attempts,
        TRY_CAST(sum(missing_telemetry_runs) OVER onwards AS BIGINT) AS missing_telemetry_runs,
        TRY_CAST(sum(polluted_runs) OVER onwards AS BIGINT) AS polluted_runs,
        TRY_CAST(sum(failed_runs) OVER onwards AS BIGINT) AS failed_runs,
        TRY_CAST(sum(determinism_groups) OVER onwards AS BIGINT) AS determinism_groups,
        TRY_CAST(sum(deterministic_groups) OVER onwards AS BIGINT) AS deterministic_groups,
        TRY_CAST(sum(slo_determinism_groups) OVER onwards AS BIGINT) AS slo_determinism_groups,
        TRY_CAST(sum(slo_deterministic_groups) OVER onwards AS BIGINT) AS slo_deterministic_groups,
        TRY_CAST(sum(sessions) OVER onwards AS BIGINT) AS sessions,
        TRY_CAST(sum(recommended_sessions) OVER onwards AS BIGINT) AS recommended_sessions,
        first_value(slo_determinism_ppm) OVER onwards AS slo_determinism_ppm,
        first_value(slo_frontier_ppm) OVER onwards AS slo_frontier_ppm,
        first_value(slo_missing_telemetry_ppm) OVER onwards AS slo_missing_telemetry_ppm,
        first_value(slo_polluted_ppm) OVER onwards AS slo_polluted_ppm
    FROM kpis
    WINDOW onwards AS (
        ORDER BY started_at DESC, sweep_id DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)

SELECT
    since_sweep_id,
    since,
    sweeps,
    attempts,
    missing_telemetry_runs,
    polluted_runs,
    failed_runs,
    determinism_groups,
    deterministic_groups,
    slo_determinism_groups,
    slo_deterministic_groups,
    sessions,
    recommended_sessions,
    v1.micro(deterministic_groups, determinism_groups) AS determinism_rate_micro,
    v1.micro(slo_deterministic_groups, slo_determinism_groups)
        AS slo_determinism_rate_micro,
    v1.micro(missing_telemetry_runs, attempts) AS missing_telemetry_rate_micro,
    v1.micro(polluted_runs, attempts) AS polluted_run_rate_micro,
    v1.micro(failed_runs, attempts) AS failed_run_rate_micro,
    v1.micro(recommended_sessions, sessions) AS frontier_success_rate_micro,
    v1.objectives(totals) AS slo
FROM totals;

COMMENT ON VIEW v1.kpi_history IS 'KPIs over the history from one sweep on. One row per sweep.';
COMMENT ON COLUMN v1.kpi_history.since_sweep_id IS 'The first sweep of this history';
COMMENT ON COLUMN v1.kpi_history.since IS 'Its start, UTC';
COMMENT ON COLUMN v1.kpi_history.sweeps IS 'Sweeps in it';

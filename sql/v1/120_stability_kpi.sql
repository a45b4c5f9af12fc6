-- Grain: sweep.
-- Inputs: v1.manifest, v1.attempts, v1.telemetry, v1.run_quality, v1.determinism,
-- v1.recommendation, v1.policy.
-- Rules: over attempts of the phases canary, matrix and repeat, each rate with its counts. The
-- determinism objective reads bucket logic under a fixed seed. A denominator of 0 gives
-- NULL, and NULL never meets an objective. With several models the strictest policy rules.
-- The rates are those of v1.kpi_rates: a count of attempts, runs, groups or sessions that is
-- added here is summed by v1.kpi_history too.

CREATE VIEW v1.stability_kpi AS
WITH calls AS (
    SELECT
        attempts.sweep_id,
        count(*) AS attempts,
        count(*) FILTER (WHERE telemetry.token_metrics_status <> 'OK')
            AS missing_telemetry_runs,
        count(*) FILTER (WHERE quality.run_quality_status = 'POLLUTED') AS polluted_runs,
        count(*) FILTER (WHERE attempts.outcome <> 'OK') AS failed_runs
    FROM v1.attempts AS attempts
    INNER JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
    WHERE attempts.phase IN ('canary', 'matrix', 'repeat')
    GROUP BY attempts.sweep_id
),

repeats AS (
    SELECT
        sweep_id,
        count(*) FILTER (WHERE is_deterministic IS NOT NULL) AS determinism_groups,
        count(*) FILTER (WHERE is_deterministic) AS deterministic_groups,
        count(*) FILTER (
            WHERE is_deterministic IS NOT NULL AND bucket = 'logic' AND seed IS NOT NULL
        ) AS slo_determinism_groups,
        count(*) FILTER (
            WHERE is_deterministic AND bucket = 'logic' AND seed IS NOT NULL
        ) AS slo_deterministic_groups
    FROM v1.determinism
    GROUP BY sweep_id
),

sessions AS (
    SELECT
        sweep_id,
        count(*) AS sessions,
        count(minimum_viable_quant) AS recommended_sessions
    FROM v1.recommendation
    GROUP BY sweep_id
),

targets AS (
    SELECT
        sweep_id,
        max(slo_determinism_ppm) AS slo_determinism_ppm,
        max(slo_frontier_ppm) AS slo_frontier_ppm,
        min(slo_missing_telemetry_ppm) AS slo_missing_telemetry_ppm,
        min(slo_polluted_ppm) AS slo_polluted_ppm
    FROM v1.policy
    GROUP BY sweep_id
),

counts AS (
    SELECT
        manifest.sweep_id,
        coalesce(calls.attempts, 0) AS attempts,
        coalesce(calls.missing_telemetry_runs, 0) AS missing_telemetry_runs,
        coalesce(calls.polluted_runs, 0) AS polluted_runs,
        coalesce(calls.failed_runs, 0) AS failed_runs,
        coalesce(repeats.determinism_groups, 0) AS determinism_groups,
        coalesce(repeats.deterministic_groups, 0) AS deterministic_groups,
        coalesce(repeats.slo_determinism_groups, 0) AS slo_determinism_groups,
        coalesce(repeats.slo_deterministic_groups, 0) AS slo_deterministic_groups,
        coalesce(sessions.sessions, 0) AS sessions,
        coalesce(sessions.recommended_sessions, 0) AS recommended_sessions,
        targets.slo_determinism_ppm,
        targets.slo_frontier_ppm,
        targets.slo_missing_telemetry_ppm,
        targets.slo_polluted_ppm
    FROM v1.manifest AS manifest
    LEFT JOIN calls USING (sweep_id)
    LEFT JOIN repeats USING (sweep_id)
    LEFT JOIN sessions USING (sweep_id)
    LEFT JOIN targets USING (sweep_id)
)

SELECT
    counts.*,
    unnest(v1.kpi_rates(counts)),
    v1.objectives(counts) AS slo
FROM counts;

COMMENT ON VIEW v1.stability_kpi IS 'How far a sweep can be trusted. One row per sweep.';
COMMENT ON COLUMN v1.stability_kpi.attempts IS 'Attempts of the phases canary and matrix';
COMMENT ON COLUMN v1.stability_kpi.missing_telemetry_runs IS 'Of these, without full telemetry';
COMMENT ON COLUMN v1.stability_kpi.polluted_runs IS 'Of these, polluted';
COMMENT ON COLUMN v1.stability_kpi.failed_runs IS 'Of these, failed';
COMMENT ON COLUMN v1.stability_kpi.determinism_groups IS 'Groups of equal requests with at least two attempts';
COMMENT ON COLUMN v1.stability_kpi.deterministic_groups IS 'Of these, with one distinct answer';
COMMENT ON COLUMN v1.stability_kpi.slo_determinism_groups IS 'Such groups of bucket logic under a fixed seed';
COMMENT ON COLUMN v1.stability_kpi.slo_deterministic_groups IS 'Of these, with one distinct answer';
COMMENT ON COLUMN v1.stability_kpi.sessions IS 'Sessions';
COMMENT ON COLUMN v1.stability_kpi.recommended_sessions IS 'Of these, with a recommendation';
COMMENT ON COLUMN v1.stability_kpi.determinism_rate_micro IS 'Deterministic groups / groups, 1e-6; NULL without any';
COMMENT ON COLUMN v1.stability_kpi.slo_determinism_rate_micro IS 'The same over bucket logic under a fixed seed, 1e-6';
COMMENT ON COLUMN v1.stability_kpi.missing_telemetry_rate_micro IS 'Attempts without full telemetry / attempts, 1e-6';
COMMENT ON COLUMN v1.stability_kpi.polluted_run_rate_micro IS 'Polluted attempts / attempts, 1e-6';
COMMENT ON COLUMN v1.stability_kpi.failed_run_rate_micro IS 'Failed attempts / attempts, 1e-6';
COMMENT ON COLUMN v1.stability_kpi.frontier_success_rate_micro IS 'Sessions with a recommendation / sessions, 1e-6';
COMMENT ON COLUMN v1.stability_kpi.slo IS 'Objectives by name, each with value, target and verdict; met is NULL when not measured';
COMMENT ON COLUMN v1.stability_kpi.slo_determinism_ppm IS 'Target: determinism must reach, ppm';
COMMENT ON COLUMN v1.stability_kpi.slo_frontier_ppm IS 'Target: sessions with a recommendation must reach, ppm';
COMMENT ON COLUMN v1.stability_kpi.slo_missing_telemetry_ppm IS 'Target: missing telemetry must stay below, ppm';
COMMENT ON COLUMN v1.stability_kpi.slo_polluted_ppm IS 'Target: polluted runs must stay below, ppm';

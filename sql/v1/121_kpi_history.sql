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
        TRY_CAST(sum(COLUMNS('^(.*_)?(attempts|runs|groups|sessions)$')) OVER onwards AS BIGINT)
            AS '\0',
        first_value(COLUMNS('^slo_.*_ppm$')) OVER onwards AS '\0'
    FROM kpis
    WINDOW onwards AS (
        ORDER BY started_at DESC, sweep_id DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)

SELECT
    * NOT SIMILAR TO 'slo_.*_ppm',
    unnest(v1.kpi_rates(totals)),
    v1.objectives(totals) AS slo
FROM totals;

COMMENT ON VIEW v1.kpi_history IS 'KPIs over the history from one sweep on. One row per sweep.';
COMMENT ON COLUMN v1.kpi_history.since_sweep_id IS 'The first sweep of this history';
COMMENT ON COLUMN v1.kpi_history.since IS 'Its start, UTC';
COMMENT ON COLUMN v1.kpi_history.sweeps IS 'Sweeps in it';

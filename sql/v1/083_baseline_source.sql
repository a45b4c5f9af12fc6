-- Grain: sweep x model x quant x test.
-- Inputs: v1.runs, v1.manifest, v1.session, v1.quant, raw.events.
-- Rules: what a stored baseline of this cell would be made of: its OK counting attempts.
-- A cell is appendable when each planned run has a CLEAN one, the sweep is finished and
-- the answers were checked; an append against that is an override and says its reason.
-- Medians by nearest rank. Memory is the peak of the serving process.

CREATE VIEW v1.baseline_source AS
WITH finished AS (
    SELECT DISTINCT sweep_id
    FROM raw.events
    WHERE event = 'SWEEP_FINISHED'
),

timed AS (
    SELECT
        *,
        quantile_disc(wall_ns, 0.5) FILTER (WHERE outcome = 'OK') OVER (
            PARTITION BY sweep_id, model_id, quant_tag, test_id
        ) AS median_ns
    FROM v1.runs
    WHERE phase = 'matrix'
),

cells AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        min(order_index) AS first_order_index,
        min(task_revision) AS task_revision,
        count(DISTINCT task_revision) AS revisions,
        count(*) AS planned_runs,
        count(*) FILTER (WHERE outcome = 'OK') AS runs,
        count(*) FILTER (WHERE outcome = 'OK' AND run_quality_status = 'CLEAN')
            AS clean_runs,
        count(*) FILTER (WHERE outcome = 'OK' AND run_quality_status = 'POLLUTED')
            AS polluted_runs,
        list_sort(list(run_id) FILTER (WHERE outcome = 'OK')) AS source_run_ids,
        TRY_CAST(sum(checks_passed) FILTER (WHERE outcome = 'OK') AS BIGINT)
            AS checks_passed,
        TRY_CAST(sum(checks_total) FILTER (WHERE outcome = 'OK') AS BIGINT) AS checks_total,
        min(median_ns) AS latency_median_ns,
        quantile_disc(abs(wall_ns - median_ns), 0.5) FILTER (WHERE outcome = 'OK')
            AS latency_mad_ns,
        CASE
            WHEN
                count(peak_server_rss_bytes) FILTER (WHERE outcome = 'OK') > 0
                OR count(peak_gpu_memory_bytes) FILTER (WHERE outcome = 'OK') > 0
                THEN coalesce(
                    max(peak_server_rss_bytes) FILTER (WHERE outcome = 'OK'), 0
                )
                + coalesce(max(peak_gpu_memory_bytes) FILTER (WHERE outcome = 'OK'), 0)
            ELSE max(reported_model_bytes) FILTER (WHERE outcome = 'OK')
        END AS memory_bytes,
        max(recorded_at) FILTER (WHERE outcome = 'OK') AS measured_at
    FROM timed
    GROUP BY sweep_id, model_id, quant_tag, test_id
),

judged AS (
    SELECT
        cells.*,
        v1.codes([
            if(cells.runs < cells.planned_runs, 'INCOMPLETE', NULL),
            if(cells.polluted_runs > 0, 'NOT_CLEAN', NULL),
            if(coalesce(cells.checks_total, 0) = 0, 'NO_CHECKS', NULL),
            if(cells.revisions > 1, 'MIXED_REVISIONS', NULL),
            if(
                finished.sweep_id IS NULL AND manifest.kind <> 'INGEST',
                'SWEEP_NOT_FINISHED',
                NULL
            )
        ]) AS blocked_reasons,
        manifest.hardware_fingerprint,
        manifest.fingerprint_version,
        session.control_profile,
        session.controls,
        quant.model_digest
    FROM cells
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag)
    LEFT JOIN finished USING (sweep_id)
)

SELECT
    * EXCLUDE (revisions, blocked_reasons),
    CASE
        WHEN runs > 0 THEN if(clean_runs = runs, 'CLEAN', 'POLLUTED')
    END AS run_quality_status,
    len(blocked_reasons) = 0 AS appendable,
    blocked_reasons
FROM judged;

COMMENT ON VIEW v1.baseline_source IS 'What a stored baseline of each cell would be made of. One row per sweep, model, quant and test.';
COMMENT ON COLUMN v1.baseline_source.first_order_index IS 'Place of its first run in the plan';
COMMENT ON COLUMN v1.baseline_source.hardware_fingerprint IS 'Machine of the sweep';
COMMENT ON COLUMN v1.baseline_source.control_profile IS 'Control profile of the session';
COMMENT ON COLUMN v1.baseline_source.planned_runs IS 'Planned runs of the cell';
COMMENT ON COLUMN v1.baseline_source.clean_runs IS 'Of these, OK and CLEAN';
COMMENT ON COLUMN v1.baseline_source.polluted_runs IS 'Of these, OK and POLLUTED';
COMMENT ON COLUMN v1.baseline_source.runs IS 'Of these, OK: the runs the figures are made of';
COMMENT ON COLUMN v1.baseline_source.source_run_ids IS 'These runs, sorted';
COMMENT ON COLUMN v1.baseline_source.checks_passed IS 'Checks passed, summed over them';
COMMENT ON COLUMN v1.baseline_source.checks_total IS 'Checks tried, summed over them';
COMMENT ON COLUMN v1.baseline_source.latency_median_ns IS 'Median wall time, nearest rank, ns';
COMMENT ON COLUMN v1.baseline_source.latency_mad_ns IS 'Median absolute deviation of it, nearest rank, ns';
COMMENT ON COLUMN v1.baseline_source.memory_bytes IS 'Peak memory of the serving process, else the size it reports, bytes';
COMMENT ON COLUMN v1.baseline_source.measured_at IS 'When the newest of them was recorded, UTC';
COMMENT ON COLUMN v1.baseline_source.run_quality_status IS 'CLEAN when every one is, else POLLUTED; NULL without any';
COMMENT ON COLUMN v1.baseline_source.appendable IS 'Whether it may be stored without an override';
COMMENT ON COLUMN v1.baseline_source.blocked_reasons IS 'Why not: INCOMPLETE, MIXED_REVISIONS, NO_CHECKS, NOT_CLEAN, SWEEP_NOT_FINISHED';

-- Grain: sweep x model x quant x test that a stored baseline could stand for.
-- Inputs: v1.baseline_cell, v1.baseline_pin, v1.baseline_prune, v1.reason, raw.events.
-- Rules: the candidate of v1.baseline_candidate whose nearness is 1, found without
-- pairing each cell with every append. Of appends that are alike in all that matching
-- reads, the newest is the nearest: one is enough for them all. An append that is set
-- apart (by a prune, by a pin, or because its own sweep may read it) stands for itself.

CREATE VIEW v1.baseline_nearest AS
WITH once AS (
    -- Hashing every row would cost more than all that follows; few stand twice.
    SELECT event_id
    FROM raw.events
    WHERE event = 'BASELINE_APPEND'
    GROUP BY event_id
    HAVING count(*) = 1
),

appends AS (
    SELECT events.*
    FROM raw.events AS events
    SEMI JOIN once USING (event_id)
    SEMI JOIN v1.baseline_cell USING (test_id)
    WHERE events.event = 'BASELINE_APPEND'
    UNION ALL
    SELECT events.*
    FROM raw.events AS events
    ANTI JOIN once USING (event_id)
    WHERE events.event = 'BASELINE_APPEND'
    QUALIFY
        row_number() OVER (
            PARTITION BY event_id ORDER BY recorded_at, sha256(CAST(events AS VARCHAR))
        ) = 1
),

moments AS (
    SELECT DISTINCT
        sweep_id,
        test_id,
        folded_at
    FROM v1.baseline_cell
),

pruned AS (
    SELECT DISTINCT
        moments.sweep_id,
        prune.target_event_id
    FROM (SELECT DISTINCT sweep_id, folded_at FROM v1.baseline_cell) AS moments
    INNER JOIN v1.baseline_prune AS prune
        ON v1.prune_is_in_force(prune, moments.folded_at)
),

set_apart AS (
    SELECT target_event_id AS event_id
    FROM v1.baseline_prune
    UNION
    SELECT target_event_id
    FROM raw.events
    WHERE event = 'BASELINE_PIN'
    UNION
    SELECT appends.event_id
    FROM appends
    INNER JOIN moments USING (sweep_id)
    WHERE appends.recorded_at <= moments.folded_at
),

alike AS (
    SELECT
        *,
        min(event_id) OVER identity AS identity_id,
        row_number() OVER (
            identity ORDER BY measured_at DESC NULLS LAST, source_run_ids[1], event_id
        ) AS newness
    FROM appends
    ANTI JOIN set_apart USING (event_id)
    WINDOW identity AS (
        PARTITION BY
            test_id,
            hardware_fingerprint,
            fingerprint_version,
            task_revision,
            model_id,
            quant_tag,
            model_digest,
            run_quality_status
    )
),

newest AS (
    -- From each append on: the newest of those alike that were there by then.
    SELECT DISTINCT
        identity_id,
        recorded_at,
        min(newness) OVER (
            PARTITION BY identity_id
            ORDER BY recorded_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS newness
    FROM alike
),

reached AS (
    SELECT
        looks.sweep_id,
        looks.test_id,
        looks.identity_id,
        newest.newness
    FROM (
        SELECT
            moments.sweep_id,
            moments.test_id,
            moments.folded_at,
            identities.identity_id
        FROM moments
        INNER JOIN (SELECT DISTINCT test_id, identity_id FROM alike) AS identities
            USING (test_id)
    ) AS looks
    ASOF INNER JOIN newest
        ON newest.identity_id = looks.identity_id
        AND newest.recorded_at <= looks.folded_at
),

in_reach AS (
    SELECT
        reached.sweep_id AS for_sweep_id,
        alike.* EXCLUDE (identity_id, newness)
    FROM reached
    INNER JOIN alike
        ON alike.identity_id = reached.identity_id
        AND alike.newness = reached.newness
    UNION ALL
    SELECT
        moments.sweep_id AS for_sweep_id,
        record.*
    FROM appends AS record
    SEMI JOIN set_apart USING (event_id)
    INNER JOIN moments
        ON moments.test_id = record.test_id
        AND record.recorded_at <= moments.folded_at
        AND record.sweep_id IS DISTINCT FROM moments.sweep_id
    LEFT JOIN pruned
        ON pruned.sweep_id = moments.sweep_id
        AND pruned.target_event_id = record.event_id
    WHERE pruned.target_event_id IS NULL
),

staged AS (
    SELECT
        cells.sweep_id,
        cells.model_id,
        cells.quant_tag,
        cells.test_id,
        unnest(v1.baseline_held(cells, record, ruling.target_event_id)),
        v1.baseline_figures(record) AS figures
    FROM v1.baseline_cell AS cells
    LEFT JOIN v1.baseline_pin AS ruling USING (sweep_id, model_id, quant_tag, test_id)
    INNER JOIN in_reach AS record
        ON record.for_sweep_id = cells.sweep_id
        AND record.test_id = cells.test_id
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    test_id,
    event_id,
    stage = 9 AS chosen,
    if(stage = 1, 'PIN', reason.code) AS dropped_by,
    differing,
    same_controls,
    pinned,
    bool_or(pinned) OVER (PARTITION BY sweep_id, model_id, quant_tag, test_id)
        AS has_pinned,
    measured_at,
    age_us,
    unnest(figures)
FROM staged
LEFT JOIN v1.reason AS reason
    ON reason.scope = 'baseline' AND reason.signal = v1.baseline_stage_signal(stage)
QUALIFY
    row_number() OVER (
        PARTITION BY sweep_id, model_id, quant_tag, test_id
        ORDER BY
            stage DESC,
            measured_at DESC NULLS LAST,
            figures.source_run_ids[1],
            event_id
    ) = 1;

COMMENT ON VIEW v1.baseline_nearest IS
    'The stored baseline nearest to each cell, and why it is not its baseline';
COMMENT ON COLUMN v1.baseline_nearest.event_id IS 'The append';
COMMENT ON COLUMN v1.baseline_nearest.chosen IS 'It is the baseline of this cell';
COMMENT ON COLUMN v1.baseline_nearest.dropped_by IS 'The stage that takes it out';
COMMENT ON COLUMN v1.baseline_nearest.differing IS 'Facts that differ, sorted';
COMMENT ON COLUMN v1.baseline_nearest.same_controls IS 'Profile and controls are the same';
COMMENT ON COLUMN v1.baseline_nearest.pinned IS 'A pin names it';
COMMENT ON COLUMN v1.baseline_nearest.has_pinned IS 'The pinned baseline of the cell is there';
COMMENT ON COLUMN v1.baseline_nearest.measured_at IS 'When it was measured, UTC';
COMMENT ON COLUMN v1.baseline_nearest.age_us IS 'Its age at the start of the sweep, us';
COMMENT ON COLUMN v1.baseline_nearest.source_run_ids IS 'Runs it is made of';
COMMENT ON COLUMN v1.baseline_nearest.runs IS 'Number of them';
COMMENT ON COLUMN v1.baseline_nearest.checks_passed IS 'Checks passed over them';
COMMENT ON COLUMN v1.baseline_nearest.checks_total IS 'Checks tried over them';
COMMENT ON COLUMN v1.baseline_nearest.latency_median_ns IS 'Median wall time, ns';
COMMENT ON COLUMN v1.baseline_nearest.latency_mad_ns IS 'Median absolute deviation of it, ns';
COMMENT ON COLUMN v1.baseline_nearest.memory_bytes IS 'Peak memory, bytes';

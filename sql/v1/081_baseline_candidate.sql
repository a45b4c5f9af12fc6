-- Grain: sweep x model x quant x test x stored baseline of that test.
-- Inputs: v1.baseline_cell, v1.baseline_pin, v1.baseline_prune, v1.reason, raw.events.
-- Rules: events are folded up to the sweep's own start (or as_of), so that a later pin or
-- prune does not change an old summary; a sweep is never its own baseline. Candidates
-- narrow stage by stage; dropped_by is the first stage that takes one out. A pin of the
-- same test, model, quant and machine restricts the candidates first. The newest wins.

CREATE VIEW v1.baseline_candidate AS
WITH appends AS (
    SELECT *
    FROM raw.events AS events
    WHERE event = 'BASELINE_APPEND'
    QUALIFY
        row_number() OVER (
            PARTITION BY event_id ORDER BY recorded_at, sha256(CAST(events AS VARCHAR))
        ) = 1
),

pruned AS (
    SELECT DISTINCT
        moments.sweep_id,
        prune.target_event_id
    FROM (SELECT DISTINCT sweep_id, folded_at FROM v1.baseline_cell) AS moments
    INNER JOIN v1.baseline_prune AS prune
        ON v1.prune_is_in_force(prune, moments.folded_at)
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
    INNER JOIN appends AS record
        ON record.test_id = cells.test_id
        AND record.recorded_at <= cells.folded_at
        AND record.sweep_id IS DISTINCT FROM cells.sweep_id
    LEFT JOIN pruned
        ON pruned.sweep_id = cells.sweep_id
        AND pruned.target_event_id = record.event_id
    WHERE pruned.target_event_id IS NULL
),

ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag, test_id
            ORDER BY
                stage DESC,
                measured_at DESC NULLS LAST,
                figures.source_run_ids[1],
                event_id
        ) AS nearness
    FROM staged
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    test_id,
    event_id,
    nearness = 1 AND stage = 9 AS chosen,
    CASE
        WHEN stage = 1 THEN 'PIN'
        WHEN stage < 9 THEN reason.code
        WHEN nearness > 1 THEN 'OLDER'
    END AS dropped_by,
    differing,
    same_controls,
    pinned,
    measured_at,
    age_us,
    nearness,
    unnest(figures)
FROM ranked
LEFT JOIN v1.reason AS reason
    ON reason.scope = 'baseline' AND reason.signal = v1.baseline_stage_signal(stage);

COMMENT ON VIEW v1.baseline_candidate IS 'The stored baselines of each test, and what took each out. One row per sweep, model, quant, test and stored baseline.';
COMMENT ON COLUMN v1.baseline_candidate.event_id IS 'The stored baseline (its append)';
COMMENT ON COLUMN v1.baseline_candidate.chosen IS 'This is the matched baseline';
COMMENT ON COLUMN v1.baseline_candidate.dropped_by IS 'The first stage that takes it out: PIN, a code of scope baseline in v1.reason, or OLDER than the chosen one';
COMMENT ON COLUMN v1.baseline_candidate.differing IS 'Fields that differ from this cell, sorted';
COMMENT ON COLUMN v1.baseline_candidate.same_controls IS 'Controls and their profile are the same';
COMMENT ON COLUMN v1.baseline_candidate.pinned IS 'Pinned at the sweep''s start';
COMMENT ON COLUMN v1.baseline_candidate.measured_at IS 'When it was measured, UTC';
COMMENT ON COLUMN v1.baseline_candidate.age_us IS 'Age at the sweep''s start, us';
COMMENT ON COLUMN v1.baseline_candidate.nearness IS '1 = nearest candidate of the cell';
COMMENT ON COLUMN v1.baseline_candidate.source_run_ids IS 'Runs it is made of';
COMMENT ON COLUMN v1.baseline_candidate.runs IS 'Number of them';
COMMENT ON COLUMN v1.baseline_candidate.checks_passed IS 'Checks passed over them';
COMMENT ON COLUMN v1.baseline_candidate.checks_total IS 'Checks tried over them';
COMMENT ON COLUMN v1.baseline_candidate.latency_median_ns IS 'Median wall time, ns';
COMMENT ON COLUMN v1.baseline_candidate.latency_mad_ns IS 'Median absolute deviation of it, ns';
COMMENT ON COLUMN v1.baseline_candidate.memory_bytes IS 'Peak memory, bytes';

-- Grain: attempt of the matrix that was answered.
-- Inputs: v1.attempts, v1.runs, v1.run_quality.
-- Rules: every run as a point, none left out. A polluted one is marked with its leading
-- reason: of those that hold, the one that holds for the most attempts of the sweep, then
-- the first by name. COUNTS is a run in the aggregates, SPARE a clean one beside another
-- attempt that counts.

CREATE VIEW v1.run_point AS
WITH points AS (
    SELECT
        attempts.sweep_id,
        attempts.model_id,
        attempts.quant_tag,
        attempts.test_id,
        attempts.run_id,
        attempts.attempt_id,
        attempts.repetition,
        attempts.order_index,
        attempts.attempt_number,
        attempts.wall_ns,
        quality.run_quality_status,
        quality.run_quality_reasons,
        coalesce(runs.is_valid AND runs.attempt_id = attempts.attempt_id, false) AS counts
    FROM v1.attempts AS attempts
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
    LEFT JOIN v1.runs AS runs
        ON runs.sweep_id = attempts.sweep_id AND runs.run_id = attempts.run_id
    WHERE attempts.phase = 'matrix' AND attempts.outcome = 'OK'
),

named AS (
    SELECT sweep_id, attempt_id, unnest(run_quality_reasons) AS reason
    FROM points
    WHERE run_quality_status = 'POLLUTED'
),

foremost AS (
    SELECT
        sweep_id,
        attempt_id,
        reason,
        row_number() OVER (
            PARTITION BY sweep_id, attempt_id ORDER BY holds DESC, reason
        ) AS place
    FROM (
        SELECT *, count(*) OVER (PARTITION BY sweep_id, reason) AS holds
        FROM named
    )
)

SELECT
    points.* EXCLUDE (counts),
    CASE
        WHEN points.run_quality_status = 'POLLUTED' THEN foremost.reason
    END AS leading_reason,
    points.counts,
    CASE
        WHEN points.run_quality_status = 'POLLUTED' THEN 'POLLUTED'
        WHEN points.counts THEN 'COUNTS'
        ELSE 'SPARE'
    END AS mark
FROM points
LEFT JOIN foremost
    ON foremost.sweep_id = points.sweep_id
    AND foremost.attempt_id = points.attempt_id
    AND foremost.place = 1;

COMMENT ON VIEW v1.run_point IS 'Every answered run as a point. One row per answered attempt of the matrix.';
COMMENT ON COLUMN v1.run_point.leading_reason IS 'Of its polluting reasons, the one that most attempts of the sweep have; NULL of a clean one';
COMMENT ON COLUMN v1.run_point.counts IS 'It counts in the aggregates';
COMMENT ON COLUMN v1.run_point.mark IS 'POLLUTED, else COUNTS or SPARE';

-- Grain: pair of sweeps x model x quant of both x task asked in both.
-- Inputs: v1.diff_fact, v1.task_aggregate, v1.task_standing, v1.planned_run.
-- Rules: a task is shared where both sweeps asked this quant the same revision of it and its
-- checks could be run in both. It is paired where both have a verdict on it, each by its own
-- rule for which runs count. LOST: the first passes it and the second does not.

CREATE VIEW v1.diff_task AS
WITH models AS (
    SELECT DISTINCT before_sweep, after_sweep, model_id, after_model FROM v1.diff_fact
),

verdicts AS (
    SELECT
        *,
        if(is_covered AND adherence_nano IS NOT NULL, is_passed, NULL) AS verdict,
        if(is_covered, adherence_nano, NULL) AS judged_nano
    FROM v1.task_aggregate
    INNER JOIN v1.task_standing USING (sweep_id, model_id, test_id)
    WHERE is_asked AND NOT is_unsupported
),

families AS (
    SELECT DISTINCT sweep_id, test_id, family FROM v1.planned_run
)

SELECT
    models.before_sweep,
    models.after_sweep,
    models.model_id,
    models.after_model,
    old.quant_tag,
    old.test_id,
    coalesce(families.family, old.test_id) AS family,
    old.verdict AS before_passed,
    new.verdict AS after_passed,
    old.judged_nano AS before_adherence_nano,
    new.judged_nano AS after_adherence_nano,
    old.verdict IS NOT NULL AND new.verdict IS NOT NULL AS is_paired,
    new.ok_runs = 0 AND new.failed_runs > 0 AS fails_to_answer,
    CASE
        WHEN old.verdict AND NOT new.verdict THEN 'LOST'
        WHEN NOT old.verdict AND new.verdict THEN 'GAINED'
        WHEN old.verdict = new.verdict THEN 'SAME'
    END AS change
FROM models
INNER JOIN verdicts AS old
    ON old.sweep_id = models.before_sweep AND old.model_id = models.model_id
INNER JOIN verdicts AS new
    ON new.sweep_id = models.after_sweep
    AND new.model_id = models.after_model
    AND new.quant_tag = old.quant_tag
    AND new.test_id = old.test_id
    AND new.task_revision = old.task_revision
LEFT JOIN families
    ON families.sweep_id = models.after_sweep AND families.test_id = old.test_id;

COMMENT ON VIEW v1.diff_task IS 'Each task of each quant in two sweeps. One row per pair, model, quant and shared task.';
COMMENT ON COLUMN v1.diff_task.family IS 'Family of the task; the task itself where none is declared';
COMMENT ON COLUMN v1.diff_task.before_passed IS 'The first sweep passes it; NULL without a verdict';
COMMENT ON COLUMN v1.diff_task.after_passed IS 'The second sweep passes it; NULL without a verdict';
COMMENT ON COLUMN v1.diff_task.is_paired IS 'Both have a verdict';
COMMENT ON COLUMN v1.diff_task.fails_to_answer IS 'Every call of the second sweep failed';
COMMENT ON COLUMN v1.diff_task.change IS 'LOST, GAINED or SAME; NULL where one has no verdict';
COMMENT ON COLUMN v1.diff_task.before_adherence_nano IS 'Adherence in the first sweep, 1e-9; NULL without enough valid runs';
COMMENT ON COLUMN v1.diff_task.after_adherence_nano IS 'Adherence in the second sweep, 1e-9; NULL without enough valid runs';

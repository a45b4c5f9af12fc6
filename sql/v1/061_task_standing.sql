-- Grain: sweep x model x task.
-- Inputs: v1.task_aggregate.
-- Rules: all quants are compared over the same tasks. A task whose check could not be run on
-- the answers of one quant is left out of every quant's adherence. A quant that could not
-- be checked on any task takes none away: its own adherence is unknown.

CREATE VIEW v1.task_standing AS
WITH tasks AS (
    SELECT
        *,
        adherence_nano IS NOT NULL AND coalesce(checks_unsupported, 0) = 0 AS is_checked
    FROM v1.task_aggregate
),

quants AS (
    SELECT sweep_id, model_id, quant_tag, bool_or(is_checked) AS is_checkable
    FROM tasks
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    test_id,
    bool_or(quants.is_checkable AND tasks.valid_runs > 0 AND NOT tasks.is_checked)
    AND (bool_or(tasks.is_checked) OR coalesce(sum(tasks.checks_unsupported), 0) > 0)
        AS is_unsupported
FROM tasks
INNER JOIN quants USING (sweep_id, model_id, quant_tag)
GROUP BY ALL;

COMMENT ON VIEW v1.task_standing IS 'Whether a task counts, the same for all quants. One row per sweep, model and task.';
COMMENT ON COLUMN v1.task_standing.is_unsupported IS 'A check could not be run on the answers of some quant: left out of every quant''s adherence';

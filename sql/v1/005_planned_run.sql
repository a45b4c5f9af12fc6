-- Grain: planned run.
-- Inputs: v1.manifest.
-- Rules: the plan of the ruling manifest, one row per entry, with its task.

CREATE VIEW v1.planned_run AS
WITH tasks AS (
    SELECT
        manifest.sweep_id,
        task.entry.test_id AS test_id,
        task.entry.bank AS bank,
        task.entry.task_id AS task_id,
        task.entry.bucket AS bucket,
        task.entry.tier AS tier,
        task.entry.family AS family,
        task.entry.task_revision AS task_revision
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.tasks) AS task (entry)
)

SELECT
    manifest.sweep_id,
    planned.entry.run_id AS run_id,
    planned.entry.order_index AS order_index,
    planned.entry.phase AS phase,
    planned.entry.model_id AS model_id,
    planned.entry.quant_tag AS quant_tag,
    planned.entry.test_id AS test_id,
    tasks.bank,
    tasks.task_id,
    tasks.bucket,
    tasks.tier,
    tasks.family,
    tasks.task_revision,
    planned.entry.repetition AS repetition,
    planned.entry.block_index AS block_index
FROM v1.manifest AS manifest
CROSS JOIN unnest(manifest.plan) AS planned (entry)
LEFT JOIN tasks
    ON tasks.sweep_id = manifest.sweep_id
    AND tasks.test_id = planned.entry.test_id;

COMMENT ON VIEW v1.planned_run IS 'The plan of each sweep. One row per planned run.';
COMMENT ON COLUMN v1.planned_run.run_id IS 'Hash of the planned run''s identity';
COMMENT ON COLUMN v1.planned_run.order_index IS 'Place in the order of execution';
COMMENT ON COLUMN v1.planned_run.phase IS 'warmup, canary, matrix or repeat';
COMMENT ON COLUMN v1.planned_run.model_id IS 'Model';
COMMENT ON COLUMN v1.planned_run.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.planned_run.test_id IS 'bank/task';
COMMENT ON COLUMN v1.planned_run.bank IS 'Task bank';
COMMENT ON COLUMN v1.planned_run.task_id IS 'Task';
COMMENT ON COLUMN v1.planned_run.bucket IS 'logic, refactor or mixed';
COMMENT ON COLUMN v1.planned_run.tier IS 'Difficulty, 1 to 3';
COMMENT ON COLUMN v1.planned_run.family IS
    'Tasks of one template or skill share it; NULL: the task is its own';
COMMENT ON COLUMN v1.planned_run.task_revision IS 'Hash of the task''s content';
COMMENT ON COLUMN v1.planned_run.repetition IS 'From 1';
COMMENT ON COLUMN v1.planned_run.block_index IS 'Block';

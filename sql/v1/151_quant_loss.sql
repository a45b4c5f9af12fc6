-- Grain: sweep x model x quant x family of tasks.
-- Inputs: v1.task_answer.
-- Rules: where a quant loses against the reference, and where it gains. A task without
-- a family is of its bucket. Only tasks with a verdict on both sides are counted. Of the
-- lost ones, those whose answer is damaged in its form stand apart from those with the
-- wrong content.

CREATE VIEW v1.quant_loss AS
SELECT
    sweep_id,
    model_id,
    quant_tag,
    coalesce(family, bucket) AS family,
    count(*) AS tasks,
    count(*) FILTER (WHERE change = 'LOST') AS lost_tasks,
    count(*) FILTER (WHERE change = 'GAINED') AS gained_tasks,
    count(*) FILTER (WHERE change = 'LOST' AND damage_kind = 'FORMAT') AS lost_by_format,
    count(*) FILTER (WHERE change = 'LOST' AND damage_kind = 'CONTENT') AS lost_by_content
FROM v1.task_answer
WHERE change IS NOT NULL
GROUP BY ALL;

COMMENT ON VIEW v1.quant_loss IS 'What a quant loses and gains against the reference, by family. One row per sweep, model, quant and family.';
COMMENT ON COLUMN v1.quant_loss.family IS 'Family of the tasks; their bucket where none is declared';
COMMENT ON COLUMN v1.quant_loss.tasks IS 'Tasks with a verdict on both sides';
COMMENT ON COLUMN v1.quant_loss.lost_tasks IS 'Of these, passed by the reference only';
COMMENT ON COLUMN v1.quant_loss.gained_tasks IS 'Of these, passed by this quant only';
COMMENT ON COLUMN v1.quant_loss.lost_by_format IS 'Of the lost ones, with an answer that is damaged in its form';
COMMENT ON COLUMN v1.quant_loss.lost_by_content IS 'Of the lost ones, with an answer of the wrong content';

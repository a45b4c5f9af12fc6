-- Grain: adherence threshold x correlation x number of tasks of one family.
-- Inputs: v1.policy (which thresholds are in force), raw.family (made from them).
-- Rules: tasks of one family tend to be lost together, so that the next one says less than
-- the one before. Where a quant keeps exactly the threshold and two tasks of a family are
-- lost with this correlation (beta-binomial), so many tasks of it are all kept as often as
-- worth_micro / 1e6 tasks that fail by themselves.

CREATE VIEW v1.family_table AS
SELECT
    adherence_threshold_ppm,
    family_correlation_ppm,
    tasks,
    worth_micro
FROM raw.family
SEMI JOIN v1.policy USING (adherence_threshold_ppm, family_correlation_ppm);

COMMENT ON VIEW v1.family_table IS 'What tasks of one family are worth as evidence. One row per threshold, correlation and number of tasks.';
COMMENT ON COLUMN v1.family_table.adherence_threshold_ppm IS 'Share of the reference''s tasks to keep, ppm';
COMMENT ON COLUMN v1.family_table.family_correlation_ppm IS 'Correlation of the losses of two tasks of one family, ppm';
COMMENT ON COLUMN v1.family_table.tasks IS 'Tasks of the family that the reference passes';
COMMENT ON COLUMN v1.family_table.worth_micro IS 'Tasks of their own that say as much, 1e-6';

-- Grain: adherence threshold x level x worth of the tasks x tasks x tasks asked.
-- Inputs: v1.bank_worth (which thresholds are in force), raw.reach (made from them).
-- Rules: of an adaptive sweep. Tasks are asked in an order that no answer has a say in, so
-- that those asked are a fair sample of all. If the reference would pass as many of them
-- as a proof takes at least (least_passes: what it takes without a loss, where each is worth
-- a whole one), it would ever pass at most most_passes of those asked, at any look, in at
-- most so many of all sweeps as the level allows. Where it passed no more, the proof is
-- taken for out of reach.

CREATE VIEW v1.reach_table AS
SELECT
    adherence_threshold_ppm,
    evidence_level_ppm,
    worth_tasks,
    tasks,
    least_passes,
    asked_tasks,
    most_passes
FROM raw.reach
SEMI JOIN v1.bank_worth
    USING (adherence_threshold_ppm, evidence_level_ppm, worth_tasks, tasks);

COMMENT ON VIEW v1.reach_table IS 'With how few passes so far the reference will hardly pass as many tasks as a proof takes. One row per threshold, level, worth of the tasks, number of tasks and of those asked.';
COMMENT ON COLUMN v1.reach_table.worth_tasks IS 'What the planned tasks are worth';
COMMENT ON COLUMN v1.reach_table.least_passes IS 'Tasks that the reference must pass at least, for any proof';
COMMENT ON COLUMN v1.reach_table.asked_tasks IS 'Tasks it was asked so far';
COMMENT ON COLUMN v1.reach_table.most_passes IS 'So many passes of these, or fewer, put every proof out of reach';

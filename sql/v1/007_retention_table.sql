-- Grain: adherence threshold x level x number of claims x losses.
-- Inputs: v1.policy (which thresholds are in force), raw.retention (made from them).
-- Rules: a quant that loses so many of the tasks that the reference passes is proven
-- to keep the threshold when the reference passes at least least_passes: a quant that
-- keeps less would lose so few with a chance of at most level / claims. Exact binomial
-- tails; a number of losses beyond the last row proves nothing.

CREATE VIEW v1.retention_table AS
SELECT
    adherence_threshold_ppm,
    evidence_level_ppm,
    claims,
    losses,
    least_passes,
    powered_loss_ppm
FROM raw.retention
SEMI JOIN v1.policy USING (adherence_threshold_ppm, evidence_level_ppm);

COMMENT ON VIEW v1.retention_table IS 'How many tasks prove that a quant keeps the threshold. One row per threshold, level, number of claims and losses.';
COMMENT ON COLUMN v1.retention_table.adherence_threshold_ppm IS 'Share of the reference''s tasks to keep, ppm';
COMMENT ON COLUMN v1.retention_table.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.retention_table.claims IS 'Claims that share this chance equally';
COMMENT ON COLUMN v1.retention_table.losses IS 'Tasks that the reference passes and this one does not';
COMMENT ON COLUMN v1.retention_table.least_passes IS 'Tasks that the reference must pass, the lost ones included';
COMMENT ON COLUMN v1.retention_table.powered_loss_ppm IS 'True loss rate at which so many tasks prove it in 80 % of sweeps, ppm; for one claim only';

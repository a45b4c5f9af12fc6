-- Grain: adherence threshold x level x number of tasks x shares x looks x losses.
-- Inputs: v1.policy (which thresholds are in force), raw.proof (made from them).
-- Rules: of an adaptive sweep, which is looked at after every round. A quant with so many
-- losses is proven to keep the threshold when the baseline quant passes at least
-- least_passes: one that keeps less would ever come so far in at most level / shares of all
-- sweeps. A number of losses beyond the last row proves nothing.

CREATE VIEW v1.proof_table AS
SELECT
    adherence_threshold_ppm,
    evidence_level_ppm,
    tasks,
    shares,
    looks,
    losses,
    least_passes
FROM raw.proof
SEMI JOIN v1.policy USING (adherence_threshold_ppm, evidence_level_ppm);

COMMENT ON VIEW v1.proof_table IS 'How many passes prove retention at every look of an adaptive sweep. One row per threshold, level, number of tasks, shares, looks and losses.';
COMMENT ON COLUMN v1.proof_table.adherence_threshold_ppm IS 'Share of the baseline quant''s tasks to keep, ppm';
COMMENT ON COLUMN v1.proof_table.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.proof_table.tasks IS 'Planned tasks, which say when the last look is due';
COMMENT ON COLUMN v1.proof_table.shares IS 'Parts into which the chance of error is divided';
COMMENT ON COLUMN v1.proof_table.looks IS 'Numbers of losses that it allows at most';
COMMENT ON COLUMN v1.proof_table.losses IS 'Tasks that the baseline quant passes and this one does not';
COMMENT ON COLUMN v1.proof_table.least_passes IS 'Tasks that the baseline quant must pass, the lost ones included';

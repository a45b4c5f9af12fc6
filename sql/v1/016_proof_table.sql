-- Grain: adherence threshold x level x worth of the tasks x shares x losses.
-- Inputs: v1.bank_worth (which thresholds are in force), raw.proof (made from them).
-- Rules: of an adaptive sweep, which is looked at after every round. A quant with so many
-- losses is proven to keep the threshold when the reference passes at least
-- least_passes, counted by what they are worth: one that keeps less would ever come so far
-- in at most level / shares of all sweeps. A number of losses beyond the last row proves
-- nothing.

CREATE VIEW v1.proof_table AS
SELECT
    adherence_threshold_ppm,
    evidence_level_ppm,
    tasks,
    shares,
    losses,
    least_passes
FROM raw.proof
SEMI JOIN v1.bank_worth USING (adherence_threshold_ppm, evidence_level_ppm);

COMMENT ON VIEW v1.proof_table IS 'How many passes prove retention at every look of an adaptive sweep. One row per threshold, level, worth of the tasks, shares and losses.';
COMMENT ON COLUMN v1.proof_table.tasks IS 'What the planned tasks are worth, which says when the last look is due';
COMMENT ON COLUMN v1.proof_table.shares IS 'Parts into which the chance of error is divided';
COMMENT ON COLUMN v1.proof_table.losses IS 'Tasks that the reference passes and this one does not';
COMMENT ON COLUMN v1.proof_table.least_passes IS 'Tasks that the reference must pass, the lost ones included';

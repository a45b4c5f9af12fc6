-- Grain: level x number of claims.
-- Inputs: v1.policy (which levels are in force), raw.evidence_level.
-- Rules: several claims about one sweep share its chance of error; claims is by how many
-- it is divided. A bet proves a claim when one of its stakes alone gains this logarithm.

CREATE VIEW v1.evidence_level AS
SELECT
    evidence_level_ppm,
    claims,
    bet_needed_nano
FROM raw.evidence_level
SEMI JOIN v1.policy USING (evidence_level_ppm);

COMMENT ON VIEW v1.evidence_level IS 'What a bet must gain. One row per level and number of claims.';
COMMENT ON COLUMN v1.evidence_level.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.evidence_level.claims IS 'Claims that share this chance equally';
COMMENT ON COLUMN v1.evidence_level.bet_needed_nano IS 'Logarithm that proves a claim, 1e-9';

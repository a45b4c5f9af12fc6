-- Grain: level x untied pairs.
-- Inputs: v1.policy (which levels are in force), raw.sign (made from them).
-- Rules: a quant that wins least_wins or more of so many pairs is not merely lucky: a fair
-- coin does so with a chance of at most the level. Fewer pairs than in any row prove nothing.

CREATE VIEW v1.sign_table AS
SELECT
    evidence_level_ppm,
    pairs,
    least_wins
FROM raw.sign
SEMI JOIN v1.policy USING (evidence_level_ppm);

COMMENT ON VIEW v1.sign_table IS 'How many pairs must be won. One row per level and number of untied pairs.';
COMMENT ON COLUMN v1.sign_table.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.sign_table.pairs IS 'Pairs without a tie';
COMMENT ON COLUMN v1.sign_table.least_wins IS 'Wins that are enough';

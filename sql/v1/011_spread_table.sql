-- Grain: level x degrees of freedom.
-- Inputs: v1.policy (which levels are in force), raw.spread (made from them).
-- Rules: what an observed variation can tell: the one-sided quantile of Student's t at the
-- level, and the factor to the bound that the true variation exceeds in one of twenty
-- cases (chi-square). Rounded up; beyond the last row the last row counts.

CREATE VIEW v1.spread_table AS
SELECT
    evidence_level_ppm,
    degrees,
    t_milli,
    upper_milli
FROM raw.spread
SEMI JOIN v1.policy USING (evidence_level_ppm);

COMMENT ON VIEW v1.spread_table IS 'What a variation can tell. One row per level and degrees of freedom.';
COMMENT ON COLUMN v1.spread_table.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.spread_table.degrees IS 'Degrees of freedom';
COMMENT ON COLUMN v1.spread_table.t_milli IS 'Standard errors that a difference must exceed, 1/1000';
COMMENT ON COLUMN v1.spread_table.upper_milli IS 'By how much an observed deviation is multiplied to bound the true one, 95 times in 100, 1/1000';

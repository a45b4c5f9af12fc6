-- Grain: adherence threshold x stake.
-- Inputs: v1.policy (which thresholds are in force), raw.stake (made from them).
-- Rules: what one task does to the logarithm of a bet against a quant in an adaptive sweep.
-- It is shown not to be viable when one stake alone gains what v1.evidence_level asks for.

CREATE VIEW v1.stake_table AS
SELECT
    adherence_threshold_ppm,
    stake_ppm,
    lost_nano,
    both_nano,
    gain_nano
FROM raw.stake
SEMI JOIN v1.policy USING (adherence_threshold_ppm);

COMMENT ON VIEW v1.stake_table IS 'Bets against a quant. One row per threshold and stake.';
COMMENT ON COLUMN v1.stake_table.adherence_threshold_ppm IS 'Share of the reference''s tasks to keep, ppm';
COMMENT ON COLUMN v1.stake_table.stake_ppm IS 'Share of the money that is at stake, ppm';
COMMENT ON COLUMN v1.stake_table.lost_nano IS 'Gained where only the reference passes, 1e-9';
COMMENT ON COLUMN v1.stake_table.both_nano IS 'Given up where both pass, 1e-9';
COMMENT ON COLUMN v1.stake_table.gain_nano IS 'Given up where only the quant passes, 1e-9';

-- Grain: adherence threshold x stake x stretch of the payoff.
-- Inputs: v1.policy (which thresholds are in force), raw.bet (made from them).
-- Rules: a bet that a quant keeps the threshold pays own - threshold x the reference's
-- score, task by task, and multiplies the money by 1 + stake x payoff / threshold. The
-- logarithm of that is tabulated at the ends of each stretch, rounded down; between them it
-- is taken on the chord, which lies below it.

CREATE VIEW v1.bet_table AS
SELECT
    adherence_threshold_ppm,
    stake_ppm,
    from_nano,
    to_nano,
    from_log_nano,
    to_log_nano
FROM raw.bet
SEMI JOIN v1.policy USING (adherence_threshold_ppm);

COMMENT ON VIEW v1.bet_table IS 'What a task is worth in a bet that a quant keeps the threshold. One row per threshold, stake and stretch of the payoff.';
COMMENT ON COLUMN v1.bet_table.adherence_threshold_ppm IS 'Share of the reference''s score to keep, ppm';
COMMENT ON COLUMN v1.bet_table.stake_ppm IS 'Stake, ppm of the money';
COMMENT ON COLUMN v1.bet_table.from_nano IS 'Least payoff of the stretch, 1e-9';
COMMENT ON COLUMN v1.bet_table.to_nano IS 'Largest payoff of the stretch, 1e-9';
COMMENT ON COLUMN v1.bet_table.from_log_nano IS 'Logarithm gained at the least payoff, 1e-9';
COMMENT ON COLUMN v1.bet_table.to_log_nano IS 'Logarithm gained at the largest payoff, 1e-9';

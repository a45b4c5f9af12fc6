-- Grain: sweep x model x rival: every eligible quant beside the best value.
-- Inputs: v1.frontier, v1.runs, v1.policy.
-- Rules: a sign test over valid runs, paired by task and repetition. The best value beats a
-- rival clearly when (2 x wins - pairs)^2 > chi^2 x pairs over enough pairs.

CREATE VIEW v1.duel AS
WITH best AS (
    SELECT sweep_id, model_id, quant_tag FROM v1.frontier WHERE utility_rank = 1
),

timed AS (
    SELECT sweep_id, model_id, quant_tag, test_id, repetition, wall_ns
    FROM v1.runs
    WHERE is_valid AND wall_ns IS NOT NULL
),

fought AS (
    SELECT
        sweep_id,
        model_id,
        rival.quant_tag,
        count(*) AS pairs,
        count(*) FILTER (WHERE own.wall_ns < rival.wall_ns) AS wins
    FROM best
    INNER JOIN timed AS own USING (sweep_id, model_id, quant_tag)
    INNER JOIN timed AS rival USING (sweep_id, model_id, test_id, repetition)
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    best.quant_tag AS best_value_quant,
    rival.quant_tag,
    rival.quant_rank,
    coalesce(fought.pairs, 0) AS pairs,
    coalesce(fought.wins, 0) AS wins,
    coalesce(
        fought.pairs >= policy.rival_min_pairs
        AND CAST(2 * fought.wins - fought.pairs AS HUGEINT)
        * (2 * fought.wins - fought.pairs) * 1000
        > CAST(fought.pairs AS HUGEINT) * policy.rival_chi2_milli,
        false
    ) AS is_clear
FROM best
INNER JOIN v1.frontier AS rival USING (sweep_id, model_id)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
LEFT JOIN fought
    ON fought.sweep_id = best.sweep_id
    AND fought.model_id = best.model_id
    AND fought.quant_tag = rival.quant_tag
WHERE rival.is_eligible AND rival.quant_tag <> best.quant_tag;

COMMENT ON VIEW v1.duel IS 'The best value against each other eligible quant. One row per sweep, model and rival.';
COMMENT ON COLUMN v1.duel.best_value_quant IS 'The eligible quant of the highest utility';
COMMENT ON COLUMN v1.duel.quant_tag IS 'Its rival';
COMMENT ON COLUMN v1.duel.pairs IS 'Valid runs of both, paired by task and repetition';
COMMENT ON COLUMN v1.duel.wins IS 'Of these, where the best value was faster';
COMMENT ON COLUMN v1.duel.is_clear IS 'The best value is faster beyond chance';

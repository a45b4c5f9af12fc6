-- Grain: pair of sweeps x model x quant of both.
-- Inputs: v1.diff_task, v1.runs, v1.policy, v1.sign_table, v1.spread_table.
-- Rules: runs of one block share their disturbance, so the blocks are the observations: the
-- ratio of wall times, second to first, over the tasks that both have timed in one
-- repetition. Their variance is pooled over the quants of the model. In an adaptive sweep
-- repetition 2 only tells whether answers repeat and is left out.

CREATE VIEW v1.diff_speed AS
WITH timed AS (
    SELECT sweep_id, model_id, quant_tag, test_id, repetition, wall_ns
    FROM v1.runs
    WHERE
        is_valid AND wall_ns > 0
        AND (phase = 'matrix' OR (phase = 'repeat' AND repetition > 2))
),

blocks AS (
    SELECT
        tasks.before_sweep,
        tasks.after_sweep,
        tasks.model_id,
        tasks.after_model,
        tasks.quant_tag,
        old.repetition,
        count(*) AS runs,
        count(*) FILTER (WHERE new.wall_ns > old.wall_ns) AS slower,
        count(*) FILTER (WHERE new.wall_ns < old.wall_ns) AS faster,
        sum(CAST(old.wall_ns AS HUGEINT)) AS old_ns,
        sum(CAST(new.wall_ns AS HUGEINT)) AS new_ns,
        -- Capped: a million times longer is longer.
        least(new_ns * 1000000 // old_ns, 1000000000000) AS ratio_ppm
    FROM v1.diff_task AS tasks
    INNER JOIN timed AS old
        ON old.sweep_id = tasks.before_sweep
        AND old.model_id = tasks.model_id
        AND old.quant_tag = tasks.quant_tag
        AND old.test_id = tasks.test_id
    INNER JOIN timed AS new
        ON new.sweep_id = tasks.after_sweep
        AND new.model_id = tasks.after_model
        AND new.quant_tag = tasks.quant_tag
        AND new.test_id = tasks.test_id
        AND new.repetition = old.repetition
    GROUP BY ALL
),

speeds AS (
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        after_model,
        quant_tag,
        count(*) AS blocks,
        sum(runs) AS runs,
        sum(slower) AS slower,
        sum(faster) AS faster,
        sum(old_ns) AS old_ns,
        sum(new_ns) AS new_ns,
        sum(ratio_ppm) AS ratio_sum_ppm
    FROM blocks
    GROUP BY ALL
),

spreads AS (
    -- Deviations from the quant's mean ratio, in millionths of it.
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        sum(deviation * deviation) AS squares
    FROM (
        SELECT
            before_sweep,
            after_sweep,
            model_id,
            1000000 * (speeds.blocks * blocks.ratio_ppm - speeds.ratio_sum_ppm)
            // nullif(speeds.ratio_sum_ppm, 0) AS deviation
        FROM blocks
        INNER JOIN speeds USING (before_sweep, after_sweep, model_id, quant_tag)
    )
    GROUP BY ALL
),

freedoms AS (
    SELECT before_sweep, after_sweep, model_id, sum(blocks - 1) AS freedom
    FROM speeds
    GROUP BY ALL
),

most AS (
    SELECT evidence_level_ppm, max(degrees) AS most_degrees FROM v1.spread_table GROUP BY ALL
),

gaps AS (
    SELECT
        speeds.*,
        policy.evidence_level_ppm,
        policy.rival_min_pairs,
        policy.compare_rel_floor_ppm,
        policy.compare_abs_floor_ns,
        spreads.squares,
        freedoms.freedom,
        speeds.ratio_sum_ppm // speeds.blocks - 1000000 AS change_ppm
    FROM speeds
    INNER JOIN spreads USING (before_sweep, after_sweep, model_id)
    INNER JOIN freedoms USING (before_sweep, after_sweep, model_id)
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = speeds.after_sweep AND policy.model_id = speeds.after_model
)

SELECT
    gaps.before_sweep,
    gaps.after_sweep,
    gaps.model_id,
    gaps.after_model,
    gaps.quant_tag,
    gaps.blocks,
    TRY_CAST(gaps.runs AS BIGINT) AS runs,
    TRY_CAST(gaps.slower AS BIGINT) AS slower_runs,
    TRY_CAST(gaps.faster AS BIGINT) AS faster_runs,
    TRY_CAST(v1.scaled(gaps.old_ns, gaps.runs, 1) AS BIGINT) AS before_wall_ns,
    TRY_CAST(v1.scaled(gaps.new_ns, gaps.runs, 1) AS BIGINT) AS after_wall_ns,
    TRY_CAST(gaps.change_ppm AS BIGINT) AS change_ppm,
    -- What exceeds_noise compares with, for show.
    TRY_CAST(
        ceil(
            spread.t_milli
            * sqrt(
                CAST(gaps.squares // nullif(gaps.freedom * gaps.blocks, 0) + 1 AS DOUBLE)
            )
            / 1000
        ) AS BIGINT
    ) AS noise_ppm,
    coalesce(
        CAST(gaps.change_ppm AS HUGEINT) * gaps.change_ppm * 1000000
        > CAST(spread.t_milli AS HUGEINT) * spread.t_milli
        * (gaps.squares // nullif(gaps.freedom * gaps.blocks, 0) + 1),
        false
    ) AS exceeds_noise,
    abs(gaps.change_ppm) > gaps.compare_rel_floor_ppm
    AND abs(gaps.new_ns - gaps.old_ns) > CAST(gaps.compare_abs_floor_ns AS HUGEINT) * gaps.runs
        AS exceeds_floors,
    coalesce(
        gaps.slower + gaps.faster >= gaps.rival_min_pairs
        AND greatest(gaps.slower, gaps.faster) >= signs.least_wins,
        false
    ) AS exceeds_chance
FROM gaps
LEFT JOIN most USING (evidence_level_ppm)
LEFT JOIN v1.spread_table AS spread
    ON spread.evidence_level_ppm = gaps.evidence_level_ppm
    AND spread.degrees = least(most.most_degrees, gaps.freedom)
LEFT JOIN v1.sign_table AS signs
    ON signs.evidence_level_ppm = gaps.evidence_level_ppm
    AND signs.pairs = gaps.slower + gaps.faster;

COMMENT ON VIEW v1.diff_speed IS 'The speed of each quant in two sweeps, by blocks. One row per pair, model and quant.';
COMMENT ON COLUMN v1.diff_speed.blocks IS 'Repetitions that both have: the observations of speed';
COMMENT ON COLUMN v1.diff_speed.runs IS 'Runs on each side, paired by task and repetition';
COMMENT ON COLUMN v1.diff_speed.slower_runs IS 'Of these, slower in the second sweep';
COMMENT ON COLUMN v1.diff_speed.faster_runs IS 'Of these, faster';
COMMENT ON COLUMN v1.diff_speed.before_wall_ns IS 'Mean wall time of these runs in the first sweep, ns';
COMMENT ON COLUMN v1.diff_speed.after_wall_ns IS 'The same in the second sweep, ns';
COMMENT ON COLUMN v1.diff_speed.change_ppm IS 'By how much the second sweep takes longer, mean of the blocks, ppm';
COMMENT ON COLUMN v1.diff_speed.noise_ppm IS 'What it has to exceed for that: t standard errors between blocks, ppm; NULL with too few of them';
COMMENT ON COLUMN v1.diff_speed.exceeds_noise IS 'The change exceeds what differs between blocks, one-sided at the level of evidence';
COMMENT ON COLUMN v1.diff_speed.exceeds_floors IS 'It exceeds the relative and the absolute floor of comparisons';
COMMENT ON COLUMN v1.diff_speed.exceeds_chance IS 'So many runs go one way that chance does not do it';

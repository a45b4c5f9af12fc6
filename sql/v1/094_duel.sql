-- Grain: sweep x model x rival: every eligible quant beside the best value.
-- Inputs: v1.frontier, v1.manifest, v1.runs, v1.quant, v1.quant_comparison, v1.task_pair, v1.policy,
-- v1.canary, v1.sign_table, v1.spread_table.
-- Rules: the best value beats a rival clearly, at the level of evidence and one-sided,
-- when three things hold. (1) It is faster in so many of the untied pairs of task and
-- repetition that chance does not do it, or, where the rival is as fast, it passes so many
-- more of the tasks on which the two differ. (2) Its gap in utility exceeds t standard
-- errors. Runs of one block share their disturbance, so the blocks are the observations:
-- the ratio of wall times over the tasks of both in one repetition, its variance pooled
-- over all quants of the session; the adherences add their own. (3) The gap exceeds the
-- variation that the canary has bounded. In an adaptive sweep the blocks are those of the
-- rounds in which quants are asked side by side: the first two, and those that repeat a
-- dozen tasks for speed. Two names of one file are never told apart.

CREATE VIEW v1.duel AS
WITH best AS (
    SELECT sweep_id, model_id, quant_tag FROM v1.frontier WHERE utility_rank = 1
),

placed AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        phase,
        repetition,
        wall_ns,
        is_valid,
        coalesce(outcome <> 'CANCELLED', false) AS is_asked,
        manifest."order" = 'adaptive' AS is_adaptive,
        dense_rank() OVER (
            PARTITION BY sweep_id, model_id, quant_tag, phase ORDER BY block_index
        ) AS portion
    FROM v1.runs
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    WHERE phase IN ('matrix', 'repeat')
),

timed AS (
    SELECT
        *,
        -- The first two portions are one round. Repetition 2 only tells whether answers
        -- repeat: its prompts may be cached.
        CASE
            WHEN NOT is_adaptive OR phase = 'repeat' THEN repetition
            ELSE greatest(portion - 1, 1)
        END AS occasion
    FROM placed
    WHERE
        is_valid AND wall_ns > 0
        AND (NOT is_adaptive OR if(phase = 'repeat', repetition > 2, portion <= 3))
),

blocks AS (
    -- The wall time of a quant on one occasion, over the tasks that both have in it.
    SELECT
        sweep_id,
        model_id,
        rival.quant_tag,
        own.occasion,
        count(*) FILTER (WHERE own.wall_ns <> rival.wall_ns) AS pairs,
        count(*) FILTER (WHERE own.wall_ns < rival.wall_ns) AS wins,
        sum(CAST(rival.wall_ns AS HUGEINT)) * 1000000 // sum(CAST(own.wall_ns AS HUGEINT))
            AS ratio_ppm
    FROM best
    INNER JOIN timed AS own USING (sweep_id, model_id, quant_tag)
    INNER JOIN timed AS rival USING (sweep_id, model_id, test_id, repetition, occasion)
    WHERE rival.quant_tag <> best.quant_tag
    GROUP BY ALL
),

-- Of what both were asked, how much is valid on both sides: other runs would be no better.
tries AS (
    SELECT
        sweep_id,
        model_id,
        rival.quant_tag,
        count(DISTINCT rival.repetition) AS repetitions,
        count(*) AS tries,
        count(*) FILTER (
            WHERE own.is_valid AND rival.is_valid AND own.wall_ns > 0 AND rival.wall_ns > 0
        ) AS valid_tries
    FROM best
    INNER JOIN placed AS own USING (sweep_id, model_id, quant_tag)
    INNER JOIN placed AS rival USING (sweep_id, model_id, test_id, phase, repetition)
    WHERE
        rival.quant_tag <> best.quant_tag AND phase = 'matrix'
        AND own.is_asked AND rival.is_asked
    GROUP BY ALL
),

speeds AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        TRY_CAST(sum(pairs) AS BIGINT) AS pairs,
        TRY_CAST(sum(wins) AS BIGINT) AS wins,
        count(*) AS blocks,
        sum(ratio_ppm) AS ratio_sum_ppm
    FROM blocks
    GROUP BY ALL
),

spreads AS (
    -- Deviations from the quant's mean ratio, in millionths of it.
    SELECT
        sweep_id,
        model_id,
        sum(deviation * deviation) AS squares
    FROM (
        SELECT
            sweep_id,
            model_id,
            1000000 * (speeds.blocks * blocks.ratio_ppm - speeds.ratio_sum_ppm)
            // speeds.ratio_sum_ppm AS deviation
        FROM blocks
        INNER JOIN speeds USING (sweep_id, model_id, quant_tag)
    )
    GROUP BY ALL
),

sessions AS (
    -- All rivals of a session share the noise of the best value.
    SELECT
        sweep_id,
        model_id,
        sum(blocks - 1) AS freedom,
        count(*) AS quants
    FROM speeds
    GROUP BY ALL
),

answers AS (
    SELECT
        sweep_id,
        model_id,
        rival.quant_tag,
        sum(CAST(own.own_adherence_nano AS HUGEINT)) AS own_adherence,
        sum(CAST(rival.own_adherence_nano AS HUGEINT)) AS rival_adherence,
        count(*) FILTER (WHERE own.own_passed <> rival.own_passed) AS differing,
        count(*) FILTER (WHERE own.own_passed AND NOT rival.own_passed) AS better
    FROM best
    INNER JOIN v1.task_pair AS own USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.task_pair AS rival USING (sweep_id, model_id, test_id)
    WHERE
        rival.quant_tag <> best.quant_tag
        AND own.own_adherence_nano IS NOT NULL AND rival.own_adherence_nano IS NOT NULL
    GROUP BY ALL
),

doubts AS (
    -- Variance of an adherence relative to the reference's, in ppm squared.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        if(
            is_baseline_quant,
            0,
            1000000000000 * CAST(flips_lost + flips_gained + 1 AS HUGEINT)
            // nullif(CAST(baseline_passes * baseline_passes AS HUGEINT), 0)
        ) AS variance
    FROM v1.quant_comparison
),

bounds AS (
    SELECT
        policy.sweep_id,
        policy.model_id,
        policy.evidence_level_ppm,
        policy.rival_min_pairs,
        policy.quality_only,
        canary.latency_bound_ppm,
        coalesce(canary.latency_bound_ppm <= policy.max_claimed_cv_ppm, false) AS is_bounded
    FROM v1.policy AS policy
    INNER JOIN v1.canary AS canary USING (sweep_id, model_id)
),

gaps AS (
    SELECT
        sweep_id,
        model_id,
        best.quant_tag AS best_value_quant,
        rival.quant_tag,
        rival.quant_rank,
        bounds.* EXCLUDE (sweep_id, model_id),
        own.model_digest = other.model_digest AS is_same_file,
        coalesce(speeds.pairs, 0) AS pairs,
        coalesce(speeds.wins, 0) AS wins,
        coalesce(speeds.blocks, 0) AS blocks,
        coalesce(answers.differing, 0) AS differing,
        coalesce(answers.better, 0) AS better,
        sessions.freedom,
        sessions.quants,
        spreads.squares,
        best_doubt.variance + rival_doubt.variance AS doubt,
        -- Capped: a thousand times better is better.
        least(
            answers.own_adherence * speeds.ratio_sum_ppm
            // nullif(answers.rival_adherence * speeds.blocks, 0)
            - 1000000,
            1000000000
        ) AS gap_ppm
    FROM best
    INNER JOIN v1.frontier AS rival USING (sweep_id, model_id)
    INNER JOIN bounds USING (sweep_id, model_id)
    INNER JOIN v1.quant AS own
        ON own.sweep_id = best.sweep_id
        AND own.model_id = best.model_id
        AND own.quant_tag = best.quant_tag
    INNER JOIN v1.quant AS other
        ON other.sweep_id = best.sweep_id
        AND other.model_id = best.model_id
        AND other.quant_tag = rival.quant_tag
    LEFT JOIN sessions USING (sweep_id, model_id)
    LEFT JOIN spreads USING (sweep_id, model_id)
    LEFT JOIN speeds
        ON speeds.sweep_id = best.sweep_id
        AND speeds.model_id = best.model_id
        AND speeds.quant_tag = rival.quant_tag
    LEFT JOIN answers
        ON answers.sweep_id = best.sweep_id
        AND answers.model_id = best.model_id
        AND answers.quant_tag = rival.quant_tag
    LEFT JOIN doubts AS best_doubt
        ON best_doubt.sweep_id = best.sweep_id
        AND best_doubt.model_id = best.model_id
        AND best_doubt.quant_tag = best.quant_tag
    LEFT JOIN doubts AS rival_doubt
        ON rival_doubt.sweep_id = best.sweep_id
        AND rival_doubt.model_id = best.model_id
        AND rival_doubt.quant_tag = rival.quant_tag
    WHERE rival.is_eligible AND rival.quant_tag <> best.quant_tag
),

rows_of_table AS (
    SELECT evidence_level_ppm, max(degrees) AS most_degrees
    FROM v1.spread_table
    GROUP BY ALL
),

-- What would hold with so many blocks; those that there are, and more.
trials AS (
    SELECT
        gaps.sweep_id,
        gaps.model_id,
        gaps.quant_tag,
        blocks.number AS blocks,
        CAST(gaps.gap_ppm AS HUGEINT) * gaps.gap_ppm * 1000000
        > CAST(spread.t_milli AS HUGEINT) * spread.t_milli
        * (gaps.squares // (gaps.freedom * blocks.number) + 1 + gaps.doubt) AS exceeds
    FROM gaps
    INNER JOIN rows_of_table USING (evidence_level_ppm)
    CROSS JOIN range(2, 31) AS blocks (number)
    INNER JOIN v1.spread_table AS spread
        ON spread.evidence_level_ppm = gaps.evidence_level_ppm
        AND spread.degrees = least(
            rows_of_table.most_degrees,
            4 * if(
                blocks.number = gaps.blocks,
                gaps.freedom,
                gaps.quants * (blocks.number - 1)
            ) // (gaps.quants + 3)
        )
    WHERE gaps.freedom > 0 AND gaps.gap_ppm > 0
),

tried AS (
    SELECT
        trials.sweep_id,
        trials.model_id,
        trials.quant_tag,
        coalesce(bool_or(trials.exceeds) FILTER (WHERE trials.blocks = gaps.blocks), false)
            AS exceeds,
        min(trials.blocks) FILTER (WHERE trials.exceeds AND trials.blocks > gaps.blocks)
            AS blocks_needed
    FROM trials
    INNER JOIN gaps USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

judged AS (
    SELECT
        gaps.*,
        coalesce(tried.exceeds, false) AS exceeds_noise,
        coalesce(gaps.gap_ppm > gaps.latency_bound_ppm, false) AS exceeds_bound,
        coalesce(
            gaps.pairs >= gaps.rival_min_pairs AND gaps.wins >= speed.least_wins, false
        ) AS is_faster,
        coalesce(gaps.better >= answer.least_wins, false) AS is_better,
        tried.blocks_needed
    FROM gaps
    LEFT JOIN tried USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.sign_table AS speed
        ON speed.evidence_level_ppm = gaps.evidence_level_ppm
        AND speed.pairs = gaps.pairs
    LEFT JOIN v1.sign_table AS answer
        ON answer.evidence_level_ppm = gaps.evidence_level_ppm
        AND answer.pairs = gaps.differing
),

hoped AS (
    -- All holds but that the gap exceeds the noise of so few blocks.
    SELECT
        *,
        NOT quality_only AND is_bounded AND NOT coalesce(is_same_file, false)
        AND (is_faster OR is_better) AND NOT exceeds_noise AND exceeds_bound AS is_open
    FROM judged
)

SELECT
    sweep_id,
    model_id,
    best_value_quant,
    quant_tag,
    quant_rank,
    pairs,
    wins,
    blocks,
    TRY_CAST(gap_ppm AS BIGINT) AS gap_ppm,
    coalesce(
        NOT quality_only AND is_bounded AND NOT coalesce(is_same_file, false)
        AND (is_faster OR is_better) AND exceeds_noise AND exceeds_bound,
        false
    ) AS is_clear,
    if(is_open, blocks_needed, NULL) AS blocks_needed,
    -- Where some repetitions told nothing, as many of the further ones will; where most runs
    -- do not count, nothing is promised.
    CASE
        WHEN
            is_open AND manifest."order" <> 'adaptive'
            AND 2 * tries.valid_tries >= tries.tries
            THEN (blocks_needed * tries.repetitions + blocks - 1) // blocks
    END AS repetitions_needed
FROM hoped
INNER JOIN v1.manifest AS manifest USING (sweep_id)
LEFT JOIN tries USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.duel IS 'The best value against each other eligible quant. One row per sweep, model and rival.';
COMMENT ON COLUMN v1.duel.best_value_quant IS 'The eligible quant of the highest utility';
COMMENT ON COLUMN v1.duel.quant_tag IS 'Its rival';
COMMENT ON COLUMN v1.duel.pairs IS 'Valid runs of both with different wall times, paired by task and repetition';
COMMENT ON COLUMN v1.duel.wins IS 'Of these, where the best value was faster';
COMMENT ON COLUMN v1.duel.blocks IS 'Repetitions, or rounds of an adaptive sweep, that have both: the observations of speed';
COMMENT ON COLUMN v1.duel.gap_ppm IS 'By how much the best value''s utility exceeds the rival''s, ppm of the rival''s';
COMMENT ON COLUMN v1.duel.is_clear IS 'The best value is better beyond chance and beyond what the canary bounds';
COMMENT ON COLUMN v1.duel.blocks_needed IS 'Observations of speed that would do, where only these are missing; NULL if it is clear, or if none of up to 30 would';
COMMENT ON COLUMN v1.duel.repetitions_needed IS 'The same as repetitions, if as many of them count as did so far; NULL where most runs of the two do not count, and in an adaptive sweep, which repeats no whole bank';

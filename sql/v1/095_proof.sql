-- Grain: sweep x model x quant, of adaptive sweeps.
-- Inputs: v1.manifest, v1.ladder, v1.runs, v1.task_aggregate, v1.task_evidence, v1.policy,
-- v1.proof_table, v1.stake_table, v1.evidence_level, raw.events.
-- Rules: what has been asked of each quant, and what it proves, by integer counts that are
-- valid at every look. Two chains share the chance of error equally: A from the start
-- quant down, B from the top down to it; each goes on only behind a proof. Where B gets
-- through, or starts there, A has all of it. So no ladder needs to be monotone. The start
-- is fixed before the first task is asked (event START_FIXED, see v1.start_quant), else it
-- is Q4_K_M, else the middle. Where tasks come in families they fail together: then
-- one look, without any loss, at half the chance. A task whose run was only disturbed
-- counts as lost as long as it is, but does not end the hope of a proof: it may be run
-- again. A quant cannot be proven any more when even all tasks that are left would not do.
-- It is shown not to be viable by a bet against it, over tasks with a verdict on both
-- sides. NOT_ANSWERING: none of the tasks that were asked last was answered. Against a
-- stand-in for the baseline quant nothing is proven.

CREATE VIEW v1.proof AS
WITH adaptive AS (
    SELECT
        sweep_id,
        -- Lists of proofs are made once: tasks that were added later do not change them.
        len(start_tasks) AS tasks,
        len(list_distinct(list_transform(
            tasks, lambda task: [task.bank, coalesce(task.family, task.test_id)]
        ))) < len(tasks) AS has_families
    FROM v1.manifest
    WHERE "order" = 'adaptive'
),

fixed AS (
    SELECT
        sweep_id,
        model_id,
        first(quant_tag ORDER BY recorded_at, event_id) AS quant_tag
    FROM raw.events
    WHERE event = 'START_FIXED'
    GROUP BY ALL
),

starts AS (
    SELECT
        sweep_id,
        model_id,
        coalesce(
            min(place) FILTER (WHERE ladder.quant_tag = fixed.quant_tag AND place > 0),
            min(place) FILTER (WHERE quant_key = 'Q4_K_M' AND place > 0),
            greatest(count(place) // 2, 1)
        ) AS start_place
    FROM v1.ladder AS ladder
    LEFT JOIN fixed USING (sweep_id, model_id)
    GROUP BY ALL
),

cells AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        block_index,
        coalesce(outcome <> 'CANCELLED', false) AS is_asked,
        coalesce(outcome = 'OK', false) AS is_answered
    FROM v1.runs
    SEMI JOIN adaptive USING (sweep_id)
    WHERE phase = 'matrix'
),

blocks AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        block_index,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag ORDER BY block_index
        ) - 1 AS portion,
        count(*) AS tasks,
        count(*) FILTER (WHERE is_asked) AS asked,
        count(*) FILTER (WHERE is_answered) AS answered
    FROM cells
    GROUP BY sweep_id, model_id, quant_tag, block_index
),

progress AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        CAST(sum(tasks) AS BIGINT) AS planned_tasks,
        CAST(sum(asked) AS BIGINT) AS asked_tasks,
        min(portion) FILTER (WHERE asked < tasks) AS next_portion,
        coalesce(arg_max(answered, portion) FILTER (WHERE asked > 0) = 0, false) AS is_silent
    FROM blocks
    GROUP BY ALL
),

-- Of the tasks that were asked: without a verdict only for what disturbed the run.
disturbed AS (
    SELECT sweep_id, model_id, quant_tag, test_id
    FROM v1.task_aggregate
    SEMI JOIN adaptive USING (sweep_id)
    WHERE is_asked AND NOT is_covered AND fillable_runs > 0
),

waiting AS (
    SELECT sweep_id, model_id, quant_tag, count(*) AS tasks FROM disturbed GROUP BY ALL
),

counted AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        any_value(baseline_quant_tag) AS baseline_quant_tag,
        any_value(baseline_shifted) AS baseline_shifted,
        count(*) FILTER (WHERE counts) AS passes,
        count(*) FILTER (WHERE is_lost) AS losses,
        count(*) FILTER (WHERE is_lost AND disturbed.test_id IS NOT NULL) AS disturbed_losses,
        count(*) FILTER (WHERE is_paired AND baseline_passed AND own_passed) AS kept,
        count(*) FILTER (WHERE is_paired AND baseline_passed AND NOT own_passed) AS failed,
        count(*) FILTER (WHERE is_paired AND NOT baseline_passed AND own_passed) AS gains
    FROM v1.task_evidence
    SEMI JOIN adaptive USING (sweep_id)
    LEFT JOIN disturbed USING (sweep_id, model_id, quant_tag, test_id)
    GROUP BY ALL
),

facts AS (
    SELECT
        ladder.sweep_id,
        ladder.model_id,
        ladder.quant_tag,
        ladder.place,
        starts.start_place,
        policy.adherence_threshold_ppm,
        policy.evidence_level_ppm,
        adaptive.tasks,
        if(adaptive.has_families, 1, 8) AS looks,
        if(adaptive.has_families, 2, 1) AS all_shares,
        progress.planned_tasks,
        progress.asked_tasks,
        progress.next_portion,
        progress.is_silent,
        coalesce(own.passes, 0) AS passes,
        coalesce(own.losses, 0) AS losses,
        coalesce(own.losses - own.disturbed_losses, 0) AS sure_losses,
        coalesce(waiting.tasks, 0) AS disturbed_tasks,
        coalesce(own.kept, 0) AS kept,
        coalesce(own.failed, 0) AS failed,
        coalesce(own.gains, 0) AS gains,
        -- With every task that is left passed and kept.
        coalesce(base.passes, 0) + coalesce(base_waiting.tasks, 0)
        + base_progress.planned_tasks - base_progress.asked_tasks AS most_passes,
        coalesce(base.baseline_shifted, false) AS is_shifted
    FROM v1.ladder AS ladder
    INNER JOIN adaptive USING (sweep_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN starts USING (sweep_id, model_id)
    INNER JOIN progress USING (sweep_id, model_id, quant_tag)
    LEFT JOIN counted AS own USING (sweep_id, model_id, quant_tag)
    LEFT JOIN waiting USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.ladder AS top
        ON top.sweep_id = ladder.sweep_id
        AND top.model_id = ladder.model_id
        AND top.place = 0
    LEFT JOIN counted AS base
        ON base.sweep_id = ladder.sweep_id
        AND base.model_id = ladder.model_id
        AND base.quant_tag = base.baseline_quant_tag
    LEFT JOIN progress AS base_progress
        ON base_progress.sweep_id = ladder.sweep_id
        AND base_progress.model_id = ladder.model_id
        AND base_progress.quant_tag = coalesce(base.baseline_quant_tag, top.quant_tag)
    LEFT JOIN waiting AS base_waiting
        ON base_waiting.sweep_id = ladder.sweep_id
        AND base_waiting.model_id = ladder.model_id
        AND base_waiting.quant_tag = base_progress.quant_tag
),

bets AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        bool_or(
            CAST(failed AS HUGEINT) * stake.lost_nano
            - CAST(kept AS HUGEINT) * stake.both_nano
            - CAST(gains AS HUGEINT) * stake.gain_nano
            >= level.bet_needed_nano
        ) AS is_shown_not_viable
    FROM facts
    INNER JOIN v1.stake_table AS stake USING (adherence_threshold_ppm)
    INNER JOIN v1.evidence_level AS level USING (evidence_level_ppm)
    WHERE level.claims = 1
    GROUP BY ALL
),

lists AS (
    SELECT
        facts.*,
        alone.least_passes AS least_alone,
        halved.least_passes AS least_halved,
        lossless.least_passes AS least_lossless
    FROM facts
    LEFT JOIN v1.proof_table AS alone
        ON alone.adherence_threshold_ppm = facts.adherence_threshold_ppm
        AND alone.evidence_level_ppm = facts.evidence_level_ppm
        AND alone.tasks = facts.tasks
        AND alone.shares = facts.all_shares
        AND alone.looks = facts.looks
        AND alone.losses = facts.sure_losses
    LEFT JOIN v1.proof_table AS halved
        ON halved.adherence_threshold_ppm = facts.adherence_threshold_ppm
        AND halved.evidence_level_ppm = facts.evidence_level_ppm
        AND halved.tasks = facts.tasks
        AND halved.shares = 2 * facts.all_shares
        AND halved.looks = facts.looks
        AND halved.losses = facts.sure_losses
    LEFT JOIN v1.proof_table AS lossless
        ON lossless.adherence_threshold_ppm = facts.adherence_threshold_ppm
        AND lossless.evidence_level_ppm = facts.evidence_level_ppm
        AND lossless.tasks = facts.tasks
        AND lossless.shares = facts.all_shares
        AND lossless.looks = facts.looks
        AND lossless.losses = 0
),

met AS (
    SELECT
        *,
        -- What was only disturbed is lost until it was run again.
        losses = sure_losses AND NOT is_shifted AND coalesce(passes >= least_alone, false)
            AS meets_alone,
        losses = sure_losses AND NOT is_shifted AND coalesce(passes >= least_halved, false)
            AS meets_halved
    FROM lists
),

-- Whether everything on the way to a quant, it included, is proven.
walked AS (
    SELECT
        *,
        coalesce(
            bool_and(meets_halved) FILTER (WHERE place BETWEEN 1 AND start_place - 1)
            OVER session,
            true
        ) AS is_top_through,
        bool_and(meets_halved) FILTER (WHERE place BETWEEN 1 AND start_place - 1) OVER down
            AS is_walked_from_top,
        bool_and(meets_halved) FILTER (WHERE place >= start_place) OVER down
            AS is_walked_halved,
        bool_and(meets_alone) FILTER (WHERE place >= start_place) OVER down
            AS is_walked_alone
    FROM met
    WINDOW
        session AS (PARTITION BY sweep_id, model_id),
        down AS (
            PARTITION BY sweep_id, model_id
            ORDER BY place NULLS LAST
            ROWS UNBOUNDED PRECEDING
        )
),

judged AS (
    SELECT
        *,
        -- Losses less gains beyond the margin, and the margin, both in millionths of a task.
        CAST(1000000 AS HUGEINT) * (failed - gains)
        - CAST(1000000 - adherence_threshold_ppm AS HUGEINT) * (kept + failed)
            AS excess_losses,
        CAST(1000000 - adherence_threshold_ppm AS HUGEINT) * (kept + failed) AS margin_tasks,
        -- The level in force: all of it from the start on, once the top is through.
        if(place >= start_place AND is_top_through, least_alone, least_halved)
            AS least_passes,
        coalesce(
            CASE
                WHEN place = 0 THEN false
                WHEN place < start_place THEN is_walked_from_top
                WHEN is_top_through THEN is_walked_alone OR is_walked_halved
                ELSE is_walked_halved
            END,
            false
        ) AS is_proven
    FROM walked
)

SELECT
    judged.sweep_id,
    judged.model_id,
    judged.quant_tag,
    judged.place,
    judged.start_place,
    judged.planned_tasks,
    judged.asked_tasks,
    judged.next_portion,
    judged.passes,
    judged.losses,
    judged.gains,
    judged.disturbed_tasks,
    judged.most_passes,
    judged.least_passes,
    judged.least_lossless,
    judged.is_shifted,
    judged.is_proven,
    judged.excess_losses <= 0
    OR judged.excess_losses * judged.excess_losses
    <= CAST(4000000 AS HUGEINT) * judged.margin_tasks AS is_near_margin,
    coalesce(bets.is_shown_not_viable, false) AND judged.place > 0 AS is_shown_not_viable,
    CASE
        WHEN judged.is_silent THEN 'NOT_ANSWERING'
        WHEN judged.place = 0 THEN 'BASELINE'
        WHEN judged.is_proven THEN 'PROVEN'
        WHEN bets.is_shown_not_viable THEN 'SHOWN_NOT_VIABLE'
        WHEN
            judged.place IS NULL OR judged.is_shifted
            OR coalesce(judged.most_passes < judged.least_passes, true)
            THEN 'CANNOT_BE_PROVEN'
        WHEN judged.asked_tasks = 0 THEN 'NOT_ASKED'
        ELSE 'OPEN'
    END AS state
FROM judged
LEFT JOIN bets USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.proof IS 'What an adaptive sweep has asked of each quant, and what that proves. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.proof.place IS 'From the most precise, 0, down; NULL if its rank is not known';
COMMENT ON COLUMN v1.proof.start_place IS 'Where the first chain of proofs starts';
COMMENT ON COLUMN v1.proof.planned_tasks IS 'Tasks that could be asked';
COMMENT ON COLUMN v1.proof.asked_tasks IS 'Tasks that were asked';
COMMENT ON COLUMN v1.proof.next_portion IS 'The first of its blocks, from 0, that was not asked in full; NULL if all were';
COMMENT ON COLUMN v1.proof.passes IS 'Tasks that the baseline quant passes and this quant was asked';
COMMENT ON COLUMN v1.proof.losses IS 'Of these, not known to be passed by it';
COMMENT ON COLUMN v1.proof.gains IS 'Tasks that only it passes';
COMMENT ON COLUMN v1.proof.disturbed_tasks IS 'Tasks that were asked and have no verdict, only for what disturbed the run';
COMMENT ON COLUMN v1.proof.most_passes IS 'Tasks that the baseline quant passes or has not been asked';
COMMENT ON COLUMN v1.proof.least_passes IS 'Passes that prove it with its losses at the level in force, disturbed tasks left out; NULL if none do';
COMMENT ON COLUMN v1.proof.least_lossless IS 'Passes that prove a quant without any loss at the whole chance of error; NULL if none do';
COMMENT ON COLUMN v1.proof.is_shifted IS 'Another quant stands in for the most precise one: nothing is proven';
COMMENT ON COLUMN v1.proof.is_proven IS 'It, and all on the way of its chain, keep the threshold';
COMMENT ON COLUMN v1.proof.is_near_margin IS 'It loses no more than two standard errors beyond what the threshold allows';
COMMENT ON COLUMN v1.proof.is_shown_not_viable IS 'A bet against it was won';
COMMENT ON COLUMN v1.proof.state IS 'BASELINE, PROVEN, SHOWN_NOT_VIABLE, CANNOT_BE_PROVEN, OPEN, NOT_ASKED or NOT_ANSWERING';

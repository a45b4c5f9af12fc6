-- Grain: sweep x model x quant, of adaptive sweeps.
-- Inputs: v1.manifest, v1.ladder, v1.planned_run, v1.runs, v1.task_aggregate,
-- v1.task_evidence, v1.evidence_count, v1.bank_worth, v1.family_table, v1.policy,
-- v1.proof_table, v1.stake_table, v1.evidence_level, raw.events.
-- Rules: what has been asked of each quant, and what it proves, by integer counts that are
-- valid at every look: of passes by what tasks of their families are worth, and of losses
-- (v1.evidence_count). How many looks there are follows from what the tasks planned at the
-- start are worth, which no answer has a say in. Two chains share the chance of error
-- equally: A from the start quant down, B from the top down to it; each goes on only behind
-- a proof. Where B gets through, or starts there, A has all of it. So no ladder needs to be
-- monotone. The start is fixed before the first task is asked (event START_FIXED, see
-- v1.start_quant), else it is Q4_K_M, else the middle. A task whose run was only disturbed
-- counts as lost as long as it is, but does not end the hope of a proof: it may be run
-- again. A quant cannot be proven any more when even all tasks that are left would not do.
-- It is shown not to be viable by a bet against it, over tasks with a verdict on both
-- sides. NOT_ANSWERING: none of the tasks that were asked last was answered. Against a
-- stand-in for the reference nothing is proven.

CREATE VIEW v1.proof AS
WITH adaptive AS (
    SELECT
        sweep_id,
        len(list_distinct(list_transform(
            tasks, lambda task: coalesce(task.family, task.test_id)
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
        run_id,
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
        any_value(sums.passes) AS passes,
        any_value(sums.losses) AS losses,
        any_value(sums.proof_passes) AS proof_passes,
        any_value(sums.proof_losses) AS proof_losses,
        any_value(sums.sure_losses) AS sure_losses,
        count(*) FILTER (WHERE is_paired AND baseline_passed AND own_passed) AS kept,
        count(*) FILTER (WHERE is_paired AND baseline_passed AND NOT own_passed) AS failed,
        count(*) FILTER (WHERE is_paired AND NOT baseline_passed AND own_passed) AS gains
    FROM v1.task_evidence
    SEMI JOIN adaptive USING (sweep_id)
    INNER JOIN v1.evidence_count AS sums USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

-- Whom each quant is held against: until anything is known the most precise one.
bases AS (
    SELECT
        top.sweep_id,
        top.model_id,
        coalesce(any_value(counted.baseline_quant_tag), top.quant_tag) AS quant_tag,
        coalesce(bool_or(counted.baseline_shifted), false) AS is_shifted
    FROM v1.ladder AS top
    SEMI JOIN adaptive USING (sweep_id)
    LEFT JOIN counted USING (sweep_id, model_id)
    WHERE top.place = 0
    GROUP BY top.sweep_id, top.model_id, top.quant_tag
),

-- The tasks that the reference passes or may yet pass, in the order they are asked in.
hopes AS (
    SELECT
        planned.sweep_id,
        planned.model_id,
        planned.test_id,
        planned.order_index,
        coalesce(planned.family, planned.test_id) AS family
    FROM v1.planned_run AS planned
    INNER JOIN bases USING (sweep_id, model_id, quant_tag)
    LEFT JOIN cells
        ON cells.sweep_id = planned.sweep_id
        AND cells.run_id = planned.run_id
    LEFT JOIN disturbed
        ON disturbed.sweep_id = planned.sweep_id
        AND disturbed.model_id = planned.model_id
        AND disturbed.quant_tag = planned.quant_tag
        AND disturbed.test_id = planned.test_id
    LEFT JOIN v1.task_evidence AS evidence
        ON evidence.sweep_id = planned.sweep_id
        AND evidence.model_id = planned.model_id
        AND evidence.quant_tag = planned.quant_tag
        AND evidence.test_id = planned.test_id
    WHERE
        planned.phase = 'matrix'
        AND (
            NOT coalesce(cells.is_asked, false) OR disturbed.test_id IS NOT NULL
            OR evidence.counts
        )
),

-- Those that count of each quant, then those that are left: what each is worth.
counting AS (
    SELECT
        ladder.sweep_id,
        ladder.model_id,
        ladder.quant_tag,
        policy.adherence_threshold_ppm,
        policy.family_correlation_ppm,
        hopes.family,
        coalesce(evidence.counts, false) AS counts,
        hopes.order_index,
        row_number() OVER (
            PARTITION BY ladder.sweep_id, ladder.model_id, ladder.quant_tag, hopes.family
            ORDER BY coalesce(evidence.counts, false) DESC, hopes.order_index
        ) AS tasks
    FROM v1.ladder AS ladder
    INNER JOIN hopes USING (sweep_id, model_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.task_evidence AS evidence
        ON evidence.sweep_id = ladder.sweep_id
        AND evidence.model_id = ladder.model_id
        AND evidence.quant_tag = ladder.quant_tag
        AND evidence.test_id = hopes.test_id
),

reach AS (
    SELECT
        counting.sweep_id,
        counting.model_id,
        counting.quant_tag,
        row_number() OVER ahead AS passes,
        sum(worth.worth_micro - coalesce(before.worth_micro, 0)) OVER ahead // 1000000
            AS proof_passes
    FROM counting
    INNER JOIN v1.family_table AS worth
        USING (adherence_threshold_ppm, family_correlation_ppm, tasks)
    LEFT JOIN v1.family_table AS before
        ON before.adherence_threshold_ppm = counting.adherence_threshold_ppm
        AND before.family_correlation_ppm = counting.family_correlation_ppm
        AND before.tasks = counting.tasks - 1
    WINDOW ahead AS (
        PARTITION BY counting.sweep_id, counting.model_id, counting.quant_tag
        ORDER BY counting.counts DESC, counting.order_index
        ROWS UNBOUNDED PRECEDING
    )
),

most AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        max(passes) AS passes,
        CAST(max(proof_passes) AS BIGINT) AS proof_passes
    FROM reach
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
        bank.worth_tasks,
        adaptive.has_families,
        progress.planned_tasks,
        progress.asked_tasks,
        progress.next_portion,
        progress.is_silent,
        coalesce(own.passes, 0) AS passes,
        coalesce(own.losses, 0) AS losses,
        coalesce(own.proof_passes, 0) AS proof_passes,
        coalesce(own.proof_losses, 0) AS proof_losses,
        coalesce(own.sure_losses, 0) AS sure_losses,
        coalesce(waiting.tasks, 0) AS disturbed_tasks,
        coalesce(own.kept, 0) AS kept,
        coalesce(own.failed, 0) AS failed,
        coalesce(own.gains, 0) AS gains,
        -- With every task that is left passed and kept.
        coalesce(most.proof_passes, 0) AS most_passes,
        coalesce(bases.is_shifted, false) AS is_shifted
    FROM v1.ladder AS ladder
    INNER JOIN adaptive USING (sweep_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.bank_worth AS bank USING (sweep_id, model_id)
    INNER JOIN starts USING (sweep_id, model_id)
    INNER JOIN progress USING (sweep_id, model_id, quant_tag)
    LEFT JOIN counted AS own USING (sweep_id, model_id, quant_tag)
    LEFT JOIN waiting USING (sweep_id, model_id, quant_tag)
    LEFT JOIN bases USING (sweep_id, model_id)
    LEFT JOIN most USING (sweep_id, model_id, quant_tag)
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
        AND alone.tasks = facts.worth_tasks
        AND alone.shares = 1
        AND alone.losses = facts.sure_losses
    LEFT JOIN v1.proof_table AS halved
        ON halved.adherence_threshold_ppm = facts.adherence_threshold_ppm
        AND halved.evidence_level_ppm = facts.evidence_level_ppm
        AND halved.tasks = facts.worth_tasks
        AND halved.shares = 2
        AND halved.losses = facts.sure_losses
    LEFT JOIN v1.proof_table AS lossless
        ON lossless.adherence_threshold_ppm = facts.adherence_threshold_ppm
        AND lossless.evidence_level_ppm = facts.evidence_level_ppm
        AND lossless.tasks = facts.worth_tasks
        AND lossless.shares = 1
        AND lossless.losses = 0
),

met AS (
    SELECT
        *,
        -- What was only disturbed is lost until it was run again.
        proof_losses = sure_losses AND NOT is_shifted
        AND coalesce(proof_passes >= least_alone, false) AS meets_alone,
        proof_losses = sure_losses AND NOT is_shifted
        AND coalesce(proof_passes >= least_halved, false) AS meets_halved
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
),

-- Where the tasks that are left come to it; beyond them only of single tasks.
needed AS (
    SELECT
        judged.sweep_id,
        judged.model_id,
        judged.quant_tag,
        coalesce(
            min(reach.passes) FILTER (WHERE reach.proof_passes >= judged.least_passes),
            if(any_value(judged.has_families), NULL, any_value(judged.least_passes))
        ) AS passes_needed
    FROM judged
    LEFT JOIN reach USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
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
    judged.proof_passes,
    judged.proof_losses,
    judged.gains,
    judged.disturbed_tasks,
    judged.most_passes,
    judged.least_passes,
    needed.passes_needed,
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
LEFT JOIN bets USING (sweep_id, model_id, quant_tag)
LEFT JOIN needed USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.proof IS 'What an adaptive sweep has asked of each quant, and what that proves. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.proof.start_place IS 'Where the first chain of proofs starts';
COMMENT ON COLUMN v1.proof.planned_tasks IS 'Tasks that could be asked';
COMMENT ON COLUMN v1.proof.asked_tasks IS 'Tasks that were asked';
COMMENT ON COLUMN v1.proof.next_portion IS 'The first of its blocks, from 0, that was not asked in full; NULL if all were';
COMMENT ON COLUMN v1.proof.passes IS 'Tasks that the reference passes and this quant was asked';
COMMENT ON COLUMN v1.proof.losses IS 'Of these, not known to be passed by it';
COMMENT ON COLUMN v1.proof.proof_passes IS 'Passes that the proof counts, by what tasks of few families are worth';
COMMENT ON COLUMN v1.proof.proof_losses IS 'Losses that the proof counts: no fewer than the adherence lost sums up to';
COMMENT ON COLUMN v1.proof.gains IS 'Tasks that only it passes';
COMMENT ON COLUMN v1.proof.disturbed_tasks IS 'Tasks that were asked and have no verdict, only for what disturbed the run';
COMMENT ON COLUMN v1.proof.most_passes IS 'Passes that the proof could count, if every further task is passed and kept';
COMMENT ON COLUMN v1.proof.least_passes IS 'Passes, as the proof counts them, that prove it with its losses at the level in force, disturbed tasks left out; NULL if none do';
COMMENT ON COLUMN v1.proof.passes_needed IS 'Tasks that the reference passes when these are reached, if it passes all further ones and none is lost; NULL if none do';
COMMENT ON COLUMN v1.proof.least_lossless IS 'Passes, as the proof counts them, that prove a quant without any loss at the whole chance of error; NULL if none do';
COMMENT ON COLUMN v1.proof.is_shifted IS 'Another quant stands in for the most precise one: nothing is proven';
COMMENT ON COLUMN v1.proof.is_proven IS 'It, and all on the way of its chain, keep the threshold';
COMMENT ON COLUMN v1.proof.is_near_margin IS 'It loses no more than two standard errors beyond what the threshold allows';
COMMENT ON COLUMN v1.proof.is_shown_not_viable IS 'A bet against it was won';
COMMENT ON COLUMN v1.proof.state IS 'BASELINE, PROVEN, SHOWN_NOT_VIABLE, CANNOT_BE_PROVEN, OPEN, NOT_ASKED or NOT_ANSWERING';

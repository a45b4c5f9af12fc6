-- Grain: pair of sweeps x model x quant of either.
-- Inputs: v1.diff_fact, v1.diff_task, v1.diff_speed, v1.quant, v1.policy, v1.canary,
-- v1.sign_table, v1.reason.
-- Rules: answers are WORSE where so many more tasks are lost than gained that chance does
-- not do it (exact, one-sided, at the level of evidence), BETTER the other way round. Times
-- are WORSE where the second sweep is slower beyond chance, beyond the noise of the blocks,
-- beyond the floors of comparisons and beyond what both canaries bound. Otherwise there is
-- NO_DIFFERENCE shown, which is no proof that there is none. What cannot be compared is
-- NOT_COMPARABLE, for the first reason that holds. Nothing is netted: one that is worse makes
-- the quant worse. Thresholds are those of the second sweep.

CREATE VIEW v1.diff_quant AS
WITH models AS (
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        after_model,
        bool_or(forbids_times) AS forbids_times,
        bool_or(forbids_answers) AS forbids_answers,
        arg_min(reason, place) FILTER (WHERE forbids_times) AS times_reason,
        arg_min(reason, place) FILTER (WHERE forbids_answers) AS answers_reason
    FROM v1.diff_fact
    GROUP BY before_sweep, after_sweep, model_id, after_model
),

quants AS (
    SELECT models.*, quant.quant_tag, quant.quant_rank, 'before' AS side, quant
    FROM models
    INNER JOIN v1.quant AS quant
        ON quant.sweep_id = models.before_sweep AND quant.model_id = models.model_id
    UNION ALL
    SELECT models.*, quant.quant_tag, quant.quant_rank, 'after' AS side, quant
    FROM models
    INNER JOIN v1.quant AS quant
        ON quant.sweep_id = models.after_sweep AND quant.model_id = models.after_model
),

sides AS (
    SELECT
        * EXCLUDE (side, quant, quant_rank),
        any_value(quant) FILTER (WHERE side = 'before') AS old,
        any_value(quant) FILTER (WHERE side = 'after') AS new
    FROM quants
    GROUP BY ALL
),

tasks AS (
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        quant_tag,
        count(*) AS shared_tasks,
        count(*) FILTER (WHERE is_paired) AS pairs,
        count(*) FILTER (WHERE before_passed AND is_paired) AS before_passes,
        count(*) FILTER (WHERE after_passed AND is_paired) AS after_passes,
        count(*) FILTER (WHERE change = 'LOST') AS lost,
        count(*) FILTER (WHERE change = 'GAINED') AS gained,
        count(DISTINCT family) FILTER (WHERE change = 'LOST') AS lost_families,
        count(*) FILTER (WHERE fails_to_answer AND before_passed IS NOT NULL) AS unanswered
    FROM v1.diff_task
    GROUP BY ALL
),

bounds AS (
    SELECT
        models.before_sweep,
        models.after_sweep,
        models.model_id,
        coalesce(old_policy.quality_only, false) OR coalesce(policy.quality_only, false)
            AS answers_alone,
        policy.evidence_level_ppm,
        policy.min_pair_ppm,
        greatest(old.latency_bound_ppm, new.latency_bound_ppm) AS bound_ppm,
        coalesce(
            old.latency_bound_ppm <= old_policy.max_claimed_cv_ppm
            AND new.latency_bound_ppm <= policy.max_claimed_cv_ppm,
            false
        ) AS is_steady
    FROM models
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = models.after_sweep AND policy.model_id = models.after_model
    INNER JOIN v1.policy AS old_policy
        ON old_policy.sweep_id = models.before_sweep AND old_policy.model_id = models.model_id
    LEFT JOIN v1.canary AS old
        ON old.sweep_id = models.before_sweep AND old.model_id = models.model_id
    LEFT JOIN v1.canary AS new
        ON new.sweep_id = models.after_sweep AND new.model_id = models.after_model
),

joined AS (
    SELECT
        sides.*,
        bounds.bound_ppm,
        coalesce(tasks.shared_tasks, 0) AS shared_tasks,
        coalesce(tasks.pairs, 0) AS pairs,
        coalesce(tasks.before_passes, 0) AS before_passes,
        coalesce(tasks.after_passes, 0) AS after_passes,
        coalesce(tasks.lost, 0) AS lost,
        coalesce(tasks.gained, 0) AS gained,
        coalesce(tasks.lost_families, 0) AS lost_families,
        coalesce(tasks.unanswered, 0) AS unanswered,
        signs.least_wins,
        coalesce(speeds.blocks, 0) AS blocks,
        coalesce(speeds.runs, 0) AS runs,
        speeds.slower_runs,
        speeds.faster_runs,
        speeds.before_wall_ns,
        speeds.after_wall_ns,
        speeds.change_ppm,
        speeds.noise_ppm,
        coalesce(
            speeds.exceeds_noise AND speeds.exceeds_floors AND speeds.exceeds_chance
            AND abs(speeds.change_ppm) > bounds.bound_ppm,
            false
        ) AS is_clear,
        list_filter(
            [
                if(speeds.exceeds_chance, NULL, 'chance'),
                if(speeds.exceeds_noise, NULL, 'the noise of the blocks'),
                if(speeds.exceeds_floors, NULL, 'the floors of comparisons'),
                if(
                    abs(speeds.change_ppm) > bounds.bound_ppm,
                    NULL,
                    'the ' || v1.percent_text(bounds.bound_ppm) || ' that the canaries bound'
                )
            ],
            lambda limit_of: limit_of IS NOT NULL
        ) AS within,
        CASE
            WHEN sides.new IS NULL THEN 'only_before'
            WHEN sides.old IS NULL THEN 'only_after'
        END AS only_signal,
        CASE
            WHEN tasks.shared_tasks IS NULL THEN 'no_shared_tasks'
            WHEN
                tasks.pairs = 0
                OR CAST(tasks.pairs AS HUGEINT) * 1000000
                < CAST(tasks.shared_tasks AS HUGEINT) * bounds.min_pair_ppm
                THEN 'too_few_pairs'
        END AS task_signal,
        CASE
            WHEN bounds.answers_alone THEN 'answers_alone'
            WHEN coalesce(speeds.blocks, 0) < 2 THEN 'too_few_blocks'
            WHEN NOT bounds.is_steady THEN 'unsteady'
        END AS time_signal
    FROM sides
    INNER JOIN bounds USING (before_sweep, after_sweep, model_id)
    LEFT JOIN tasks USING (before_sweep, after_sweep, model_id, quant_tag)
    LEFT JOIN v1.diff_speed AS speeds USING (before_sweep, after_sweep, model_id, quant_tag)
    LEFT JOIN v1.sign_table AS signs
        ON signs.evidence_level_ppm = bounds.evidence_level_ppm
        AND signs.pairs = tasks.lost + tasks.gained
),

reasoned AS (
    SELECT
        joined.*,
        coalesce(only_reason.code, joined.answers_reason, task_reason.code) AS answers_why,
        coalesce(only_reason.code, joined.times_reason, time_reason.code) AS times_why
    FROM joined
    LEFT JOIN v1.reason AS only_reason
        ON only_reason.scope = 'comparison' AND only_reason.signal = joined.only_signal
    LEFT JOIN v1.reason AS task_reason
        ON task_reason.scope = 'comparison' AND task_reason.signal = joined.task_signal
    LEFT JOIN v1.reason AS time_reason
        ON time_reason.scope = 'comparison' AND time_reason.signal = joined.time_signal
),

judged AS (
    SELECT
        *,
        CASE
            WHEN answers_why IS NOT NULL THEN 'NOT_COMPARABLE'
            WHEN lost >= least_wins THEN 'WORSE'
            WHEN gained >= least_wins THEN 'BETTER'
            ELSE 'NO_DIFFERENCE'
        END AS answers,
        CASE
            WHEN times_why IS NOT NULL THEN 'NOT_COMPARABLE'
            WHEN is_clear AND change_ppm > 0 AND slower_runs > faster_runs THEN 'WORSE'
            WHEN is_clear AND change_ppm < 0 AND faster_runs > slower_runs THEN 'BETTER'
            ELSE 'NO_DIFFERENCE'
        END AS times
    FROM reasoned
)

SELECT
    before_sweep,
    after_sweep,
    model_id,
    after_model,
    quant_tag,
    -- Either sweep may lack quants of the other, so the ranks of neither would do.
    rank() OVER (
        PARTITION BY before_sweep, after_sweep, model_id
        ORDER BY coalesce(new.bits_per_weight_micro, old.bits_per_weight_micro) NULLS FIRST
    ) AS quant_rank,
    CASE
        WHEN answers = 'WORSE' OR times = 'WORSE' THEN 'WORSE'
        WHEN answers = 'BETTER' OR times = 'BETTER' THEN 'BETTER'
        WHEN answers = 'NO_DIFFERENCE' OR times = 'NO_DIFFERENCE' THEN 'NO_DIFFERENCE'
        ELSE 'NOT_COMPARABLE'
    END AS verdict,
    answers AS answers_verdict,
    answers_why AS answers_reason,
    times AS times_verdict,
    times_why AS times_reason,
    shared_tasks,
    pairs,
    before_passes,
    after_passes,
    lost,
    gained,
    lost_families,
    least_wins AS needed,
    unanswered,
    blocks,
    runs,
    before_wall_ns,
    after_wall_ns,
    if(times_why IS NULL, change_ppm, NULL) AS change_ppm,
    if(times_why IS NULL, noise_ppm, NULL) AS noise_ppm,
    bound_ppm,
    if(times = 'NO_DIFFERENCE', within, NULL) AS times_within,
    CASE
        WHEN old IS NULL OR new IS NULL THEN NULL
        WHEN old.model_digest IS NULL OR new.model_digest IS NULL THEN 'NOT_KNOWN'
        WHEN old.model_digest = new.model_digest THEN 'SAME'
        ELSE 'OTHER'
    END AS weights,
    old.model_digest AS before_digest,
    new.model_digest AS after_digest,
    old.publisher AS before_publisher,
    new.publisher AS after_publisher
FROM judged;

COMMENT ON VIEW v1.diff_quant IS 'Each quant in two sweeps: better, worse, no difference shown, or not to be compared. One row per pair, model and quant.';
COMMENT ON COLUMN v1.diff_quant.verdict IS 'WORSE, BETTER, NO_DIFFERENCE or NOT_COMPARABLE: the first that answers or times have';
COMMENT ON COLUMN v1.diff_quant.answers_verdict IS 'The same of the answers';
COMMENT ON COLUMN v1.diff_quant.answers_reason IS 'Why answers cannot be compared';
COMMENT ON COLUMN v1.diff_quant.times_verdict IS 'The same of the times';
COMMENT ON COLUMN v1.diff_quant.times_reason IS 'Why times cannot be compared';
COMMENT ON COLUMN v1.diff_quant.shared_tasks IS 'Tasks asked in both, in one revision';
COMMENT ON COLUMN v1.diff_quant.pairs IS 'Of these, with a verdict in both';
COMMENT ON COLUMN v1.diff_quant.before_passes IS 'Of these, passed in the first sweep';
COMMENT ON COLUMN v1.diff_quant.after_passes IS 'Of these, passed in the second';
COMMENT ON COLUMN v1.diff_quant.lost IS 'Passed in the first sweep alone';
COMMENT ON COLUMN v1.diff_quant.gained IS 'Passed in the second sweep alone';
COMMENT ON COLUMN v1.diff_quant.lost_families IS 'Families of the lost tasks';
COMMENT ON COLUMN v1.diff_quant.needed IS 'So many lost or gained of those that differ would not be chance; NULL where no number would do';
COMMENT ON COLUMN v1.diff_quant.unanswered IS 'Shared tasks that the first has a verdict on, and of which every call of the second failed';
COMMENT ON COLUMN v1.diff_quant.blocks IS 'Repetitions that both have timed';
COMMENT ON COLUMN v1.diff_quant.before_wall_ns IS 'Mean wall time of the paired runs in the first sweep, ns';
COMMENT ON COLUMN v1.diff_quant.change_ppm IS 'By how much the second takes longer, ppm; NULL where times cannot be compared';
COMMENT ON COLUMN v1.diff_quant.noise_ppm IS 'What that has to exceed to be more than what differs between blocks, ppm';
COMMENT ON COLUMN v1.diff_quant.bound_ppm IS 'What the canaries bound the variation by, the larger one, ppm';
COMMENT ON COLUMN v1.diff_quant.quant_rank IS 'Place by bits per weight among the quants of both, 1 = least precise';
COMMENT ON COLUMN v1.diff_quant.times_within IS 'What the change of time does not exceed, where no difference is shown';
COMMENT ON COLUMN v1.diff_quant.weights IS 'SAME, OTHER or NOT_KNOWN, by their digests';
COMMENT ON COLUMN v1.diff_quant.before_digest IS 'Identity of the weights of the first sweep';
COMMENT ON COLUMN v1.diff_quant.after_digest IS 'Identity of the weights of the second sweep';
COMMENT ON COLUMN v1.diff_quant.before_publisher IS 'Who made those of the first sweep';
COMMENT ON COLUMN v1.diff_quant.after_publisher IS 'Who made those of the second sweep';

-- Grain: sweep x model x quant x planned task that was asked; tasks that failed everywhere,
-- or could not be checked for all, left out.
-- Inputs: v1.quant, v1.task_aggregate, v1.task_standing, v1.planned_run, v1.policy.
-- Rules: every quant is held against the reference, task by task. That is the most
-- precise planned quant of known rank; only where it has a verdict on fewer than
-- min_pair_ppm of the tasks does the next one stand in for it, and says so. A task has a
-- verdict under a quant when it has enough valid runs and a check that was tried; it is
-- paired when both have one. A task without a family is its own family.

CREATE VIEW v1.task_pair AS
WITH verdicts AS (
    SELECT
        *,
        is_covered AND adherence_nano IS NOT NULL AS has_verdict
    FROM v1.task_aggregate
    INNER JOIN v1.task_standing USING (sweep_id, model_id, test_id)
    WHERE is_asked AND NOT failed_everywhere AND NOT is_unsupported
),

families AS (
    SELECT DISTINCT sweep_id, test_id, family FROM v1.planned_run
),

ranks AS (
    SELECT
        *,
        quant_rank < max(quant_rank) OVER (PARTITION BY sweep_id, model_id) AS is_shifted
    FROM v1.quant
),

standing AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        ranks.quant_rank,
        ranks.rank_known,
        ranks.is_shifted,
        count(verdicts.test_id) AS tasks,
        count(*) FILTER (WHERE verdicts.has_verdict) AS judged_tasks
    FROM ranks
    LEFT JOIN verdicts USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

baselines AS (
    SELECT sweep_id, model_id, quant_tag, is_shifted
    FROM standing
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    WHERE
        rank_known AND judged_tasks > 0
        AND judged_tasks * 1000000 >= tasks * policy.min_pair_ppm
    QUALIFY row_number() OVER (PARTITION BY sweep_id, model_id ORDER BY quant_rank DESC) = 1
)

SELECT
    own.sweep_id,
    own.model_id,
    own.quant_tag,
    own.test_id,
    coalesce(families.family, own.test_id) AS family,
    baselines.quant_tag AS baseline_quant_tag,
    baselines.is_shifted AS baseline_shifted,
    own.has_verdict AND coalesce(other.has_verdict, false) AS is_paired,
    baselines.quant_tag IS NULL OR other.test_id IS NOT NULL AS is_common,
    if(own.has_verdict, own.is_passed, NULL) AS own_passed,
    if(other.has_verdict, other.is_passed, NULL) AS baseline_passed,
    if(own.has_verdict, own.adherence_nano, NULL) AS own_adherence_nano,
    if(other.has_verdict, other.adherence_nano, NULL) AS baseline_adherence_nano,
    if(own.has_verdict, own.checks_passed, NULL) AS own_checks_passed,
    if(own.has_verdict, own.checks_total, NULL) AS own_checks_total,
    if(other.has_verdict, other.checks_passed, NULL) AS baseline_checks_passed,
    if(other.has_verdict, other.checks_total, NULL) AS baseline_checks_total,
    own.mean_wall_ns AS own_wall_ns,
    other.mean_wall_ns AS baseline_wall_ns,
    own.median_wall_ns AS own_typical_ns,
    other.median_wall_ns AS baseline_typical_ns,
    own.mean_completion_tokens_milli AS own_tokens_milli,
    other.mean_completion_tokens_milli AS baseline_tokens_milli
FROM verdicts AS own
LEFT JOIN families USING (sweep_id, test_id)
LEFT JOIN baselines USING (sweep_id, model_id)
LEFT JOIN verdicts AS other
    ON other.sweep_id = own.sweep_id
    AND other.model_id = own.model_id
    AND other.quant_tag = baselines.quant_tag
    AND other.test_id = own.test_id;

COMMENT ON VIEW v1.task_pair IS 'Each task of each quant beside the same task of the reference. One row per sweep, model, quant and task.';
COMMENT ON COLUMN v1.task_pair.family IS 'Family of the task; the task itself where none is declared';
COMMENT ON COLUMN v1.task_pair.baseline_quant_tag IS 'The most precise planned quant of known rank that has a verdict on enough tasks, NULL if there is none';
COMMENT ON COLUMN v1.task_pair.baseline_shifted IS 'A more precise one was planned';
COMMENT ON COLUMN v1.task_pair.is_paired IS 'Both have a verdict on this task';
COMMENT ON COLUMN v1.task_pair.is_common IS 'The reference was asked it too, or there is none';
COMMENT ON COLUMN v1.task_pair.own_passed IS 'This quant passes; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.baseline_passed IS 'The reference passes; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.own_adherence_nano IS 'Its adherence, 1e-9; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.baseline_adherence_nano IS 'The reference''s adherence, 1e-9; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.own_checks_passed IS 'Its checks passed; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.own_checks_total IS 'Its checks tried; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.baseline_checks_passed IS 'The reference''s checks passed; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.baseline_checks_total IS 'The reference''s checks tried; NULL without a verdict';
COMMENT ON COLUMN v1.task_pair.own_wall_ns IS 'Its mean wall time, ns';
COMMENT ON COLUMN v1.task_pair.baseline_wall_ns IS 'The reference''s mean wall time, ns';
COMMENT ON COLUMN v1.task_pair.own_typical_ns IS 'Its median wall time, ns';
COMMENT ON COLUMN v1.task_pair.baseline_typical_ns IS 'The reference''s median wall time, ns';
COMMENT ON COLUMN v1.task_pair.own_tokens_milli IS 'Its mean tokens generated, 1/1000';
COMMENT ON COLUMN v1.task_pair.baseline_tokens_milli IS 'The reference''s mean tokens generated, 1/1000';

-- Grain: sweep x model x quant.
-- Inputs: v1.manifest, v1.quant, v1.planned_run, v1.runs, v1.attempts, v1.determinism,
-- v1.quant_tasks, v1.quant_trend, v1.reason.
-- Rules: what is to be said of the runs of a quant beside its figures: codes of the
-- counting attempts, where a planned run without any is NOT_RUN, unless it was not asked.

CREATE VIEW v1.quant_notes AS
WITH not_run AS (
    SELECT code FROM v1.reason WHERE scope = 'run' AND signal = 'not_run'
),

codes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest(if(attempt_id IS NULL, [not_run.code], run_quality_reasons)) AS code
    FROM v1.runs
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    CROSS JOIN not_run
    WHERE phase = 'matrix' AND (attempt_id IS NOT NULL OR manifest."order" <> 'adaptive')
),

counts AS (
    SELECT sweep_id, model_id, quant_tag, code, count(*) AS runs FROM codes GROUP BY ALL
),

reasons AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list({'reason': code, 'runs': runs} ORDER BY code) AS run_quality_reason_counts
    FROM counts
    GROUP BY ALL
),

causes AS (
    SELECT
        sweep_id,
        runs.model_id,
        runs.quant_tag,
        coalesce(attempts.error_class, attempts.outcome) AS error_class,
        attempts.error_message,
        count(*) AS runs
    FROM v1.runs AS runs
    INNER JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
    WHERE runs.phase = 'matrix' AND attempts.outcome NOT IN ('OK', 'CANCELLED')
    GROUP BY ALL
),

failures AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list(
            {'error_class': error_class, 'error_message': error_message, 'runs': runs}
            ORDER BY runs DESC, error_class, error_message
        ) AS failures
    FROM causes
    GROUP BY ALL
),

run_notes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list_distinct(flatten(list(coalesce(advisories, [])))) AS advisories,
        list_sort(list_distinct(flatten(list(coalesce(unobserved_reasons, [])))))
            AS unobserved_reasons
    FROM v1.runs
    WHERE phase = 'matrix'
    GROUP BY ALL
),

signals AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest([
            {'signal': 'failed_everywhere', 'holds': tasks.failed_everywhere_tasks > 0},
            {'signal': 'has_drift', 'holds': trend.has_drift},
            {'signal': 'has_unsupported_tasks', 'holds': tasks.unsupported_tasks > 0},
            {'signal': 'has_outliers', 'holds': tasks.outlier_runs > 0},
            {'signal': 'has_stragglers', 'holds': tasks.straggler_runs > 0}
        ], recursive := true)
    FROM v1.quant_tasks AS tasks
    LEFT JOIN v1.quant_trend AS trend USING (sweep_id, model_id, quant_tag)
),

quant_notes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        coalesce(list(code) FILTER (WHERE holds), []) AS advisories
    FROM signals
    INNER JOIN v1.reason AS reason USING (signal)
    WHERE reason.scope = 'quant'
    GROUP BY ALL
),

repeats AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(is_deterministic) AS repeated_groups,
        count(*) FILTER (WHERE is_deterministic) AS deterministic_groups
    FROM v1.determinism
    SEMI JOIN v1.planned_run USING (sweep_id, model_id, quant_tag, test_id)
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    list_transform(
        coalesce(reasons.run_quality_reason_counts, []), lambda entry: entry.reason
    ) AS run_quality_reasons,
    coalesce(reasons.run_quality_reason_counts, []) AS run_quality_reason_counts,
    coalesce(failures.failures, []) AS failures,
    list_sort(list_concat(coalesce(run_notes.advisories, []), quant_notes.advisories))
        AS advisories,
    coalesce(run_notes.unobserved_reasons, []) AS unobserved_reasons,
    coalesce(repeats.repeated_groups, 0) AS repeated_groups,
    coalesce(repeats.deterministic_groups, 0) AS deterministic_groups,
    v1.micro(repeats.deterministic_groups, repeats.repeated_groups) AS determinism_micro
FROM v1.quant AS quant
INNER JOIN quant_notes USING (sweep_id, model_id, quant_tag)
LEFT JOIN reasons USING (sweep_id, model_id, quant_tag)
LEFT JOIN failures USING (sweep_id, model_id, quant_tag)
LEFT JOIN run_notes USING (sweep_id, model_id, quant_tag)
LEFT JOIN repeats USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_notes IS 'What is to be said of the runs of a quant. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_notes.run_quality_reasons IS 'Reasons of the counting attempts, sorted; NOT_RUN where there is none';
COMMENT ON COLUMN v1.quant_notes.run_quality_reason_counts IS 'The same with the number of planned runs';
COMMENT ON COLUMN v1.quant_notes.failures IS 'Why planned runs have no answer: class, message and runs, most frequent first';
COMMENT ON COLUMN v1.quant_notes.advisories IS 'What is worth a note, sorted';
COMMENT ON COLUMN v1.quant_notes.unobserved_reasons IS 'Reasons that could not be observed in some run, sorted';
COMMENT ON COLUMN v1.quant_notes.repeated_groups IS 'Groups of equal requests with two attempts or more';
COMMENT ON COLUMN v1.quant_notes.deterministic_groups IS 'Of these, with one distinct answer';
COMMENT ON COLUMN v1.quant_notes.determinism_micro IS 'The share of these, 1e-6';

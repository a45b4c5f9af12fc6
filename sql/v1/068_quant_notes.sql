-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.runs, v1.determinism, v1.quant_trend.
-- Rules: what is to be said of the runs of a quant beside its figures: codes of the
-- counting attempts, where a planned run without any is NOT_RUN.

CREATE VIEW v1.quant_notes AS
WITH codes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest(if(attempt_id IS NULL, ['NOT_RUN'], run_quality_reasons)) AS code
    FROM v1.runs
    WHERE phase = 'matrix'
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

notes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list_sort(list_distinct(flatten(list(coalesce(advisories, []))))) AS advisories,
        list_sort(list_distinct(flatten(list(coalesce(unobserved_reasons, [])))))
            AS unobserved_reasons
    FROM v1.runs
    WHERE phase = 'matrix'
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
    coalesce(notes.advisories, []) AS advisories,
    coalesce(notes.unobserved_reasons, []) AS unobserved_reasons,
    coalesce(trend.has_drift, false) AS has_drift,
    coalesce(repeats.repeated_groups, 0) AS repeated_groups,
    coalesce(repeats.deterministic_groups, 0) AS deterministic_groups,
    v1.micro(repeats.deterministic_groups, repeats.repeated_groups) AS determinism_micro
FROM v1.quant AS quant
LEFT JOIN reasons USING (sweep_id, model_id, quant_tag)
LEFT JOIN notes USING (sweep_id, model_id, quant_tag)
LEFT JOIN repeats USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.quant_trend AS trend USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_notes IS 'What is to be said of the runs of a quant. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_notes.run_quality_reasons IS 'Reasons of the counting attempts, sorted; NOT_RUN where there is none';
COMMENT ON COLUMN v1.quant_notes.run_quality_reason_counts IS 'The same with the number of planned runs';
COMMENT ON COLUMN v1.quant_notes.advisories IS 'What is worth a note, sorted';
COMMENT ON COLUMN v1.quant_notes.unobserved_reasons IS 'Reasons that could not be observed in some run, sorted';
COMMENT ON COLUMN v1.quant_notes.repeated_groups IS 'Groups of equal requests with two attempts or more';
COMMENT ON COLUMN v1.quant_notes.deterministic_groups IS 'Of these, with one distinct answer';
COMMENT ON COLUMN v1.quant_notes.determinism_micro IS 'The share of these, 1e-6';

-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.baseline_match.
-- Rules: the stored baselines of all tests of a quant, folded. The worst verdict speaks for
-- the quant; one reason is named only where all unmatched tests share it.

CREATE VIEW v1.baseline_comparison AS
WITH reasons AS (
    SELECT sweep_id, model_id, quant_tag, reason, count(*) AS tests
    FROM v1.baseline_match
    WHERE reason IS NOT NULL
    GROUP BY ALL
),

reason_lists AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        if(count(*) = 1, min(reason), NULL) AS reason,
        list({'key': reason, 'value': tests} ORDER BY reason) AS reason_counts
    FROM reasons
    GROUP BY ALL
),

verdict_lists AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list({'key': verdict, 'value': tests} ORDER BY verdict) AS verdict_counts
    FROM (
        SELECT sweep_id, model_id, quant_tag, verdict, count(*) AS tests
        FROM v1.baseline_match
        WHERE verdict IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY ALL
),

folds AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS total_tests,
        count(*) FILTER (WHERE status = 'MATCHED') AS matched_tests,
        list(DISTINCT verdict) AS verdicts,
        list_sort(list_distinct(flatten(list(coalesce(baseline_run_ids, [])))))
            AS baseline_runs,
        TRY_CAST(
            v1.scaled(sum(adherence_delta_nano), count(adherence_delta_nano) * 1000, 1)
            AS BIGINT
        ) AS adherence_delta_micro,
        TRY_CAST(v1.scaled(sum(latency_delta_ns), count(latency_delta_ns), 1) AS BIGINT)
            AS latency_delta_ns,
        if(count(DISTINCT latency_status) > 1, 'MIXED', min(latency_status))
            AS latency_status,
        first(
            {
                'event_id': nearest_event_id,
                'test_id': test_id,
                'measured_at': nearest_measured_at,
                'differing_fields': nearest_differing
            }
            ORDER BY test_id
        ) FILTER (WHERE status <> 'MATCHED' AND nearest_event_id IS NOT NULL) AS nearest
    FROM v1.baseline_match
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    CASE
        WHEN folds.matched_tests = folds.total_tests THEN 'MATCHED'
        WHEN folds.matched_tests > 0 THEN 'PARTIAL'
        ELSE 'MISSING_BASELINE'
    END AS status,
    reason_lists.reason,
    coalesce(reason_lists.reason_counts, []) AS reason_counts,
    coalesce(
        list_filter(
            ['REGRESSED', 'IMPROVED', 'STABLE', 'INSUFFICIENT', 'NOT_COMPARABLE'],
            lambda verdict: list_contains(folds.verdicts, verdict)
        )[1],
        'MISSING_BASELINE'
    ) AS verdict,
    coalesce(verdict_lists.verdict_counts, []) AS verdict_counts,
    coalesce(folds.matched_tests, 0) AS matched_tests,
    coalesce(folds.total_tests, 0) AS total_tests,
    coalesce(folds.baseline_runs, []) AS baseline_runs,
    folds.adherence_delta_micro,
    folds.latency_delta_ns,
    folds.latency_status,
    folds.nearest
FROM v1.quant AS quant
LEFT JOIN folds USING (sweep_id, model_id, quant_tag)
LEFT JOIN reason_lists USING (sweep_id, model_id, quant_tag)
LEFT JOIN verdict_lists USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.baseline_comparison IS 'Each quant against the stored baselines of its tests. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.baseline_comparison.status IS 'MATCHED, PARTIAL or MISSING_BASELINE, over its tests';
COMMENT ON COLUMN v1.baseline_comparison.reason IS 'Why tests have no baseline, where they share one reason';
COMMENT ON COLUMN v1.baseline_comparison.reason_counts IS 'The reasons with the number of tests';
COMMENT ON COLUMN v1.baseline_comparison.verdict IS 'The worst verdict of its tests';
COMMENT ON COLUMN v1.baseline_comparison.verdict_counts IS 'The verdicts with the number of tests';
COMMENT ON COLUMN v1.baseline_comparison.matched_tests IS 'Tests with a stored baseline';
COMMENT ON COLUMN v1.baseline_comparison.total_tests IS 'Tests';
COMMENT ON COLUMN v1.baseline_comparison.baseline_runs IS 'Runs behind the stored baselines, sorted';
COMMENT ON COLUMN v1.baseline_comparison.adherence_delta_micro IS 'Mean change of the adherence over matched tests, 1e-6';
COMMENT ON COLUMN v1.baseline_comparison.latency_delta_ns IS 'Mean change of the latency over comparable tests, ns';
COMMENT ON COLUMN v1.baseline_comparison.latency_status IS 'The status that all tests share, else MIXED';
COMMENT ON COLUMN v1.baseline_comparison.nearest IS 'The nearest stored baseline of the first unmatched test, and what differs';

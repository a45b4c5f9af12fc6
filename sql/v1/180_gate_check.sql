-- Grain: sweep x model x quant x check.
-- Inputs: v1.frontier, v1.quant_rule, v1.baseline_match, v1.policy, v1.reason.
-- Rules: what a quant has to hold so that it may go on being used. ELIGIBLE: it passes every
-- gate. ANSWERS and TIME: no test is worse than its stored baseline, as v1.baseline_match has
-- it, and no gain makes up for one. A test is judged where it has a baseline, both sides have
-- enough runs, and for TIME where times are comparable. One worse test fails the check;
-- without one it has passed only where min_pair_ppm of the tests were judged: what was not
-- measured passes nothing, and is NOT_JUDGED. Where answers alone are judged no time is asked.

CREATE VIEW v1.gate_check AS
WITH unmet AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        arg_min(words, place) AS words
    FROM v1.quant_rule
    WHERE is_gate AND state <> 'MET'
    GROUP BY ALL
),

facts AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        status,
        reason,
        verdict,
        unnest([
            {
                'check_name': 'ANSWERS',
                'is_worse': adherence_changed AND adherence_delta_nano < 0,
                'unmeasured': if(adherence_delta_nano IS NULL, 'ADHERENCE_UNAVAILABLE', NULL)
            },
            {
                'check_name': 'TIME',
                'is_worse': latency_changed AND latency_delta_ns > 0,
                'unmeasured': nullif(latency_status, 'COMPARABLE')
            }
        ], recursive := true)
    FROM v1.baseline_match
),

tests AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        check_name,
        is_worse,
        CASE
            WHEN status <> 'MATCHED' THEN reason
            WHEN verdict = 'INSUFFICIENT' THEN verdict
            ELSE unmeasured
        END AS hindrance
    FROM facts
),

hindrances AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        check_name,
        hindrance,
        count(*) AS tests
    FROM tests
    WHERE hindrance IS NOT NULL
    GROUP BY ALL
),

told AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        check_name,
        string_agg(
            v1.count_text(tests, 'test') || ': '
            || CASE
                WHEN hindrance = 'INSUFFICIENT'
                    THEN 'fewer than ' || v1.count_text(policy.compare_min_runs, 'run')
                    || ' on a side'
                WHEN hindrance = 'CONTROLS_DIFFER' THEN 'other controls were asked for'
                ELSE coalesce(reason.meaning, lower(replace(hindrance, '_', ' ')))
            END,
            '; '
            ORDER BY tests DESC, hindrance
        ) AS words,
        arg_max(
            if(
                hindrance = 'INSUFFICIENT',
                'measure with --runs ' || policy.compare_min_runs,
                coalesce(reason.remedy, 'see orket baseline resolve')
            ),
            (tests, hindrance)
        ) AS remedy
    FROM hindrances
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.reason AS reason
        ON reason.scope = 'baseline' AND reason.code = hindrances.hindrance
    GROUP BY ALL
),

folds AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        check_name,
        count(*) AS tests,
        count(*) FILTER (WHERE hindrance IS NULL) AS judged,
        coalesce(
            list(test_id ORDER BY test_id) FILTER (WHERE hindrance IS NULL AND is_worse), []
        ) AS worse
    FROM tests
    GROUP BY ALL
),

compared AS (
    SELECT
        frontier.sweep_id,
        frontier.model_id,
        frontier.quant_tag,
        kinds.check_name,
        kinds.place,
        coalesce(folds.tests, 0) AS tests,
        coalesce(folds.judged, 0) AS judged,
        coalesce(folds.worse, []) AS worse,
        told.words AS hindered,
        told.remedy,
        CASE
            WHEN len(folds.worse) > 0 THEN 'FAILED'
            WHEN
                folds.judged > 0
                AND folds.judged * 1000000 >= folds.tests * policy.min_pair_ppm
                THEN 'PASSED'
            ELSE 'NOT_JUDGED'
        END AS state
    FROM v1.frontier AS frontier
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    CROSS JOIN (VALUES ('ANSWERS', 2), ('TIME', 3)) AS kinds (check_name, place)
    LEFT JOIN folds
        ON folds.sweep_id = frontier.sweep_id
        AND folds.model_id = frontier.model_id
        AND folds.quant_tag = frontier.quant_tag
        AND folds.check_name = kinds.check_name
    LEFT JOIN told
        ON told.sweep_id = frontier.sweep_id
        AND told.model_id = frontier.model_id
        AND told.quant_tag = frontier.quant_tag
        AND told.check_name = kinds.check_name
    WHERE kinds.check_name <> 'TIME' OR NOT coalesce(policy.quality_only, false)
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    CAST(1 AS BIGINT) AS place,
    'ELIGIBLE' AS check_name,
    if(frontier.is_eligible, 'PASSED', 'FAILED') AS state,
    if(
        frontier.is_eligible,
        'it passes every gate',
        coalesce(unmet.words, 'it could not be judged')
    ) AS words,
    if(frontier.is_eligible, NULL, 'see orket why ' || quant_tag) AS remedy,
    CAST([] AS VARCHAR[]) AS worse_tests,
    CAST(NULL AS BIGINT) AS judged_tests,
    CAST(NULL AS BIGINT) AS tests,
    false AS is_against_baseline
FROM v1.frontier AS frontier
LEFT JOIN unmet USING (sweep_id, model_id, quant_tag)
UNION ALL
SELECT
    sweep_id,
    model_id,
    quant_tag,
    place,
    check_name,
    state,
    CASE state
        WHEN 'FAILED'
            THEN len(worse) || ' of ' || v1.count_text(judged, 'test')
            || if(check_name = 'TIME', ' take longer than', ' are answered worse than')
            || ' the stored baseline'
        WHEN 'PASSED'
            THEN 'none of ' || v1.count_text(judged, 'test')
            || if(check_name = 'TIME', ' takes longer than', ' is answered worse than')
            || ' the stored baseline'
        ELSE judged || ' of ' || v1.count_text(tests, 'test')
            || ' can be held against a stored baseline'
            || coalesce('; ' || hindered, '')
    END AS words,
    CASE state
        WHEN 'FAILED' THEN 'see orket baseline resolve'
        WHEN 'NOT_JUDGED' THEN coalesce(remedy, 'see orket baseline resolve')
    END AS remedy,
    worse AS worse_tests,
    judged AS judged_tests,
    tests,
    true AS is_against_baseline
FROM compared;

COMMENT ON VIEW v1.gate_check IS 'What each quant has to hold to go on being used. One row per sweep, model, quant and check.';
COMMENT ON COLUMN v1.gate_check.place IS 'Place among the checks';
COMMENT ON COLUMN v1.gate_check.check_name IS 'ELIGIBLE, ANSWERS or TIME';
COMMENT ON COLUMN v1.gate_check.state IS 'PASSED, FAILED or NOT_JUDGED';
COMMENT ON COLUMN v1.gate_check.words IS 'Its figures in words';
COMMENT ON COLUMN v1.gate_check.remedy IS 'What to do; NULL where it has passed';
COMMENT ON COLUMN v1.gate_check.worse_tests IS 'Tests that are worse than their stored baseline, sorted';
COMMENT ON COLUMN v1.gate_check.judged_tests IS 'Tests that could be held against one; NULL of ELIGIBLE';
COMMENT ON COLUMN v1.gate_check.tests IS 'Tests of the quant; NULL of ELIGIBLE';
COMMENT ON COLUMN v1.gate_check.is_against_baseline IS 'It is held against stored baselines';

-- Grain: sweep x model x quant x test.
-- Inputs: v1.task_aggregate, v1.baseline_nearest, v1.baseline_pin, v1.policy, v1.reason.
-- Rules: the matched baseline, or the one reason why there is none: the stage that took
-- out the last candidate. Differing controls block only the latency part. A change counts
-- only beyond the relative floor, the absolute floor and compare_noise times the joint
-- noise (scaled MADs, 1.4826 x MAD); nothing is netted: one regression is a regression.

CREATE VIEW v1.baseline_match AS
WITH matched AS (
    SELECT
        tasks.sweep_id,
        tasks.model_id,
        tasks.quant_tag,
        tasks.test_id,
        tasks.valid_runs,
        tasks.checks_passed,
        tasks.checks_total,
        tasks.median_wall_ns,
        tasks.mad_wall_ns,
        pin.target_event_id IS NOT NULL AND NOT coalesce(nearest.has_pinned, false)
            AS pin_is_missing,
        coalesce(nearest.chosen, false) AND NOT pin_is_missing AS is_matched,
        CASE
            WHEN pin_is_missing THEN 'pinned_run_missing'
            WHEN nearest.event_id IS NULL THEN 'no_baseline'
        END AS signal,
        nearest.dropped_by,
        nearest.event_id AS nearest_event_id,
        nearest.differing,
        nearest.same_controls,
        nearest.pinned,
        nearest.measured_at,
        nearest.age_us,
        nearest.source_run_ids,
        nearest.runs AS baseline_runs,
        nearest.checks_passed AS baseline_checks_passed,
        nearest.checks_total AS baseline_checks_total,
        nearest.latency_median_ns AS baseline_median_ns,
        nearest.latency_mad_ns AS baseline_mad_ns,
        policy.compare_min_runs,
        policy.compare_rel_floor_ppm,
        policy.compare_abs_floor_ns,
        policy.compare_noise_milli
    FROM v1.task_aggregate AS tasks
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.baseline_nearest AS nearest USING (sweep_id, model_id, quant_tag, test_id)
    LEFT JOIN v1.baseline_pin AS pin USING (sweep_id, model_id, quant_tag, test_id)
),

compared AS (
    SELECT
        *,
        CASE
            WHEN NOT is_matched THEN NULL
            WHEN NOT same_controls THEN 'CONTROLS_DIFFER'
            WHEN median_wall_ns IS NULL OR baseline_median_ns IS NULL
                THEN 'LATENCY_UNAVAILABLE'
            ELSE 'COMPARABLE'
        END AS latency_status,
        CASE
            WHEN is_matched
                THEN v1.scaled(checks_passed, checks_total, 1000000000)
                - v1.scaled(baseline_checks_passed, baseline_checks_total, 1000000000)
        END AS adherence_delta_nano,
        CASE WHEN is_matched THEN median_wall_ns - baseline_median_ns END
            AS raw_latency_delta_ns
    FROM matched
),

changes AS (
    SELECT
        *,
        CASE WHEN latency_status = 'COMPARABLE' THEN raw_latency_delta_ns END
            AS latency_delta_ns,
        coalesce(
            latency_status = 'COMPARABLE'
            AND v1.exceeds_ppm(
                abs(raw_latency_delta_ns), baseline_median_ns, compare_rel_floor_ppm
            )
            AND abs(raw_latency_delta_ns) > compare_abs_floor_ns
            AND CAST(raw_latency_delta_ns AS HUGEINT) * raw_latency_delta_ns
            * 100000000 * 1000000
            > CAST(compare_noise_milli AS HUGEINT) * compare_noise_milli
            * (14826 * 14826)
            * (
                CAST(coalesce(mad_wall_ns, 0) AS HUGEINT) * coalesce(mad_wall_ns, 0)
                + CAST(coalesce(baseline_mad_ns, 0) AS HUGEINT)
                * coalesce(baseline_mad_ns, 0)
            ),
            false
        ) AS latency_changed,
        -- |own - baseline| / baseline beyond the relative floor, on exact fractions.
        coalesce(
            abs(
                CAST(checks_passed AS HUGEINT) * baseline_checks_total
                - CAST(baseline_checks_passed AS HUGEINT) * checks_total
            ) * 1000000
            > CAST(baseline_checks_passed AS HUGEINT) * checks_total
            * compare_rel_floor_ppm,
            false
        ) AS adherence_changed
    FROM compared
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    test_id,
    if(is_matched, 'MATCHED', 'MISSING_BASELINE') AS status,
    if(is_matched, NULL, coalesce(missing.code, dropped_by)) AS reason,
    CASE
        WHEN NOT is_matched THEN 'MISSING_BASELINE'
        WHEN
            coalesce(valid_runs, 0) < compare_min_runs
            OR coalesce(baseline_runs, 0) < compare_min_runs
            THEN 'INSUFFICIENT'
        WHEN adherence_delta_nano IS NULL AND latency_status <> 'COMPARABLE'
            THEN 'NOT_COMPARABLE'
        WHEN
            (adherence_changed AND adherence_delta_nano < 0)
            OR (latency_changed AND raw_latency_delta_ns > 0)
            THEN 'REGRESSED'
        WHEN
            (adherence_changed AND adherence_delta_nano > 0)
            OR (latency_changed AND raw_latency_delta_ns < 0)
            THEN 'IMPROVED'
        ELSE 'STABLE'
    END AS verdict,
    if(is_matched, nearest_event_id, NULL) AS baseline_event_id,
    if(is_matched, source_run_ids, NULL) AS baseline_run_ids,
    baseline_runs,
    valid_runs,
    TRY_CAST(adherence_delta_nano AS BIGINT) AS adherence_delta_nano,
    latency_delta_ns,
    latency_status,
    adherence_changed,
    latency_changed,
    nearest_event_id,
    measured_at AS nearest_measured_at,
    age_us AS nearest_age_us,
    differing AS nearest_differing,
    pinned AS nearest_pinned
FROM changes
LEFT JOIN v1.reason AS missing
    ON missing.scope = 'baseline' AND missing.signal = changes.signal;

COMMENT ON VIEW v1.baseline_match IS 'Each cell against its stored baseline. One row per sweep, model, quant and test.';
COMMENT ON COLUMN v1.baseline_match.status IS 'MATCHED or MISSING_BASELINE';
COMMENT ON COLUMN v1.baseline_match.reason IS 'The one reason why there is none: a code of scope baseline in v1.reason';
COMMENT ON COLUMN v1.baseline_match.verdict IS 'IMPROVED, REGRESSED, STABLE, INSUFFICIENT, NOT_COMPARABLE or MISSING_BASELINE';
COMMENT ON COLUMN v1.baseline_match.baseline_event_id IS 'The matched baseline';
COMMENT ON COLUMN v1.baseline_match.baseline_run_ids IS 'Runs it is made of';
COMMENT ON COLUMN v1.baseline_match.baseline_runs IS 'Runs behind the nearest baseline';
COMMENT ON COLUMN v1.baseline_match.valid_runs IS 'Own valid runs';
COMMENT ON COLUMN v1.baseline_match.adherence_delta_nano IS 'This minus baseline, 1e-9';
COMMENT ON COLUMN v1.baseline_match.latency_delta_ns IS 'Median wall time, this minus baseline, where it may be compared, ns';
COMMENT ON COLUMN v1.baseline_match.latency_status IS 'COMPARABLE, CONTROLS_DIFFER or LATENCY_UNAVAILABLE';
COMMENT ON COLUMN v1.baseline_match.adherence_changed IS 'The adherence changed beyond the relative floor';
COMMENT ON COLUMN v1.baseline_match.latency_changed IS 'The latency changed beyond the floors and the noise';
COMMENT ON COLUMN v1.baseline_match.nearest_event_id IS 'The nearest candidate, matched or not';
COMMENT ON COLUMN v1.baseline_match.nearest_measured_at IS 'When it was measured, UTC';
COMMENT ON COLUMN v1.baseline_match.nearest_age_us IS 'Its age at the sweep''s start, us';
COMMENT ON COLUMN v1.baseline_match.nearest_differing IS 'Fields in which it differs, sorted';
COMMENT ON COLUMN v1.baseline_match.nearest_pinned IS 'It is pinned';

-- Grain: sweep x model.
-- Inputs: v1.session, v1.manifest, v1.attempts, v1.telemetry, v1.run_quality, v1.policy,
-- v1.policy_step, v1.reason, v1.spread_table.
-- Rules: the gate before the matrix, over the repetitions of one cell, the last attempt of
-- each; one that was broken off is none. It passes when the adherence is known and does not
-- vary, the time varies less than the control profile allows (population standard deviation
-- / mean, the first repetition left out if the policy says so), telemetry is there as far as
-- the server promises it, and no run failed. Where the server offers no timings the wall time
-- is judged, and latency_basis says so.
-- A sweep that may go on under looser thresholds (v1.policy_step) yields to the next where
-- nothing but an unsteady time fails the gate, or where at least every second of its runs
-- was disturbed so that its time alone does not count. Where that is so and nothing is left
-- to yield to, the gate bounds no claim of speed: what it measured were the others.

CREATE VIEW v1.canary AS
WITH measured AS (
    SELECT
        attempts.sweep_id,
        attempts.model_id,
        attempts.quant_tag,
        attempts.test_id,
        attempts.outcome,
        CASE
            WHEN attempts.outcome = 'OK'
                THEN v1.scaled(attempts.checks_passed, attempts.checks_total, 1000000000)
        END AS adherence_nano,
        quality.lacks_telemetry AS is_missing,
        quality.run_quality_status = 'POLLUTED'
        AND len(
            list_filter(
                quality.run_quality_reasons,
                lambda code: NOT list_contains(timing.codes, code)
            )
        ) = 0 AS is_disturbed,
        quality.run_quality_reasons[1] AS first_reason,
        CASE
            WHEN attempts.outcome <> 'OK' THEN NULL
            WHEN session.capabilities.internal_timings IS TRUE THEN telemetry.internal_ns
            ELSE telemetry.wall_ns
        END AS time_ns,
        attempts.attempt_id,
        attempts.started_at,
        attempts.order_index
    FROM v1.attempts AS attempts
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
    CROSS JOIN (
        SELECT list(code) AS codes
        FROM v1.reason
        WHERE scope = 'run' AND is_timing
    ) AS timing
    WHERE attempts.phase = 'canary' AND attempts.outcome <> 'CANCELLED'
    -- What was owed is made again when a sweep goes on: the last attempt tells.
    QUALIFY
        row_number() OVER (
            PARTITION BY attempts.sweep_id, attempts.run_id
            ORDER BY
                attempts.attempt_number DESC, attempts.recorded_at DESC, attempts.attempt_id
        ) = 1
),

sums AS (
    SELECT
        measured.sweep_id,
        measured.model_id,
        min(measured.quant_tag) AS quant_tag,
        min(measured.test_id) AS test_id,
        count(*) AS runs,
        count(*) FILTER (WHERE measured.outcome <> 'OK') AS failed_runs,
        count(*) FILTER (WHERE measured.outcome = 'OK' AND measured.adherence_nano IS NULL)
            AS unchecked_runs,
        count(*) FILTER (WHERE measured.is_missing) AS missing_runs,
        count(*) FILTER (WHERE measured.is_disturbed) AS disturbed_runs,
        max(measured.first_reason) FILTER (WHERE measured.is_disturbed) AS disturbed_by,
        max(measured.adherence_nano) - min(measured.adherence_nano) AS adherence_range_nano,
        count(measured.time_ns) FILTER (WHERE is_counted) AS times,
        sum(CAST(measured.time_ns AS HUGEINT)) FILTER (WHERE is_counted) AS time_sum,
        sum(CAST(measured.time_ns AS HUGEINT) * measured.time_ns)
            FILTER (WHERE is_counted) AS time_squares
    FROM (
        SELECT
            measured.*,
            NOT policy.canary_drop_first
            OR row_number() OVER (
                PARTITION BY measured.sweep_id, measured.model_id
                ORDER BY measured.started_at, measured.order_index, measured.attempt_id
            ) > 1 AS is_counted
        FROM measured
        INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    ) AS measured
    GROUP BY measured.sweep_id, measured.model_id
),

judged AS (
    SELECT
        session.sweep_id,
        session.model_id,
        session.control_profile,
        session.capabilities.internal_timings IS TRUE AS is_internal,
        sums.quant_tag,
        sums.test_id,
        coalesce(sums.runs, 0) AS runs,
        coalesce(sums.failed_runs, 0) AS failed_runs,
        coalesce(sums.unchecked_runs, 0) AS unchecked_runs,
        coalesce(sums.missing_runs, 0) AS missing_runs,
        coalesce(sums.disturbed_runs, 0) AS disturbed_runs,
        coalesce(sums.runs > 0 AND sums.disturbed_runs * 2 >= sums.runs, false)
            AS is_mostly_disturbed,
        sums.disturbed_by,
        sums.adherence_range_nano,
        v1.cv_micro(sums.times, sums.time_sum, sums.time_squares) AS latency_cv_micro,
        CAST(
            -- The factor is of the sample deviation: n - 1 in the place of n.
            ceil(
                v1.cv_micro(sums.times, sums.time_sum, sums.time_squares)
                * spread.upper_milli * sqrt(sums.times / (sums.times - 1)) / 1000
            ) AS BIGINT
        ) AS latency_cv_upper_micro,
        policy.quality_only,
        policy.canary_repetitions,
        policy.canary_max_latency_cv_ppm,
        policy.canary_max_missing_ppm,
        manifest.canary_planned OR coalesce(sums.runs, 0) > 0 AS is_planned,
        manifest.control_profiles,
        -- cv < limit, exactly: variance * 1e12 < limit_ppm^2 * mean^2.
        coalesce(sums.times, 0) >= 2 AND sums.time_sum > 0 AS cv_known,
        coalesce(
            TRY(
                (sums.times * sums.time_squares - sums.time_sum * sums.time_sum)
                * 1000000000000
                >= CAST(policy.canary_max_latency_cv_ppm AS HUGEINT)
                * policy.canary_max_latency_cv_ppm
                * sums.time_sum * sums.time_sum
            ),
            -- Beyond 128 bits the rounded variation decides.
            v1.cv_micro(sums.times, sums.time_sum, sums.time_squares)
            >= policy.canary_max_latency_cv_ppm
        ) AS cv_too_high
    FROM v1.session AS session
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN sums USING (sweep_id, model_id)
    LEFT JOIN v1.spread_table AS spread
        ON spread.evidence_level_ppm = policy.evidence_level_ppm
        AND spread.degrees = least(
            sums.times - 1, (SELECT max(degrees) FROM v1.spread_table)
        )
),

signals AS (
    SELECT
        sweep_id,
        model_id,
        unnest([
            {'signal': 'adherence_unknown', 'holds': unchecked_runs > 0},
            {'signal': 'adherence_varies', 'holds': adherence_range_nano > 0},
            {'signal': 'latency_unknown', 'holds': NOT cv_known AND NOT quality_only},
            {
                'signal': 'latency_varies',
                'holds': cv_known AND cv_too_high AND NOT quality_only
            },
            {'signal': 'run_failed', 'holds': failed_runs > 0},
            {
                'signal': 'telemetry_missing',
                'holds': v1.exceeds_ppm(missing_runs, runs, canary_max_missing_ppm)
            },
            {'signal': 'too_few_runs', 'holds': runs < canary_repetitions}
        ], recursive := true)
    FROM judged
),

coded AS (
    SELECT
        sweep_id,
        model_id,
        coalesce(list(code ORDER BY code) FILTER (WHERE holds), []) AS reasons,
        any_value(code) FILTER (WHERE holds AND signal = 'latency_varies') AS unsteady_code
    FROM signals
    INNER JOIN v1.reason AS reason USING (signal)
    WHERE reason.scope = 'canary'
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    CASE
        WHEN NOT is_planned THEN 'NOT_RUN'
        WHEN len(coded.reasons) = 0 THEN 'PASSED'
        ELSE 'FAILED'
    END AS verdict,
    if(is_planned, coded.reasons, CAST([] AS VARCHAR[])) AS failed_reasons,
    quant_tag,
    test_id,
    runs,
    failed_runs,
    TRY_CAST(adherence_range_nano AS BIGINT) AS adherence_variance_nano,
    latency_cv_micro,
    latency_cv_upper_micro,
    canary_max_latency_cv_ppm AS latency_cv_limit_ppm,
    if(
        is_mostly_disturbed, NULL, least(canary_max_latency_cv_ppm, latency_cv_upper_micro)
    ) AS latency_bound_ppm,
    if(is_planned, if(is_internal, 'internal', 'wall'), NULL) AS latency_basis,
    NOT quality_only AS is_latency_judged,
    v1.micro(missing_runs, runs) AS missing_telemetry_micro,
    canary_max_missing_ppm AS missing_telemetry_limit_ppm,
    canary_repetitions AS repetitions_required,
    disturbed_runs,
    is_mostly_disturbed,
    CASE
        WHEN NOT is_planned OR step.next_control_profile IS NULL THEN NULL
        WHEN coded.reasons = [unsteady_code] THEN unsteady_code
        WHEN len(coded.reasons) = 0 AND is_mostly_disturbed THEN disturbed_by
    END AS yields_because,
    judged.control_profile,
    -- The strictest known profile whose limit this variation keeps.
    list_sort(
        list_transform(
            list_filter(
                control_profiles,
                lambda known: known.canary_max_latency_cv_ppm > latency_cv_micro
            ),
            lambda known: {
                'limit': known.canary_max_latency_cv_ppm, 'name': known.name
            }
        )
    )[1].name AS passing_profile
FROM judged
INNER JOIN coded USING (sweep_id, model_id)
INNER JOIN v1.policy_step AS step USING (sweep_id, model_id);

COMMENT ON VIEW v1.canary IS 'The gate before the matrix. One row per sweep and model.';
COMMENT ON COLUMN v1.canary.verdict IS 'PASSED, FAILED or NOT_RUN';
COMMENT ON COLUMN v1.canary.failed_reasons IS 'Why it failed, sorted';
COMMENT ON COLUMN v1.canary.quant_tag IS 'Quant of the canary cell';
COMMENT ON COLUMN v1.canary.test_id IS 'Task of the canary cell';
COMMENT ON COLUMN v1.canary.runs IS 'Canary runs';
COMMENT ON COLUMN v1.canary.failed_runs IS 'Of these, failed';
COMMENT ON COLUMN v1.canary.adherence_variance_nano IS 'Largest minus smallest adherence ratio, 1e-9';
COMMENT ON COLUMN v1.canary.latency_cv_micro IS 'Variation of the time, 1e-6';
COMMENT ON COLUMN v1.canary.latency_cv_upper_micro IS 'Bound on the true variation by so few repetitions, 1e-6';
COMMENT ON COLUMN v1.canary.latency_bound_ppm IS 'The smaller of this bound and the limit: what every claim of speed must exceed, ppm; NULL where the gate was mostly disturbed, so that nothing may be said of speed';
COMMENT ON COLUMN v1.canary.latency_cv_limit_ppm IS 'Its limit, ppm';
COMMENT ON COLUMN v1.canary.latency_basis IS 'internal, or wall where the server offers no timings';
COMMENT ON COLUMN v1.canary.is_latency_judged IS 'The time had to be steady; not where answers alone are judged';
COMMENT ON COLUMN v1.canary.missing_telemetry_micro IS 'Share of runs without the telemetry that the server promises, 1e-6';
COMMENT ON COLUMN v1.canary.missing_telemetry_limit_ppm IS 'Its limit, ppm';
COMMENT ON COLUMN v1.canary.repetitions_required IS 'Canary runs that the policy asks for';
COMMENT ON COLUMN v1.canary.disturbed_runs IS 'Runs of which nothing but the time does not count';
COMMENT ON COLUMN v1.canary.is_mostly_disturbed IS 'That was so of at least every second run: its times tell nothing';
COMMENT ON COLUMN v1.canary.yields_because IS 'Why the sweep goes on under its next, looser thresholds; NULL where it does not';
COMMENT ON COLUMN v1.canary.control_profile IS 'Control profile, which bounds every latency claim of the sweep';
COMMENT ON COLUMN v1.canary.passing_profile IS 'The strictest known control profile whose limit this variation keeps';

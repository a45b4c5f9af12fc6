-- Macros of version 1: exact integer arithmetic, and text from scaled integers.
-- Nothing here knows a threshold.

-- Whether twice a product stays within 128 bits, with room for an addition.
CREATE MACRO v1.fits(a, b) AS abs(CAST(a AS DOUBLE)) * abs(CAST(b AS DOUBLE)) < 4e37;

-- n * scale / d as an integer, rounded half up (away from zero); NULL when d is not
-- positive, or where the result leaves 128 bits: no row may make a view fail. Cast before
-- multiplying: a squared nanosecond count leaves BIGINT.
CREATE MACRO v1.scaled(n, d, scale) AS
    CASE
        WHEN d > 0 AND v1.fits(n, scale)
            THEN CAST(sign(n) AS HUGEINT) * (
                (2 * abs(CAST(n AS HUGEINT)) * CAST(scale AS HUGEINT) + CAST(d AS HUGEINT))
                // (2 * CAST(d AS HUGEINT))
            )
    END;

-- The same for 1e-6 units, as BIGINT: the usual form of an exported ratio. NULL where the
-- ratio leaves BIGINT: no figure there is one.
CREATE MACRO v1.micro(n, d) AS TRY_CAST(v1.scaled(n, d, 1000000) AS BIGINT);

-- Whether n / d exceeds ppm parts per million, exactly; NULL when an input is.
CREATE MACRO v1.exceeds_ppm(n, d, ppm) AS
    CASE
        WHEN v1.fits(n, 1000000) AND v1.fits(d, ppm)
            THEN CAST(n AS HUGEINT) * 1000000 > CAST(d AS HUGEINT) * CAST(ppm AS HUGEINT)
    END;

-- A list without its NULLs, sorted by bytes.
CREATE MACRO v1.codes(list_of_codes) AS
    list_sort(list_filter(list_of_codes, lambda code: code IS NOT NULL));

-- Variation of a population in 1e-6 units from its exact sums: sqrt(n*q - s*s) / s.
-- The square root is the only inexact step, and it is correctly rounded everywhere.
CREATE MACRO v1.cv_micro(n, s, q) AS
    CASE
        WHEN n >= 2 AND s > 0 AND v1.fits(n, q) AND v1.fits(s, s)
            THEN TRY_CAST(
                floor(
                    sqrt(
                        CAST(
                            CAST(n AS HUGEINT) * CAST(q AS HUGEINT)
                            - CAST(s AS HUGEINT) * CAST(s AS HUGEINT) AS DOUBLE
                        )
                    )
                    / CAST(s AS DOUBLE) * 1000000 + 0.5
                ) AS BIGINT
            )
    END;

-- A scaled integer as plain decimal text: decimal_text(1234567, 6, 3) is 1.235. The
-- rounded integer is padded with zeros, so that there is always a digit before the point.
CREATE MACRO v1.decimal_text(units, unit_digits, shown_digits) AS
    -- What rounds to nothing has no sign.
    if(v1.scaled(units, pow(10, unit_digits), pow(10, shown_digits)) < 0, '-', '')
    || regexp_replace(
        lpad(
            TRY_CAST(
                v1.scaled(
                    abs(units),
                    CAST(pow(10, unit_digits) AS HUGEINT),
                    CAST(pow(10, shown_digits) AS HUGEINT)
                ) AS VARCHAR
            ),
            40,
            '0'
        ),
        '^0*(\d+)(\d{' || CAST(shown_digits AS VARCHAR) || '})$',
        '\1.\2'
    );

-- The same to the last digit, and at least one: exact_text(25000000, 9) is 0.025. A limit
-- that is rounded for show is another limit.
CREATE MACRO v1.exact_text(units, unit_digits) AS
    regexp_replace(
        v1.decimal_text(units, unit_digits, unit_digits), '(\.\d+?)0*$', '\1'
    );

-- One objective: part / whole must stay below its target (`<`) or reach it (`>=`). Exact
-- comparisons of counts; a whole of 0 is not measured, and NULL is never met.
CREATE MACRO v1.objective(objective_name, part, whole, ppm, must) AS {
    'name': objective_name,
    'value_micro': v1.micro(part, whole),
    'target_ppm': ppm,
    'comparison': must,
    'met': CASE
        WHEN whole > 0 AND must = '<'
            THEN CAST(part AS HUGEINT) * 1000000
            < CAST(whole AS HUGEINT) * CAST(ppm AS HUGEINT)
        WHEN whole > 0
            THEN CAST(part AS HUGEINT) * 1000000
            >= CAST(whole AS HUGEINT) * CAST(ppm AS HUGEINT)
    END
};

-- The value that every row of a group has; NULL where one is unknown or differs.
CREATE MACRO v1.agreed(fact) AS
    CASE WHEN count(fact) = count(*) AND min(fact) = max(fact) THEN min(fact) END;

-- What the rows of a group verified: the value that all have, and whether some differ. A row
-- that could not verify it is no contradiction, but leaves it unverified.
CREATE MACRO v1.told(fact) AS {
    'value': v1.agreed(fact),
    'varies': coalesce(min(fact) <> max(fact), false)
};

-- The same as text.
CREATE MACRO v1.seen(told_fact) AS {
    'value': CAST(told_fact.value AS VARCHAR),
    'varies': told_fact.varies
};

-- A fact of two sweeps; the same unless told otherwise where both are equal, or both unknown.
CREATE MACRO v1.fact(its_place, its_name, old_text, new_text, its_signal, told_same) AS {
    'place': CAST(its_place AS BIGINT),
    'fact': its_name,
    'old': CAST(old_text AS VARCHAR),
    'new': CAST(new_text AS VARCHAR),
    'signal': CAST(its_signal AS VARCHAR),
    'is_same': if(
        CAST(told_same AS BOOLEAN) IS NULL AND its_name NOT IN ('machine', 'server_version'),
        CAST(old_text AS VARCHAR) IS NOT DISTINCT FROM CAST(new_text AS VARCHAR),
        CAST(told_same AS BOOLEAN)
    )
};

-- The entries of one flat JSON object that another has otherwise, as text; NULL if none.
CREATE MACRO v1.differing(own, other) AS nullif(
    array_to_string(
        list_transform(
            list_filter(
                json_keys(own),
                lambda key: (own ->> key) IS DISTINCT FROM (other ->> key)
            ),
            lambda key: key || ' ' || coalesce(own ->> key, 'none')
        ),
        ', '
    ),
    ''
);

-- One bound of the Wilson interval of a share p over n.
CREATE MACRO v1.wilson_bound_micro(p, n, z, side) AS
    CAST(
        greatest(
            0,
            least(
                1000000,
                floor(
                    (p + z * z / (2 * n) + side * (z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))))
                    / (1 + z * z / n)
                    * 1e6 + 0.5
                )
            )
        ) AS BIGINT
    );

-- One bound (side -1 or 1) of the Wilson interval, in 1e-6 units within 0 and 1: a mean in
-- 1e-9 units over n, z in 1e-3 units. Shown, never decided on.
CREATE MACRO v1.wilson_micro(mean_nano, n, z_milli, side) AS
    v1.wilson_bound_micro(
        CAST(mean_nano AS DOUBLE) / 1e9, CAST(n AS DOUBLE), CAST(z_milli AS DOUBLE) / 1e3, side
    );

-- The rates of a sweep or of a history, 1e-6: each the counts that it is made of.
CREATE MACRO v1.kpi_rates(counts) AS {
    determinism_rate_micro: v1.micro(counts.deterministic_groups, counts.determinism_groups),
    slo_determinism_rate_micro:
        v1.micro(counts.slo_deterministic_groups, counts.slo_determinism_groups),
    missing_telemetry_rate_micro: v1.micro(counts.missing_telemetry_runs, counts.attempts),
    polluted_run_rate_micro: v1.micro(counts.polluted_runs, counts.attempts),
    failed_run_rate_micro: v1.micro(counts.failed_runs, counts.attempts),
    frontier_success_rate_micro: v1.micro(counts.recommended_sessions, counts.sessions)
};

-- The four objectives of a sweep or of a history, by name.
CREATE MACRO v1.objectives(counts) AS [
    v1.objective(
        'determinism_rate',
        counts.slo_deterministic_groups,
        counts.slo_determinism_groups,
        counts.slo_determinism_ppm,
        '>='
    ),
    v1.objective(
        'frontier_success_rate',
        counts.recommended_sessions,
        counts.sessions,
        counts.slo_frontier_ppm,
        '>='
    ),
    v1.objective(
        'missing_telemetry_rate',
        counts.missing_telemetry_runs,
        counts.attempts,
        counts.slo_missing_telemetry_ppm,
        '<'
    ),
    v1.objective(
        'polluted_run_rate', counts.polluted_runs, counts.attempts, counts.slo_polluted_ppm, '<'
    )
];

-- A log-probability in 1e-9 nats as a probability in 1e-15.
CREATE MACRO v1.femto(nnats) AS CAST(round(exp(nnats / 1e9) * 1e15) AS BIGINT);

-- p * nats in 1e-15, p in 1e-15: a term of a divergence whose sums are exact.
CREATE MACRO v1.terms_femto(p, nats) AS CAST(round(CAST(p AS DOUBLE) * nats) AS HUGEINT);

-- Student's t at 97.5 %; above 30 degrees of freedom by expansion, right to 1e-5.
CREATE MACRO v1.student_975(df) AS
    CASE
        WHEN df <= 30 THEN [
            12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004,
            2.262157, 2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905,
            2.109816, 2.100922, 2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899,
            2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272
        ][df]
        ELSE 1.959964 + 2.372272 / df + 2.822499 / (df * df) + 2.555848 / (df * df * df)
    END;

-- Half-width of the mean of prompts' sums, from the exact sum of squares of their
-- deviations: positions of one prompt hang together. NULL below two prompts.
CREATE MACRO v1.clustered_half_width(squares, prompts, positions) AS
    CASE
        WHEN prompts >= 2 AND positions > 0 THEN CAST(
            round(
                v1.student_975(prompts - 1)
                * sqrt(
                    CAST(prompts AS DOUBLE) / (prompts - 1) * CAST(squares AS DOUBLE)
                ) / positions
            ) AS BIGINT
        )
    END;

-- A share in ppm as percent, to its last digit: 950000 is `95 %`. A limit is shown so.
CREATE MACRO v1.percent_text(ppm) AS
    regexp_replace(v1.exact_text(ppm, 4), '\.0$', '') || ' %';

-- The same cut to tenths, never rounded up to the limit that it misses.
CREATE MACRO v1.cut_percent_text(ppm) AS v1.decimal_text(ppm // 1000, 1, 1) || ' %';

-- A duration in the unit that reads best: `9.1 ms`, `1.25 s`.
CREATE MACRO v1.time_text(ns) AS
    CASE
        WHEN ns < 1000000000 THEN v1.decimal_text(ns, 6, 1) || ' ms'
        ELSE v1.decimal_text(ns, 9, 2) || ' s'
    END;

-- A limit of time, to its last digit: `1 s`, `250 ms`.
CREATE MACRO v1.time_limit_text(ns) AS
    CASE
        WHEN ns < 1000000000 THEN regexp_replace(v1.exact_text(ns, 6), '\.0$', '') || ' ms'
        ELSE regexp_replace(v1.exact_text(ns, 9), '\.0$', '') || ' s'
    END;

-- Bytes in the unit that reads best: `46.5 MiB`, `4.37 GiB`.
CREATE MACRO v1.size_text(bytes) AS
    CASE
        WHEN bytes < 1073741824
            THEN v1.decimal_text(v1.scaled(bytes, 1048576, 10), 1, 1) || ' MiB'
        ELSE v1.decimal_text(v1.scaled(bytes, 1073741824, 100), 2, 2) || ' GiB'
    END;

-- A count with its word: `1 task`, `2 tasks`.
CREATE MACRO v1.count_text(n, word) AS n || ' ' || word || if(n = 1, '', 's');

-- A stored baseline (an append event) against the cell of a sweep that it may stand for.
CREATE MACRO v1.same_hardware(cell, record) AS
    record.hardware_fingerprint IS NOT DISTINCT FROM cell.hardware_fingerprint
    AND record.hardware_fingerprint IS NOT NULL
    AND record.fingerprint_version IS NOT DISTINCT FROM cell.fingerprint_version
    AND record.fingerprint_version IS DISTINCT FROM 'legacy';

CREATE MACRO v1.same_controls(cell, record) AS
    record.control_profile IS NOT DISTINCT FROM cell.control_profile
    AND record.controls IS NOT DISTINCT FROM cell.controls;

CREATE MACRO v1.baseline_age_us(cell, record) AS
    epoch_us(cell.started_at) - epoch_us(record.measured_at);

-- A prune at a moment: made by then, and not undone by then.
CREATE MACRO v1.prune_is_in_force(prune, moment) AS
    prune.recorded_at <= moment AND NOT coalesce(prune.undone_at <= moment, false);

-- The stage that takes it out, in their order; 9 = none does. A pin may set one apart.
CREATE MACRO v1.baseline_stage(cell, record, pin_event_id) AS
    CASE
        WHEN pin_event_id IS NOT NULL AND pin_event_id <> record.event_id THEN 1
        WHEN NOT v1.same_hardware(cell, record) THEN 2
        WHEN record.task_revision IS DISTINCT FROM cell.task_revision THEN 3
        WHEN record.model_id IS DISTINCT FROM cell.model_id THEN 4
        WHEN record.quant_tag IS DISTINCT FROM cell.quant_tag THEN 5
        -- Nearer than any neighbour: this very quant, made of other weights.
        WHEN coalesce(record.model_digest <> cell.model_digest, false) THEN 6
        WHEN record.run_quality_status IS DISTINCT FROM 'CLEAN' THEN 7
        WHEN
            pin_event_id IS DISTINCT FROM record.event_id
            AND coalesce(v1.baseline_age_us(cell, record) > cell.baseline_max_age_us, true)
            THEN 8
        ELSE 9
    END;

-- The signal of that stage in v1.reason. A pin's own is told by who asks for the pin.
CREATE MACRO v1.baseline_stage_signal(stage) AS
    CASE
        WHEN stage = 2 THEN 'hw_mismatch'
        WHEN stage = 3 THEN 'rev_mismatch'
        WHEN stage IN (4, 6) THEN 'model_mismatch'
        WHEN stage = 5 THEN 'quant_mismatch'
        WHEN stage = 7 THEN 'polluted_baseline'
        WHEN stage = 8 THEN 'stale_baseline'
    END;

CREATE MACRO v1.baseline_differing(cell, record) AS
    v1.codes([
        if(v1.same_controls(cell, record), NULL, 'controls'),
        if(v1.same_hardware(cell, record), NULL, 'hardware_fingerprint'),
        if(
            coalesce(v1.baseline_age_us(cell, record) <= cell.baseline_max_age_us, false),
            NULL,
            'age'
        ),
        if(
            record.model_id IS NOT DISTINCT FROM cell.model_id
            AND record.quant_tag IS NOT DISTINCT FROM cell.quant_tag
            AND record.model_digest <> cell.model_digest,
            'model_digest',
            NULL
        ),
        if(record.model_id IS NOT DISTINCT FROM cell.model_id, NULL, 'model_id'),
        if(record.quant_tag IS NOT DISTINCT FROM cell.quant_tag, NULL, 'quant_tag'),
        if(
            record.run_quality_status IS NOT DISTINCT FROM 'CLEAN',
            NULL,
            'run_quality_status'
        ),
        if(
            record.task_revision IS NOT DISTINCT FROM cell.task_revision,
            NULL,
            'task_revision'
        )
    ]);

-- A stored baseline held against a cell; the pin is that of the cell, or NULL.
CREATE MACRO v1.baseline_held(cell, record, pin_event_id) AS {
    event_id: record.event_id,
    measured_at: record.measured_at,
    age_us: v1.baseline_age_us(cell, record),
    pinned: coalesce(pin_event_id = record.event_id, false),
    same_controls: v1.same_controls(cell, record),
    differing: v1.baseline_differing(cell, record),
    stage: v1.baseline_stage(cell, record, pin_event_id)
};

-- What it holds: the runs that it is made of, and their figures.
CREATE MACRO v1.baseline_figures(record) AS {
    source_run_ids: record.source_run_ids,
    runs: record.runs,
    checks_passed: record.checks_passed,
    checks_total: record.checks_total,
    latency_median_ns: record.latency_median_ns,
    latency_mad_ns: record.latency_mad_ns,
    memory_bytes: record.memory_bytes
};

-- First character, from 1, in which two texts differ; NULL if they do not.
CREATE MACRO v1.first_difference(one, other) AS CASE
    WHEN one <> other
        THEN coalesce(
            list_min(
                list_filter(
                    range(1, least(length(one), length(other)) + 1),
                    lambda place: substr(one, place, 1) <> substr(other, place, 1)
                )
            ),
            least(length(one), length(other)) + 1
        )
END;

-- Grain: sweep x model x quant.
-- Inputs: v1.manifest, v1.quant, v1.session, v1.policy, v1.determinism,
-- v1.attempts, v1.fidelity_row, v1.fidelity_pair, v1.fidelity_position, raw.events.
-- Rules: does a quant do what the reference does, on the sweep's own prompts? It decides
-- nothing: no quant is eligible or out by it. A share is cut, never rounded up. A prompt is
-- kept where the likeliest token is the reference's at every place of the whole answer:
-- greedy decoding then gives this very answer. Positions of one prompt hang together, so
-- that errors are those of a mean of prompts; of no mismatch seen it is at least 3 / n.
-- The reference is held against itself: that is the floor. Where there are no lists, the
-- recorded answers of runs at temperature 0 tell which prompts were kept, against the
-- most precise quant that has any: level DIVERGENCE. Where prompts took longer than there
-- was time for, the later quants were asked fewer (FIDELITY_NARROWED): then all are compared
-- on these alone, so that everybody is on the same. A quant that there was no time for
-- (FIDELITY_LEFT_OUT) has no figures, NO_TIME: what it was not asked is not broken. Where answers part, the first
-- difference is a token of the path, or a character of the recorded answers. Status, first that holds: NOT_RUN
-- (no phase), UNSUPPORTED (no lists, another tokenizer, no reference, other weights in
-- between), DETERMINISM_LOST (the reference is not itself), PARTIAL (broken or too few
-- prompts), REFERENCE, OK.

CREATE VIEW v1.fidelity AS
WITH narrowed AS (
    SELECT
        sweep_id,
        model_id,
        first(test_ids ORDER BY len(test_ids), event_id) AS test_ids
    FROM raw.events
    WHERE event = 'FIDELITY_NARROWED'
    GROUP BY ALL
),

late AS (
    SELECT DISTINCT sweep_id, model_id, quant_tag
    FROM raw.events
    WHERE event = 'FIDELITY_LEFT_OUT'
),

followed AS (
    SELECT
        rows_asked.*,
        coalesce(list_contains(narrowed.test_ids, rows_asked.test_id), true) AS is_compared
    FROM v1.fidelity_row AS rows_asked
    LEFT JOIN narrowed USING (sweep_id, model_id)
),

asked AS (
    SELECT
        sweep_id,
        model_id,
        reference_quant_tag,
        count(DISTINCT test_id) FILTER (WHERE is_compared) AS prompts,
        count(DISTINCT test_id) AS all_prompts,
        bool_or(
            role = 'REFERENCE' AND outcome = 'OK' AND quant_tag = reference_quant_tag
        ) AS has_reference
    FROM followed
    GROUP BY ALL
),

-- Who was not asked all that is compared, because there was no time.
unasked AS (
    SELECT
        late.sweep_id,
        late.model_id,
        late.quant_tag
    FROM late
    INNER JOIN asked USING (sweep_id, model_id)
    LEFT JOIN followed
        ON followed.sweep_id = late.sweep_id
        AND followed.model_id = late.model_id
        AND followed.quant_tag = late.quant_tag
        AND followed.role = 'QUANT'
        AND followed.is_compared
    GROUP BY late.sweep_id, late.model_id, late.quant_tag, asked.prompts
    HAVING count(DISTINCT followed.test_id) < asked.prompts
),

weights AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(DISTINCT model_digest) > 1 AS has_changed,
        mode(error_class ORDER BY error_class)
            FILTER (WHERE outcome <> 'OK' AND is_compared) AS error_class
    FROM (
        SELECT
            sweep_id, model_id, quant_tag, model_digest, outcome, error_class, is_compared
        FROM followed
        UNION ALL
        SELECT sweep_id, model_id, quant_tag, model_digest, 'OK', NULL, true
        FROM v1.quant
        WHERE model_digest IS NOT NULL
    )
    GROUP BY ALL
),

per_prompt AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        count(*) AS positions,
        count(same_top) AS tops,
        count(*) FILTER (WHERE same_top) AS same,
        sum(CAST(kld_nnats AS HUGEINT)) AS kld,
        sum(CAST(dnll_nnats AS HUGEINT)) AS dnll,
        count(dnll_nnats) AS dnlls,
        min(position) FILTER (WHERE NOT same_top) AS first_other
    FROM v1.fidelity_position
    SEMI JOIN (SELECT * FROM followed WHERE is_compared) USING (sweep_id, model_id, test_id)
    GROUP BY ALL
),

beside AS (
    SELECT
        per_prompt.*,
        pairs.level,
        pairs.method,
        pairs.k,
        pairs.is_identical,
        pairs.ended IS true AS is_whole,
        per_prompt.tops > 0 AND per_prompt.same = per_prompt.tops AND pairs.is_same_answer
            AS is_kept,
        if(
            pairs.level = 'PREFIX',
            coalesce(pairs.first_difference, pairs.places + 1),
            per_prompt.first_other
        ) AS parts_at,
        sum(per_prompt.same) OVER quants AS all_same,
        sum(per_prompt.kld) OVER quants AS all_kld,
        sum(per_prompt.tops) OVER quants AS all_tops
    FROM per_prompt
    INNER JOIN v1.fidelity_pair AS pairs USING (sweep_id, model_id, quant_tag, test_id)
    WINDOW quants AS (
            PARTITION BY per_prompt.sweep_id, per_prompt.model_id, per_prompt.quant_tag
        )
),

measured AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        v1.agreed(level) AS level,
        v1.agreed(method) AS method,
        v1.agreed(k) AS k,
        count(*) AS prompts,
        count(*) FILTER (WHERE NOT is_whole) AS cut_prompts,
        CAST(sum(positions) AS BIGINT) AS positions,
        CAST(nullif(max(all_tops), 0) AS BIGINT) AS tops,
        CAST(if(max(all_tops) > 0, max(all_same), NULL) AS BIGINT) AS same,
        if(max(all_tops) > 0, count(*) FILTER (WHERE is_kept), NULL) AS kept_prompts,
        min(parts_at) FILTER (WHERE NOT is_kept) AS earliest_difference,
        quantile_disc(parts_at, 0.5) FILTER (WHERE NOT is_kept) AS median_difference,
        bool_and(is_identical) AS is_identical,
        max(all_kld) AS kld,
        sum(dnll) AS dnll,
        CAST(sum(dnlls) AS BIGINT) AS dnlls,
        -- Deviations to 1e-9, so that the sum of squares is exact.
        sum(
            v1.scaled(same * all_tops - all_same * tops, all_tops, 1000000000)
            * v1.scaled(same * all_tops - all_same * tops, all_tops, 1000000000)
        ) AS same_squares,
        sum(
            v1.scaled(kld * all_tops - all_kld * tops, all_tops, 1)
            * v1.scaled(kld * all_tops - all_kld * tops, all_tops, 1)
        ) AS kld_squares
    FROM beside
    GROUP BY ALL
),

figures AS (
    SELECT
        *,
        CAST(CAST(same AS HUGEINT) * 1000000 // tops AS BIGINT) AS same_top_ppm,
        greatest(
            v1.clustered_half_width(same_squares, prompts, tops) // 1000,
            v1.scaled(3, tops, 1000000)
        ) AS same_top_half_width_ppm,
        CAST(v1.scaled(kld, tops, 1) AS BIGINT) AS kld_nnats,
        v1.clustered_half_width(kld_squares, prompts, tops) AS kld_half_width_nnats,
        CAST(v1.scaled(dnll, dnlls, 1) AS BIGINT) AS dnll_nnats,
        positions - dnlls AS dnll_unknown
    FROM measured
),

answers AS (
    -- One answer a cell at temperature 0, however often it was asked for.
    SELECT
        determined.sweep_id,
        determined.model_id,
        determined.quant_tag,
        determined.test_id,
        determined.seed,
        determined.prompt_sha256,
        determined.answer_hashes,
        determined.distinct_answers
    FROM v1.determinism AS determined
    WHERE (sweep_id, model_id) NOT IN (
        SELECT DISTINCT sweep_id, model_id
        FROM v1.attempts
        WHERE requested.temperature_milli IS DISTINCT FROM 0
    )
),

texts AS (
    -- Of a cell whose answers are one.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        requested.seed AS seed,
        prompt_sha256,
        min(coalesce(answer_text, if(completion_tokens = 0, '', NULL))) AS answer
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase IN ('canary', 'matrix')
    GROUP BY ALL
),

yardsticks AS (
    SELECT
        answers.sweep_id,
        answers.model_id,
        arg_max(answers.quant_tag, quant.quant_rank) AS quant_tag
    FROM answers
    INNER JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

answered AS (
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        own.test_id,
        yardsticks.quant_tag AS reference_quant_tag,
        bool_and(other.distinct_answers = 1) AS is_stable,
        bool_and(
            own.distinct_answers = 1 AND own.answer_hashes = other.answer_hashes
        ) AS is_kept,
        min(v1.first_difference(own_text.answer, other_text.answer)) FILTER (
            WHERE own.distinct_answers = 1 AND other.distinct_answers = 1
        ) AS parts_at
    FROM answers AS own
    INNER JOIN yardsticks USING (sweep_id, model_id)
    INNER JOIN answers AS other
        ON other.sweep_id = own.sweep_id
        AND other.model_id = own.model_id
        AND other.quant_tag = yardsticks.quant_tag
        AND other.test_id = own.test_id
        AND other.seed IS NOT DISTINCT FROM own.seed
        AND other.prompt_sha256 = own.prompt_sha256
    LEFT JOIN texts AS own_text
        ON own_text.sweep_id = own.sweep_id
        AND own_text.model_id = own.model_id
        AND own_text.quant_tag = own.quant_tag
        AND own_text.test_id = own.test_id
        AND own_text.seed IS NOT DISTINCT FROM own.seed
        AND own_text.prompt_sha256 = own.prompt_sha256
    LEFT JOIN texts AS other_text
        ON other_text.sweep_id = other.sweep_id
        AND other_text.model_id = other.model_id
        AND other_text.quant_tag = other.quant_tag
        AND other_text.test_id = other.test_id
        AND other_text.seed IS NOT DISTINCT FROM other.seed
        AND other_text.prompt_sha256 = other.prompt_sha256
    GROUP BY ALL
),

diverged AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        any_value(reference_quant_tag) AS reference_quant_tag,
        count(*) AS prompts,
        count(*) FILTER (WHERE is_kept) AS kept_prompts,
        count(*) FILTER (WHERE NOT is_stable) AS unstable_prompts,
        min(parts_at) AS earliest_difference,
        quantile_disc(parts_at, 0.5) AS median_difference
    FROM answered
    GROUP BY ALL
),

joined AS (
    SELECT
        quant.sweep_id,
        quant.model_id,
        quant.quant_tag,
        policy,
        session.cpu_only,
        -- Of a sweep that stopped, the plan knows how many there would have been.
        -- Where time sets their number, it is those that were asked.
        if(
            manifest.fidelity.seconds IS NOT NULL AND asked.prompts > 0,
            asked.prompts,
            greatest(asked.prompts, len(manifest.fidelity.test_ids))
        ) AS planned_prompts,
        -- Where time let fewer be asked, these are all that anybody owes.
        if(asked.prompts < asked.all_prompts, asked.prompts, planned_prompts)
            AS asked_prompts,
        if(asked.prompts < asked.all_prompts, asked.all_prompts, NULL) AS narrowed_from,
        unasked.quant_tag IS NOT NULL AS is_late,
        coalesce(asked.has_reference, false) AS has_reference,
        asked.reference_quant_tag AS asked_reference,
        weights.has_changed,
        reference_weights.has_changed AS reference_has_changed,
        reference_weights.error_class AS reference_error_class,
        weights.error_class,
        own,
        own.tops IS NOT NULL OR own.dnlls > 0 AS has_figures,
        floors.kld_nnats AS floor_nnats,
        floors.method AS floor_method,
        floors.is_identical AS floor_is_identical,
        floors.same_top_ppm AS floor_same_top_ppm,
        floors.tops AS floor_tops,
        diverged
    FROM v1.quant AS quant
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    INNER JOIN v1.manifest AS manifest USING (sweep_id)
    LEFT JOIN asked USING (sweep_id, model_id)
    LEFT JOIN unasked USING (sweep_id, model_id, quant_tag)
    LEFT JOIN weights USING (sweep_id, model_id, quant_tag)
    LEFT JOIN weights AS reference_weights
        ON reference_weights.sweep_id = quant.sweep_id
        AND reference_weights.model_id = quant.model_id
        AND reference_weights.quant_tag = asked.reference_quant_tag
    LEFT JOIN figures AS own USING (sweep_id, model_id, quant_tag)
    LEFT JOIN figures AS floors
        ON floors.sweep_id = quant.sweep_id
        AND floors.model_id = quant.model_id
        AND floors.quant_tag = asked.reference_quant_tag
    LEFT JOIN diverged USING (sweep_id, model_id, quant_tag)
),

reasoned AS (
    SELECT
        *,
        CASE
            WHEN asked_prompts IS NULL THEN 'NOT_ASKED'
            WHEN asked_reference IS NULL THEN 'NOT_REACHED'
            WHEN has_changed OR reference_has_changed THEN 'WEIGHTS_CHANGED'
            WHEN is_late THEN 'NO_TIME'
            WHEN has_figures THEN NULL
            WHEN error_class IS NOT NULL THEN error_class
            WHEN NOT has_reference
                THEN coalesce(reference_error_class, 'NO_REFERENCE')
            ELSE 'NOT_REACHED'
        END AS no_figures_reason
    FROM joined
),

judged AS (
    SELECT
        *,
        CASE
            WHEN no_figures_reason = 'NOT_ASKED' THEN 'NOT_RUN'
            WHEN no_figures_reason IS NOT NULL THEN 'UNSUPPORTED'
            WHEN
                floor_tops > 0 AND (
                    -- A server that batches on a GPU may lose identity.
                    (floor_method = 'GRAMMAR' AND cpu_only IS DISTINCT FROM false
                        AND NOT floor_is_identical)
                    OR floor_same_top_ppm < policy.fidelity_self_same_top_ppm
                    OR floor_nnats > policy.fidelity_self_kld_nnats
                )
                THEN 'DETERMINISM_LOST'
            WHEN
                v1.exceeds_ppm(
                    asked_prompts - own.prompts, asked_prompts, policy.fidelity_max_broken_ppm
                )
                OR own.prompts < policy.fidelity_min_prompts
                THEN 'PARTIAL'
            WHEN quant_tag = asked_reference THEN 'REFERENCE'
            ELSE 'OK'
        END AS status
    FROM reasoned
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    status,
    CASE
        WHEN no_figures_reason IS NOT NULL THEN no_figures_reason
        WHEN status = 'DETERMINISM_LOST' THEN 'REFERENCE_NOT_ITSELF'
        WHEN status = 'PARTIAL' AND own.prompts < policy.fidelity_min_prompts
            THEN 'TOO_FEW_PROMPTS'
        WHEN status = 'PARTIAL' THEN coalesce(error_class, 'NOT_REACHED')
    END AS reason,
    CASE
        WHEN no_figures_reason IS NULL THEN own.level
        WHEN diverged.prompts > 0 THEN 'DIVERGENCE'
    END AS level,
    if(no_figures_reason IS NULL, own.method, NULL) AS method,
    if(no_figures_reason IS NULL, own.k, NULL) AS k,
    if(
        no_figures_reason IS NULL, asked_reference, diverged.reference_quant_tag
    ) AS reference_quant_tag,
    if(no_figures_reason IS NULL, own.prompts, diverged.prompts) AS prompts,
    if(
        no_figures_reason IS NULL,
        asked_prompts - own.prompts,
        diverged.unstable_prompts
    ) AS broken_prompts,
    if(no_figures_reason IS NULL, narrowed_from, NULL) AS narrowed_from,
    if(no_figures_reason IS NULL, own.cut_prompts, NULL) AS cut_prompts,
    if(no_figures_reason IS NULL, own.positions, NULL) AS positions,
    if(no_figures_reason IS NULL, own.same, NULL) AS same_top_positions,
    if(no_figures_reason IS NULL, own.same_top_ppm, NULL) AS same_top_ppm,
    CAST(
        if(no_figures_reason IS NULL, own.same_top_half_width_ppm, NULL) AS BIGINT
    ) AS same_top_half_width_ppm,
    if(
        no_figures_reason IS NULL, own.kept_prompts, diverged.kept_prompts
    ) AS kept_prompts,
    if(
        no_figures_reason IS NULL, own.earliest_difference, diverged.earliest_difference
    ) AS earliest_difference,
    if(
        no_figures_reason IS NULL, own.median_difference, diverged.median_difference
    ) AS median_difference,
    CASE
        WHEN no_figures_reason IS NULL THEN 'TOKEN'
        WHEN diverged.prompts > 0 THEN 'CHARACTER'
    END AS difference_unit,
    CASE
        WHEN if(no_figures_reason IS NULL, own.kept_prompts, diverged.kept_prompts) >= 0
            THEN list_transform(
                [-1, 1],
                lambda side: v1.wilson_micro(
                    v1.scaled(
                        if(no_figures_reason IS NULL, own.kept_prompts, diverged.kept_prompts),
                        if(no_figures_reason IS NULL, own.prompts, diverged.prompts),
                        1000000000
                    ),
                    if(no_figures_reason IS NULL, own.prompts, diverged.prompts),
                    policy.confidence_z_milli,
                    side
                )
            )
    END AS kept_interval_micro,
    if(no_figures_reason IS NULL, own.kld_nnats, NULL) AS kld_nnats,
    if(no_figures_reason IS NULL, own.kld_half_width_nnats, NULL) AS kld_half_width_nnats,
    if(no_figures_reason IS NULL, own.dnll_nnats, NULL) AS dnll_nnats,
    if(no_figures_reason IS NULL, own.dnll_unknown, NULL) AS dnll_unknown,
    if(no_figures_reason IS NULL, floor_nnats, NULL) AS floor_nnats,
    CASE
        WHEN no_figures_reason IS NULL
            THEN own.kld_nnats < floor_nnats * policy.fidelity_floor_factor
            OR (own.kld_nnats = 0 AND floor_nnats = 0)
    END AS is_within_floor,
    if(
        no_figures_reason IS NULL AND own.kld_nnats IS NOT NULL,
        'fidelity.capped-tail.v1',
        NULL
    ) AS formula_id
FROM judged;

COMMENT ON VIEW v1.fidelity IS 'Whether a quant does what the reference does, on the sweep''s own prompts; decides nothing. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.fidelity.status IS 'NOT_RUN, UNSUPPORTED, DETERMINISM_LOST, PARTIAL, REFERENCE or OK';
COMMENT ON COLUMN v1.fidelity.reason IS 'Why it is none of the last two; NULL for these';
COMMENT ON COLUMN v1.fidelity.level IS 'PATH: led along the reference''s answer; PREFIX: up to the first difference; DIVERGENCE: recorded answers alone';
COMMENT ON COLUMN v1.fidelity.method IS 'How the lists came; NULL without lists';
COMMENT ON COLUMN v1.fidelity.k IS 'Likeliest tokens at each place; figures of different k are not compared';
COMMENT ON COLUMN v1.fidelity.reference_quant_tag IS 'Quant that is held for right';
COMMENT ON COLUMN v1.fidelity.prompts IS 'Prompts that are compared';
COMMENT ON COLUMN v1.fidelity.broken_prompts IS 'Prompts asked for that are not; of DIVERGENCE: those that the reference answers differently each time';
COMMENT ON COLUMN v1.fidelity.narrowed_from IS 'Prompts that the reference answered, where time let all quants be compared on fewer; NULL where on all';
COMMENT ON COLUMN v1.fidelity.cut_prompts IS 'Prompts whose answer was not followed to its end; NULL of DIVERGENCE';
COMMENT ON COLUMN v1.fidelity.positions IS 'Places that are compared; NULL of DIVERGENCE';
COMMENT ON COLUMN v1.fidelity.same_top_positions IS 'Of these, with the same likeliest token';
COMMENT ON COLUMN v1.fidelity.same_top_ppm IS 'Their share, cut, ppm';
COMMENT ON COLUMN v1.fidelity.same_top_half_width_ppm IS 'Half-width of its 95 % interval, by prompts, ppm; NULL below two prompts';
COMMENT ON COLUMN v1.fidelity.kept_prompts IS 'Prompts whose answer is the reference''s word for word, as far as it was followed';
COMMENT ON COLUMN v1.fidelity.kept_interval_micro IS 'Their share: bounds of its 95 % Wilson interval, 1e-6';
COMMENT ON COLUMN v1.fidelity.earliest_difference IS 'Where the first of the other answers parts from the reference''s, from 1; NULL if none does or no text is kept';
COMMENT ON COLUMN v1.fidelity.median_difference IS 'The median of these places over the answers that part';
COMMENT ON COLUMN v1.fidelity.difference_unit IS 'TOKEN, or CHARACTER of recorded answers';
COMMENT ON COLUMN v1.fidelity.kld_nnats IS 'Mean of the least KL(reference, quant) that the lists allow, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity.kld_half_width_nnats IS 'Half-width of its 95 % interval, by prompts, 1e-9 nats; NULL below two prompts';
COMMENT ON COLUMN v1.fidelity.dnll_nnats IS 'Mean log-probability of the reference''s token: its own minus the quant''s, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity.dnll_unknown IS 'Places where the quant''s list lacks that token';
COMMENT ON COLUMN v1.fidelity.floor_nnats IS 'The reference against itself: mean KL, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity.is_within_floor IS 'Below so many times the floor that it is the reference''s own noise';
COMMENT ON COLUMN v1.fidelity.formula_id IS 'Formula of kld_nnats';

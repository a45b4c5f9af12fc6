-- Grain: sweep x model x quant x test x place of the reference's answer.
-- Inputs: v1.fidelity_pair.
-- Rules: formula fidelity.capped-tail.v1. P and Q are the lists of reference and quant. A
-- token on both counts exactly. What is on no list is one bucket on each side, of at least
-- 0.001: servers normalise in float32, so that a smaller rest is rounding. A token that
-- only P lists has at most the probability c of Q's last entry; such tokens are taken out
-- of the bucket by falling p as long as that raises the divergence. The sum is the least
-- KL(reference, quant) that both lists allow. Equal texts of one list are one token.
-- Probabilities are kept in 1e-15, so that sums do not depend on their order.

CREATE VIEW v1.fidelity_position AS
WITH places AS (
    SELECT
        pairs.sweep_id,
        pairs.model_id,
        pairs.quant_tag,
        pairs.test_id,
        pairs.level,
        pairs.method,
        pairs.k,
        place.number AS position,
        pairs.path[place.number] AS token,
        pairs.tops[place.number] AS tokens,
        pairs.nnats[place.number] AS nnats,
        pairs.path_nnats[place.number] AS path_nnats,
        pairs.own_tops[place.number] AS own_tokens,
        pairs.own_nnats[place.number] AS own_nnats,
        pairs.own_path_nnats[place.number] AS own_path_nnats
    FROM v1.fidelity_pair AS pairs
    CROSS JOIN unnest(range(1, pairs.places + 1)) AS place (number)
),

entries AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position,
        true AS is_reference, unnest(tokens) AS token, unnest(nnats) AS nnats
    FROM places
    UNION ALL
    SELECT
        sweep_id, model_id, quant_tag, test_id, position,
        false AS is_reference, unnest(own_tokens) AS token, unnest(own_nnats) AS nnats
    FROM places
),

-- One token a list: p in 1e-15 and its logarithm.
weighed AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position, is_reference, token,
        sum(v1.femto(nnats)) AS femto,
        CASE
            WHEN count(*) = 1 THEN max(nnats) / 1e9
            ELSE ln(CAST(sum(v1.femto(nnats)) AS DOUBLE) / 1e15)
        END AS nats
    FROM entries
    GROUP BY ALL
),

beside AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position, token,
        max(femto) FILTER (WHERE is_reference) AS p,
        max(nats) FILTER (WHERE is_reference) AS p_nats,
        max(femto) FILTER (WHERE NOT is_reference) AS q,
        max(nats) FILTER (WHERE NOT is_reference) AS q_nats
    FROM weighed
    GROUP BY ALL
),

shared AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position,
        coalesce(
            sum(v1.terms_femto(p, p_nats - q_nats)) FILTER (WHERE q IS NOT NULL), 0
        ) AS terms,
        greatest(
            1000000000000000 - coalesce(sum(p) FILTER (WHERE q IS NOT NULL), 0),
            1000000000000
        ) AS p_rest,
        greatest(
            1000000000000000 - coalesce(sum(q) FILTER (WHERE p IS NOT NULL), 0),
            1000000000000
        ) AS q_rest
    FROM beside
    GROUP BY ALL
),

last_entries AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position,
        own_nnats[len(own_nnats)] / 1e9 AS c_nats,
        v1.femto(own_nnats[len(own_nnats)]) AS c
    FROM places
),

-- Tokens that only P lists, by falling p, with what is left in the buckets before each.
lacking AS (
    SELECT
        beside.*,
        last_entries.c,
        last_entries.c_nats,
        row_number() OVER falling - 1 AS before,
        greatest(
            shared.p_rest - coalesce(
                sum(beside.p) OVER (
                    falling ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ),
                0
            ),
            1000000000
        ) AS p_rest,
        shared.q_rest - (row_number() OVER falling - 1) * last_entries.c AS q_rest
    FROM beside
    INNER JOIN shared USING (sweep_id, model_id, quant_tag, test_id, position)
    INNER JOIN last_entries USING (sweep_id, model_id, quant_tag, test_id, position)
    WHERE beside.q IS NULL
    WINDOW
        falling AS (
            PARTITION BY
                beside.sweep_id, beside.model_id, beside.quant_tag, beside.test_id,
                beside.position
            ORDER BY beside.p DESC, beside.p_nats DESC, beside.token
        )
),

taken AS (
    SELECT *
    FROM lacking
    QUALIFY
        NOT bool_or(
            CAST(p AS HUGEINT) * q_rest <= CAST(c AS HUGEINT) * p_rest OR q_rest <= c
        ) OVER (
            PARTITION BY sweep_id, model_id, quant_tag, test_id, position
            ORDER BY before
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
),

capped AS (
    SELECT
        sweep_id, model_id, quant_tag, test_id, position,
        count(*) AS tokens,
        sum(p) AS p,
        sum(v1.terms_femto(p, p_nats - c_nats)) AS terms
    FROM taken
    GROUP BY ALL
),

divergences AS (
    SELECT
        shared.sweep_id, shared.model_id, shared.quant_tag, shared.test_id,
        shared.position,
        shared.terms + coalesce(capped.terms, 0) AS terms,
        if(
            capped.tokens > 0, greatest(shared.p_rest - capped.p, 1000000000), shared.p_rest
        ) AS p_rest,
        shared.q_rest - coalesce(capped.tokens * last_entries.c, 0) AS q_rest
    FROM shared
    INNER JOIN last_entries USING (sweep_id, model_id, quant_tag, test_id, position)
    LEFT JOIN capped USING (sweep_id, model_id, quant_tag, test_id, position)
)

SELECT
    places.sweep_id,
    places.model_id,
    places.quant_tag,
    places.test_id,
    places.position,
    places.level,
    places.method,
    places.k,
    places.token,
    places.tokens[1] AS reference_top,
    places.own_tokens[1] AS own_top,
    places.own_tokens[1] = places.tokens[1] AS same_top,
    CAST(
        round(
            (
                CAST(divergences.terms AS DOUBLE)
                + CAST(divergences.p_rest AS DOUBLE)
                * ln(CAST(divergences.p_rest AS DOUBLE) / CAST(divergences.q_rest AS DOUBLE))
            ) / 1e6
        ) AS BIGINT
    ) AS kld_nnats,
    -- The lists alone where there are any; a scored prompt tells its own token too.
    coalesce(places.nnats[list_position(places.tokens, places.token)], places.path_nnats)
    - coalesce(
        places.own_nnats[list_position(places.own_tokens, places.token)],
        if(places.method = 'PROMPT_LOGPROBS', places.own_path_nnats, NULL)
    ) AS dnll_nnats
FROM places
LEFT JOIN divergences USING (sweep_id, model_id, quant_tag, test_id, position);

COMMENT ON VIEW v1.fidelity_position IS 'What a quant would say at each place of the reference''s answer. One row per sweep, model, quant, test and place.';
COMMENT ON COLUMN v1.fidelity_position.position IS 'Place in the answer, from 1';
COMMENT ON COLUMN v1.fidelity_position.level IS 'PATH or PREFIX';
COMMENT ON COLUMN v1.fidelity_position.token IS 'The reference''s token: its id, else its text';
COMMENT ON COLUMN v1.fidelity_position.reference_top IS 'The reference''s likeliest token';
COMMENT ON COLUMN v1.fidelity_position.own_top IS 'The quant''s likeliest token';
COMMENT ON COLUMN v1.fidelity_position.same_top IS 'The two are one; NULL without lists';
COMMENT ON COLUMN v1.fidelity_position.kld_nnats IS 'The least KL(reference, quant) that both lists allow, 1e-9 nats; NULL without lists';
COMMENT ON COLUMN v1.fidelity_position.dnll_nnats IS 'Log-probability of the token: the reference''s minus the quant''s, 1e-9 nats; NULL where the quant''s list lacks it';

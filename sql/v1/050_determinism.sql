-- Grain: cell x seed x prompt hash.
-- Inputs: v1.attempts.
-- Rules: over all OK attempts of the phases canary, matrix and repeat whose answer is known, by
-- its text or, in an import, by its hash. Deterministic = one distinct answer; fewer than
-- two attempts say nothing: NULL. The first divergence is the
-- length of the prefix that all answers share, plus one: the smallest and the largest
-- answer in byte order share exactly that prefix.

CREATE VIEW v1.determinism AS
WITH answers AS (
    SELECT
        *,
        requested.seed AS seed,
        -- No text and no hash is an unknown answer, but for a completion of no tokens.
        coalesce(answer_text, if(completion_tokens = 0, '', NULL)) AS answer
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase IN ('canary', 'matrix', 'repeat')
),

groups AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        bucket,
        seed,
        prompt_sha256,
        count(*) AS attempts,
        count(DISTINCT coalesce(sha256(answer), answer_hash)) AS distinct_answers,
        list_sort(list_distinct(list(coalesce(sha256(answer), answer_hash))))
            AS answer_hashes,
        count(answer) = count(*) AS has_texts,
        min(answer) AS first_answer,
        max(answer) AS last_answer
    FROM answers
    WHERE answer IS NOT NULL OR answer_hash IS NOT NULL
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    test_id,
    bucket,
    seed,
    prompt_sha256,
    attempts,
    distinct_answers,
    CASE WHEN attempts >= 2 THEN distinct_answers = 1 END AS is_deterministic,
    answer_hashes,
    CASE
        WHEN attempts >= 2 AND distinct_answers > 1 AND has_texts
            THEN v1.first_difference(first_answer, last_answer)
    END AS first_divergence
FROM groups;

COMMENT ON VIEW v1.determinism IS 'Whether equal requests gave equal answers. One row per cell, seed and prompt.';
COMMENT ON COLUMN v1.determinism.seed IS 'Requested seed';
COMMENT ON COLUMN v1.determinism.attempts IS 'OK attempts whose answer is known';
COMMENT ON COLUMN v1.determinism.distinct_answers IS 'Distinct answers among them';
COMMENT ON COLUMN v1.determinism.is_deterministic IS 'One distinct answer; NULL below two attempts';
COMMENT ON COLUMN v1.determinism.answer_hashes IS 'SHA-256 of the distinct answers, or the hashes an import has, sorted';
COMMENT ON COLUMN v1.determinism.first_divergence IS 'First character, from 1, in which the answers differ; NULL if they do not';

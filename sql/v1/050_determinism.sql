-- Grain: cell x seed x prompt hash.
-- Inputs: v1.attempts.
-- Rules: over all OK attempts of the phases canary and matrix. Deterministic = one
-- distinct answer; fewer than two attempts say nothing: NULL. The first divergence is the
-- length of the prefix that all answers share, plus one: the smallest and the largest
-- answer in byte order share exactly that prefix.

CREATE VIEW v1.determinism AS
WITH groups AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        bucket,
        requested.seed AS seed,
        prompt_sha256,
        count(*) AS attempts,
        count(DISTINCT coalesce(answer_text, '')) AS distinct_answers,
        list_sort(list_distinct(list(sha256(coalesce(answer_text, '')))))
            AS answer_hashes,
        min(coalesce(answer_text, '')) AS first_answer,
        max(coalesce(answer_text, '')) AS last_answer
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase IN ('canary', 'matrix')
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
        WHEN attempts >= 2 AND distinct_answers > 1
            THEN coalesce(
                list_min(
                    list_filter(
                        range(1, least(length(first_answer), length(last_answer)) + 1),
                        lambda place: substr(first_answer, place, 1)
                        <> substr(last_answer, place, 1)
                    )
                ),
                least(length(first_answer), length(last_answer)) + 1
            )
    END AS first_divergence
FROM groups;

COMMENT ON VIEW v1.determinism IS 'Whether equal requests gave equal answers. One row per cell, seed and prompt.';
COMMENT ON COLUMN v1.determinism.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.determinism.model_id IS 'Model';
COMMENT ON COLUMN v1.determinism.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.determinism.test_id IS 'bank/task';
COMMENT ON COLUMN v1.determinism.bucket IS 'logic, refactor or mixed';
COMMENT ON COLUMN v1.determinism.seed IS 'Requested seed';
COMMENT ON COLUMN v1.determinism.prompt_sha256 IS 'Hash of the prompt as sent';
COMMENT ON COLUMN v1.determinism.attempts IS 'OK attempts';
COMMENT ON COLUMN v1.determinism.distinct_answers IS 'Distinct answers among them';
COMMENT ON COLUMN v1.determinism.is_deterministic IS 'One distinct answer; NULL below two attempts';
COMMENT ON COLUMN v1.determinism.answer_hashes IS 'SHA-256 of the distinct answers, sorted';
COMMENT ON COLUMN v1.determinism.first_divergence IS 'First character, from 1, in which the answers differ; NULL if they do not';

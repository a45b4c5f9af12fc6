-- Grain: sweep x model x quant x test that the reference answered and the quant followed.
-- Inputs: v1.fidelity_row.
-- Rules: a quant is held against the reference's answer to the same prompt, asked with the
-- same k and at the same level: figures of two levels or two k are never compared. A quant
-- that was led along the path has a place for each of the reference's. One that gave its
-- own answer has those up to and with the first token in which the two differ; the answers
-- are one where neither has a token more and both ended alike.

CREATE VIEW v1.fidelity_pair AS
WITH tokens AS (
    SELECT
        *,
        coalesce(CAST(path_ids AS VARCHAR[]), path_texts) AS path,
        coalesce(CAST(top_ids AS VARCHAR[][]), top_texts) AS tops
    FROM v1.fidelity_row
    WHERE outcome = 'OK'
),

pairs AS (
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        own.test_id,
        own.reference_quant_tag,
        own.level,
        own.method,
        own.k,
        own.path AS own_path,
        own.ended AS own_ended,
        own.tops AS own_tops,
        own.top_nnats AS own_nnats,
        own.path_nnats AS own_path_nnats,
        reference.path,
        reference.ended,
        reference.tops,
        reference.top_nnats AS nnats,
        reference.path_nnats,
        list_min(
            list_filter(
                range(1, least(len(own.path), len(reference.path)) + 1),
                lambda place: own.path[place] <> reference.path[place]
            )
        ) AS first_difference
    FROM tokens AS own
    INNER JOIN tokens AS reference USING (sweep_id, model_id, test_id, k, level)
    WHERE
        own.role = 'QUANT'
        AND reference.role = 'REFERENCE'
        AND reference.quant_tag = reference.reference_quant_tag
        AND own.prompt_sha256 = reference.prompt_sha256
        AND own.task_revision = reference.task_revision
        AND (own.tops IS NULL) = (reference.tops IS NULL)
)

SELECT
    *,
    CASE
        WHEN level = 'PREFIX'
            THEN coalesce(first_difference, least(len(own_path), len(path)))
        ELSE len(path)
    END AS places,
    level = 'PATH'
    OR (
        first_difference IS NULL
        AND len(own_path) = len(path)
        AND own_ended IS NOT DISTINCT FROM ended
    ) AS is_same_answer,
    own_tops = tops AND own_nnats = nnats AS is_identical
FROM pairs
WHERE level = 'PREFIX' OR coalesce(len(own_nnats), len(own_path_nnats)) = len(path);

COMMENT ON VIEW v1.fidelity_pair IS 'A quant beside the reference''s answer to one prompt. One row per sweep, model, quant and test.';
COMMENT ON COLUMN v1.fidelity_pair.reference_quant_tag IS 'Quant whose answer is the path';
COMMENT ON COLUMN v1.fidelity_pair.level IS 'PATH: led along the answer; PREFIX: its own answer';
COMMENT ON COLUMN v1.fidelity_pair.method IS 'How the quant''s lists came';
COMMENT ON COLUMN v1.fidelity_pair.k IS 'Likeliest tokens at each place';
COMMENT ON COLUMN v1.fidelity_pair.own_path IS 'The quant''s token at each place';
COMMENT ON COLUMN v1.fidelity_pair.own_ended IS 'Its answer ended by itself';
COMMENT ON COLUMN v1.fidelity_pair.own_tops IS 'Its likeliest tokens';
COMMENT ON COLUMN v1.fidelity_pair.own_nnats IS 'Their log-probabilities, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity_pair.own_path_nnats IS 'Its log-probability of the token at each place, where told';
COMMENT ON COLUMN v1.fidelity_pair.path IS 'The reference''s token at each place';
COMMENT ON COLUMN v1.fidelity_pair.ended IS 'Its answer ended by itself';
COMMENT ON COLUMN v1.fidelity_pair.tops IS 'The reference''s likeliest tokens';
COMMENT ON COLUMN v1.fidelity_pair.nnats IS 'Their log-probabilities, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity_pair.path_nnats IS 'The reference''s log-probability of its token, where told';
COMMENT ON COLUMN v1.fidelity_pair.first_difference IS 'First place in which the tokens differ, NULL if none does';
COMMENT ON COLUMN v1.fidelity_pair.places IS 'Places that are compared';
COMMENT ON COLUMN v1.fidelity_pair.is_same_answer IS 'The compared places are the whole answer';
COMMENT ON COLUMN v1.fidelity_pair.is_identical IS 'All lists are equal, to the last digit';

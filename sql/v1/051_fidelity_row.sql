-- Grain: sweep x model x quant x test x role.
-- Inputs: raw.fidelity, v1.manifest.
-- Rules: rows that were appended twice count once, and of several tries at one prompt the
-- one that gave lists, else the newest. The reference of a model is the quant that was
-- the first to give an answer. A what-if of buckets or families leaves out the others.

CREATE VIEW v1.fidelity_row AS
SELECT
    *,
    first_value(if(role = 'REFERENCE', quant_tag, NULL)) OVER (
        PARTITION BY sweep_id, model_id
        ORDER BY role = 'REFERENCE' DESC, outcome = 'OK' DESC, recorded_at, quant_tag
    ) AS reference_quant_tag
FROM raw.fidelity AS row_values
WHERE
    NOT EXISTS (
        SELECT 1 FROM v1.manifest AS manifest
        WHERE
            manifest.sweep_id = row_values.sweep_id
            AND manifest.scope_buckets IS NOT NULL
            AND NOT list_contains(
                list_transform(manifest.tasks, lambda task: task.test_id),
                row_values.test_id
            )
    )
QUALIFY
    row_number() OVER (
        PARTITION BY sweep_id, model_id, quant_tag, test_id, role
        ORDER BY
            outcome = 'OK' DESC, recorded_at DESC, fidelity_id,
            sha256(CAST(row_values AS VARCHAR))
    ) = 1;

COMMENT ON VIEW v1.fidelity_row IS 'What was said along one answer, each once. One row per sweep, model, quant, test and role.';
COMMENT ON COLUMN v1.fidelity_row.model_id IS 'Model';
COMMENT ON COLUMN v1.fidelity_row.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.fidelity_row.test_id IS 'bank/task';
COMMENT ON COLUMN v1.fidelity_row.role IS 'REFERENCE: the answer that is the path; QUANT: what a quant says along it';
COMMENT ON COLUMN v1.fidelity_row.reference_quant_tag IS 'Quant whose answers are the paths; NULL if there is none';
COMMENT ON COLUMN v1.fidelity_row.level IS 'PATH, PREFIX or DIVERGENCE';
COMMENT ON COLUMN v1.fidelity_row.method IS 'GRAMMAR, PREFIX_REQUESTS, PROMPT_LOGPROBS or GENERATED; NULL without lists';
COMMENT ON COLUMN v1.fidelity_row.outcome IS 'OK, UNSUPPORTED, FAILED, TIMEOUT or CANCELLED';
COMMENT ON COLUMN v1.fidelity_row.error_class IS 'Why there are no lists';
COMMENT ON COLUMN v1.fidelity_row.error_message IS 'The same in one line';
COMMENT ON COLUMN v1.fidelity_row.k IS 'Likeliest tokens asked for at each place';
COMMENT ON COLUMN v1.fidelity_row.max_tokens IS 'Longest path asked for';
COMMENT ON COLUMN v1.fidelity_row.wall_ns IS 'All requests of the row, ns';
COMMENT ON COLUMN v1.fidelity_row.tokenizer IS 'Hash of the ids of one odd text';
COMMENT ON COLUMN v1.fidelity_row.ended IS 'The answer ended by itself: the last place is its end';
COMMENT ON COLUMN v1.fidelity_row.prompt_ids IS 'The prompt as ids';
COMMENT ON COLUMN v1.fidelity_row.path_ids IS 'Token at each place, by id';
COMMENT ON COLUMN v1.fidelity_row.path_texts IS 'The same as texts';
COMMENT ON COLUMN v1.fidelity_row.path_nnats IS 'Log-probability of that token, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity_row.top_ids IS 'Likeliest tokens at each place, by id';
COMMENT ON COLUMN v1.fidelity_row.top_nnats IS 'Their log-probabilities, 1e-9 nats';
COMMENT ON COLUMN v1.fidelity_row.top_texts IS 'Their texts';
COMMENT ON COLUMN v1.fidelity_row.fidelity_id IS 'The raw row';
COMMENT ON COLUMN v1.fidelity_row.recorded_at IS 'When it was written, UTC';
COMMENT ON COLUMN v1.fidelity_row.model_digest IS 'Identity of the weights';
COMMENT ON COLUMN v1.fidelity_row.task_revision IS 'Hash of the task''s content';
COMMENT ON COLUMN v1.fidelity_row.prompt_sha256 IS 'Hash of the prompt as sent';

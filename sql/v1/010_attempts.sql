-- Grain: attempt.
-- Inputs: raw.runs.
-- Rules: rows that were appended or ingested twice count once (by attempt_id: earliest
-- recorded_at, then the hash of the whole row). The groups of a raw row are laid flat.

CREATE VIEW v1.attempts AS
WITH twice AS (
    -- Hashing every row would cost more than all that follows; few stand twice.
    SELECT sweep_id, attempt_id FROM raw.runs GROUP BY ALL HAVING count(*) > 1
),

distinct_rows AS (
    SELECT row_values
    FROM raw.runs AS row_values
    ANTI JOIN twice USING (sweep_id, attempt_id)
    UNION ALL
    SELECT row_values
    FROM raw.runs AS row_values
    SEMI JOIN twice USING (sweep_id, attempt_id)
    QUALIFY
        row_number() OVER (
            PARTITION BY row_values.sweep_id, row_values.attempt_id
            ORDER BY row_values.recorded_at, sha256(CAST(row_values AS VARCHAR))
        ) = 1
)

SELECT
    row_values.sweep_id,
    row_values.run_id,
    row_values.attempt_id,
    row_values.attempt_number,
    row_values.executor_started_at,
    row_values.recorded_at,
    row_values.phase,
    row_values.model_id,
    row_values.model_digest,
    row_values.quant_tag,
    row_values.test_id,
    row_values.bucket,
    row_values.task_revision,
    row_values.repetition,
    row_values.order_index,
    row_values.block_index,
    row_values.retry_pass,
    row_values.started_at,
    row_values.started_ns,
    row_values.ended_ns,
    row_values.prompt_sha256,
    row_values.nonce,
    row_values.max_tokens,
    row_values.requested,
    row_values.effective,
    row_values.unsupported_controls,
    row_values.call.outcome AS outcome,
    row_values.call.error_class AS error_class,
    row_values.call.error_message AS error_message,
    row_values.call.http_status AS http_status,
    row_values.call.answer_text AS answer_text,
    row_values.call.answer_hash AS answer_hash,
    row_values.call.reasoning_text AS reasoning_text,
    row_values.call.stop_reason AS stop_reason,
    row_values.call.reported_model AS reported_model,
    row_values.call.prompt_tokens AS prompt_tokens,
    row_values.call.cached_prompt_tokens AS cached_prompt_tokens,
    row_values.call.completion_tokens AS completion_tokens,
    row_values.call.reasoning_tokens AS reasoning_tokens,
    row_values.call.count_note AS count_note,
    row_values.call.prefill_ns AS prefill_ns,
    row_values.call.decode_ns AS decode_ns,
    row_values.call.load_ns AS load_ns,
    row_values.call.server_total_ns AS server_total_ns,
    row_values.call.decode_clock AS decode_clock,
    row_values.call.prefill_kind AS prefill_kind,
    row_values.call.formula_id AS formula_id,
    row_values.call.engine AS engine,
    row_values.call.raw_figures AS raw_figures,
    row_values.call.prompt_cache AS prompt_cache,
    row_values.call.streamed AS streamed,
    row_values.call.wall_ns AS wall_ns,
    row_values.call.realtime_ns AS realtime_ns,
    row_values.call.ttft_ns AS ttft_ns,
    row_values.call.last_token_ns AS last_token_ns,
    row_values.call.generation_retries AS generation_retries,
    row_values.checks.checks_passed AS checks_passed,
    row_values.checks.checks_total AS checks_total,
    row_values.checks.checks_unsupported AS checks_unsupported,
    row_values.checks.check_details AS check_details,
    row_values.checks.format_damage AS format_damage,
    row_values.checks.answer_chars AS answer_chars,
    row_values.checks.code_chars AS code_chars,
    row_values.checks.sandbox AS sandbox,
    row_values.locality,
    row_values.before,
    row_values.after,
    row_values.peak_server_rss_bytes,
    row_values.peak_gpu_memory_bytes,
    row_values.reported_model_bytes,
    row_values.reported_gpu_bytes,
    row_values.other_models_resident,
    row_values.sensor_gaps
FROM distinct_rows;

COMMENT ON VIEW v1.attempts IS 'Raw model calls, each once. One row per attempt.';
COMMENT ON COLUMN v1.attempts.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.attempts.run_id IS 'Planned run';
COMMENT ON COLUMN v1.attempts.attempt_id IS 'Hash of run, attempt number and executor start';
COMMENT ON COLUMN v1.attempts.attempt_number IS '1 for the first attempt';
COMMENT ON COLUMN v1.attempts.executor_started_at IS 'Start of the executor, UTC';
COMMENT ON COLUMN v1.attempts.recorded_at IS 'When the row was written, UTC';
COMMENT ON COLUMN v1.attempts.phase IS 'warmup, canary, matrix, repeat or anchor';
COMMENT ON COLUMN v1.attempts.model_id IS 'Model';
COMMENT ON COLUMN v1.attempts.model_digest IS 'Identity of the weights';
COMMENT ON COLUMN v1.attempts.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.attempts.test_id IS 'bank/task';
COMMENT ON COLUMN v1.attempts.bucket IS 'logic, refactor or mixed';
COMMENT ON COLUMN v1.attempts.task_revision IS 'Hash of the task''s content';
COMMENT ON COLUMN v1.attempts.repetition IS 'From 1';
COMMENT ON COLUMN v1.attempts.order_index IS 'Place in the order of execution';
COMMENT ON COLUMN v1.attempts.block_index IS 'Block';
COMMENT ON COLUMN v1.attempts.retry_pass IS '0, or the retry pass';
COMMENT ON COLUMN v1.attempts.started_at IS 'When the request was written, UTC';
COMMENT ON COLUMN v1.attempts.started_ns IS 'The same on the executor''s monotonic clock, ns';
COMMENT ON COLUMN v1.attempts.ended_ns IS 'Last byte on that clock, ns';
COMMENT ON COLUMN v1.attempts.prompt_sha256 IS 'Hash of the prompt as sent';
COMMENT ON COLUMN v1.attempts.nonce IS 'Nonce that defeats a prompt cache';
COMMENT ON COLUMN v1.attempts.max_tokens IS 'Output budget, tokens';
COMMENT ON COLUMN v1.attempts.requested IS 'Controls asked for';
COMMENT ON COLUMN v1.attempts.effective IS 'Controls verified, NULL where they could not be';
COMMENT ON COLUMN v1.attempts.unsupported_controls IS 'Requested controls this server does not have';
COMMENT ON COLUMN v1.attempts.outcome IS 'OK, FAILED, TIMEOUT or CANCELLED';
COMMENT ON COLUMN v1.attempts.error_class IS 'Kind of failure';
COMMENT ON COLUMN v1.attempts.error_message IS 'The failure in one line';
COMMENT ON COLUMN v1.attempts.http_status IS 'HTTP status';
COMMENT ON COLUMN v1.attempts.answer_text IS 'The answer, as said: untrusted text';
COMMENT ON COLUMN v1.attempts.answer_hash IS 'Hash of the answer, where an import kept only that';
COMMENT ON COLUMN v1.attempts.reasoning_text IS 'Thinking, where told apart: untrusted text';
COMMENT ON COLUMN v1.attempts.stop_reason IS 'stop, length, or the server''s own word';
COMMENT ON COLUMN v1.attempts.reported_model IS 'Model name in the response: untrusted text';
COMMENT ON COLUMN v1.attempts.prompt_tokens IS 'Tokens of the whole prompt, cached ones included';
COMMENT ON COLUMN v1.attempts.cached_prompt_tokens IS 'Of these, taken from a cache';
COMMENT ON COLUMN v1.attempts.completion_tokens IS 'Tokens generated, reasoning included';
COMMENT ON COLUMN v1.attempts.reasoning_tokens IS 'Of these, reasoning';
COMMENT ON COLUMN v1.attempts.count_note IS 'How a count was read where the contract implies it';
COMMENT ON COLUMN v1.attempts.prefill_ns IS 'Model-internal time on new prompt tokens, ns';
COMMENT ON COLUMN v1.attempts.decode_ns IS 'Model-internal time generating, ns';
COMMENT ON COLUMN v1.attempts.load_ns IS 'Model load inside this call, ns';
COMMENT ON COLUMN v1.attempts.server_total_ns IS 'The server''s own total, ns';
COMMENT ON COLUMN v1.attempts.decode_clock IS 'Where decode_ns starts: first_token or prefill_end';
COMMENT ON COLUMN v1.attempts.prefill_kind IS 'What prefill_ns is: internal or ttft_proxy';
COMMENT ON COLUMN v1.attempts.formula_id IS 'The formula that read the raw figures';
COMMENT ON COLUMN v1.attempts.engine IS 'Engine behind the route, where it is told apart';
COMMENT ON COLUMN v1.attempts.raw_figures IS 'The server''s usage and timing figures as JSON';
COMMENT ON COLUMN v1.attempts.prompt_cache IS 'How a prompt cache was met: disabled, nonce, uncontrolled, absent';
COMMENT ON COLUMN v1.attempts.streamed IS 'Streamed response';
COMMENT ON COLUMN v1.attempts.wall_ns IS 'Request written to last byte, ns';
COMMENT ON COLUMN v1.attempts.realtime_ns IS 'The same span by the wall clock, ns';
COMMENT ON COLUMN v1.attempts.ttft_ns IS 'To the first token-carrying chunk, streamed only, ns';
COMMENT ON COLUMN v1.attempts.last_token_ns IS 'To the last token-carrying chunk, streamed only, ns';
COMMENT ON COLUMN v1.attempts.generation_retries IS 'Further generations inside this attempt';
COMMENT ON COLUMN v1.attempts.checks_passed IS 'Checks passed';
COMMENT ON COLUMN v1.attempts.checks_total IS 'Checks that could be tried';
COMMENT ON COLUMN v1.attempts.checks_unsupported IS 'Checks the sandbox could not run';
COMMENT ON COLUMN v1.attempts.check_details IS 'One entry per check, as JSON';
COMMENT ON COLUMN v1.attempts.format_damage IS 'EMPTY, UNPARSEABLE, TRUNCATED, LOOPING or WRONG_LANGUAGE';
COMMENT ON COLUMN v1.attempts.answer_chars IS 'Characters of the answer';
COMMENT ON COLUMN v1.attempts.code_chars IS 'Of these, inside code fences';
COMMENT ON COLUMN v1.attempts.sandbox IS 'Sandbox that ran code answers';
COMMENT ON COLUMN v1.attempts.locality IS 'Where the server runs: child, loopback or remote';
COMMENT ON COLUMN v1.attempts.before IS 'Counters just before the call';
COMMENT ON COLUMN v1.attempts.after IS 'Counters just after the call';
COMMENT ON COLUMN v1.attempts.peak_server_rss_bytes IS 'Peak resident memory of the server, bytes';
COMMENT ON COLUMN v1.attempts.peak_gpu_memory_bytes IS 'Peak GPU memory of the server, bytes';
COMMENT ON COLUMN v1.attempts.reported_model_bytes IS 'Model size in memory by the server''s word, bytes';
COMMENT ON COLUMN v1.attempts.reported_gpu_bytes IS 'Of these, on a GPU by the server''s word, bytes';
COMMENT ON COLUMN v1.attempts.other_models_resident IS 'Other models loaded in the server';
COMMENT ON COLUMN v1.attempts.sensor_gaps IS 'Sensors without a reading, as field=status';

-- Grain: attempt x figure.
-- Inputs: v1.attempts, v1.telemetry.
-- Rules: how each figure of a run comes about, in words: what the server said, the formula,
-- the result. A figure that is not there has a status that says why; none is made up. Two
-- tools that count other tokens, or start another clock, get other rates from one run.

CREATE VIEW v1.run_figure AS
WITH facts AS (
    SELECT
        telemetry.*,
        attempts.decode_clock,
        attempts.count_note,
        attempts.reasoning_tokens,
        attempts.streamed,
        attempts.checks_passed,
        attempts.checks_total,
        attempts.checks_unsupported,
        attempts.format_damage
    FROM v1.telemetry AS telemetry
    INNER JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
),

figures AS (
    SELECT
        sweep_id,
        attempt_id,
        unnest([
            {
                'place': 1,
                'figure': 'prompt tokens',
                'value': CAST(prompt_tokens AS VARCHAR),
                'formula': new_prompt_tokens || ' new, ' || cached_tokens || ' from a cache',
                'status': if(
                    prompt_tokens IS NULL,
                    token_metrics_status,
                    if(cached_tokens IS NULL, 'CACHED_SHARE_UNKNOWN', 'OK')
                )
            },
            {
                'place': 2,
                'figure': 'completion tokens',
                'value': CAST(completion_tokens AS VARCHAR),
                'formula': CASE
                    WHEN decode_clock = 'first_token'
                        THEN greatest(decoded_tokens, 0)
                        || ' of them inside the decode time, which starts at the first token'
                    WHEN decode_clock = 'prefill_end'
                        THEN 'all inside the decode time, which starts at the end of the prefill'
                    ELSE 'where the decode time starts is not known'
                END || coalesce('; ' || reasoning_tokens || ' of them reasoning', ''),
                'status': if(completion_tokens IS NULL, token_metrics_status, 'OK')
            },
            {
                'place': 3,
                'figure': 'prefill time',
                'value': v1.decimal_text(prefill_ns, 6, 3) || ' ms',
                'formula': CASE prefill_kind
                    WHEN 'internal' THEN 'by the server''s own clock'
                    WHEN 'ttft_proxy' THEN 'the time to the first token stands in for it'
                END,
                'status': if(prefill_ns IS NULL, token_metrics_status, 'OK')
            },
            {
                'place': 4,
                'figure': 'decode time',
                'value': v1.decimal_text(decode_ns, 6, 3) || ' ms',
                'formula': 'by the server''s own clock',
                'status': if(decode_ns IS NULL, token_metrics_status, 'OK')
            },
            {
                'place': 5,
                'figure': 'prompt rate',
                'value': v1.decimal_text(prompt_tokens_per_second_milli, 3, 3) || ' tokens/s',
                'formula': 'new prompt tokens / prefill time = ' || new_prompt_tokens || ' / '
                || v1.decimal_text(prefill_ns, 6, 3) || ' ms',
                'status': coalesce(prompt_rate_reason, 'OK')
            },
            {
                'place': 6,
                'figure': 'generation rate',
                'value': v1.decimal_text(generation_tokens_per_second_milli, 3, 3)
                || ' tokens/s',
                'formula': 'tokens inside the decode time / decode time = ' || decoded_tokens
                || ' / ' || v1.decimal_text(decode_ns, 6, 3) || ' ms',
                'status': coalesce(generation_rate_reason, 'OK')
            },
            {
                'place': 7,
                'figure': 'internal time',
                'value': v1.decimal_text(internal_ns, 6, 3) || ' ms',
                'formula': 'prefill time + decode time',
                'status': if(internal_ns IS NULL, token_metrics_status, 'OK')
            },
            {
                'place': 8,
                'figure': 'load time',
                'value': v1.decimal_text(load_ns, 6, 3) || ' ms',
                'formula': 'of the model, inside this call',
                'status': if(load_ns IS NULL, 'NOT_REPORTED', 'OK')
            },
            {
                'place': 9,
                'figure': 'wall time',
                'value': v1.decimal_text(wall_ns, 6, 3) || ' ms',
                'formula': 'from the request''s last byte out to the answer''s last byte in, '
                || 'by Orket''s clock',
                'status': if(wall_ns IS NULL, 'NOT_MEASURED', 'OK')
            },
            {
                'place': 10,
                'figure': 'first token',
                'value': v1.decimal_text(ttft_ns, 6, 3) || ' ms',
                'formula': 'as Orket saw it, by the same clock',
                'status': CASE
                    WHEN ttft_ns IS NOT NULL THEN 'OK'
                    WHEN streamed THEN 'NOT_MEASURED'
                    ELSE 'NOT_STREAMED'
                END
            },
            {
                'place': 11,
                'figure': 'overhead',
                'value': v1.decimal_text(orchestration_overhead_micro, 4, 1) || ' %',
                'formula': '(wall time - internal time) / wall time',
                'status': if(orchestration_overhead_micro IS NULL, 'UNKNOWN_PART', 'OK')
            },
            {
                'place': 12,
                'figure': 'adherence',
                'value': checks_passed || ' of ' || v1.count_text(checks_total, 'check'),
                'formula': 'checks passed / checks tried'
                || if(
                    checks_unsupported > 0,
                    '; ' || checks_unsupported || ' could not be tried, and count for nothing',
                    ''
                ),
                'status': CASE
                    WHEN checks_total > 0 THEN coalesce(format_damage, 'OK')
                    ELSE 'NOT_CHECKED'
                END
            },
            {
                'place': 13,
                'figure': 'all tokens / decode time',
                'value': v1.decimal_text(
                    v1.scaled(completion_tokens, decode_ns, 1000000000000), 3, 3
                ) || ' tokens/s',
                'formula': completion_tokens || ' / ' || v1.decimal_text(decode_ns, 6, 3) || ' ms',
                'status': if(completion_tokens > 0 AND decode_ns > 0, 'OK', 'UNKNOWN_PART')
            },
            {
                'place': 14,
                'figure': 'all tokens / wall time',
                'value': v1.decimal_text(
                    v1.scaled(completion_tokens, wall_ns, 1000000000000), 3, 3
                ) || ' tokens/s',
                'formula': completion_tokens || ' / ' || v1.decimal_text(wall_ns, 6, 3) || ' ms',
                'status': if(completion_tokens > 0 AND wall_ns > 0, 'OK', 'UNKNOWN_PART')
            },
            {
                'place': 15,
                'figure': 'whole prompt / first token',
                'value': v1.decimal_text(
                    v1.scaled(prompt_tokens, ttft_ns, 1000000000000), 3, 3
                ) || ' tokens/s',
                'formula': prompt_tokens || ' / ' || v1.decimal_text(ttft_ns, 6, 3) || ' ms',
                'status': if(prompt_tokens > 0 AND ttft_ns > 0, 'OK', 'UNKNOWN_PART')
            }
        ], recursive := true)
    FROM facts
)

SELECT
    sweep_id,
    attempt_id,
    CAST(place AS BIGINT) AS place,
    place > 12 AS is_of_others,
    figure,
    value,
    if(value IS NULL, NULL, formula) AS formula,
    status
FROM figures;

COMMENT ON VIEW v1.run_figure IS 'Each figure of a run, with the formula that it comes from. One row per attempt and figure.';
COMMENT ON COLUMN v1.run_figure.place IS 'Order in which they are shown, from 1';
COMMENT ON COLUMN v1.run_figure.is_of_others IS 'A rate as another tool may count it; Orket uses none of these';
COMMENT ON COLUMN v1.run_figure.figure IS 'What it is';
COMMENT ON COLUMN v1.run_figure.value IS 'Its value with its unit; NULL where there is none';
COMMENT ON COLUMN v1.run_figure.formula IS 'How it comes about, with its parts';
COMMENT ON COLUMN v1.run_figure.status IS 'OK, or why there is no value; of an adherence also what is wrong with the form';

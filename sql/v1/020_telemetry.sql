-- Grain: attempt.
-- Inputs: v1.attempts, v1.policy.
-- Rules: the token status says which part the provider left unknown. A rate is a number
-- only when both its parts are valid and the divisor is positive, else NULL with the
-- reason. With at most one completion token there is nothing to decode: where the decode
-- clock starts at the first token, an absent or zero decode time is not applicable and
-- counts as known. Model-internal and wall-clock time are never mixed; they bound each
-- other. No part of a call can exceed the wall time, the prefill cannot end after the
-- first token came, and its decoding cannot take less than the client saw between first and
-- last token, nor less for a token than any machine needs: a rate from such times is NULL.
-- A call of no length is no measurement, and only a streamed one has a first token.

CREATE VIEW v1.telemetry AS
WITH known AS (
    SELECT
        attempts.*,
        prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL AS counts_known,
        coalesce(
            completion_tokens <= 1
            AND decode_clock = 'first_token'
            AND coalesce(decode_ns, 0) = 0,
            false
        ) AS decode_not_applicable,
        -- greatest() ignores NULL: an unknown prompt must not leave the other limit.
        CASE
            WHEN prompt_tokens IS NOT NULL
                THEN greatest(
                    CAST(policy.max_cached_tokens AS HUGEINT) * 1000000,
                    CAST(prompt_tokens AS HUGEINT) * policy.max_cached_ppm
                )
        END AS cached_limit_millionths,
        nullif(attempts.wall_ns, 0) AS measured_wall_ns,
        if(attempts.streamed IS NOT FALSE, attempts.ttft_ns, NULL) AS streamed_ttft_ns,
        policy.clock_slack_ns,
        policy.clock_slack_ppm,
        policy.decode_lag_ns,
        policy.decode_lag_ppm,
        policy.least_prefill_token_ns,
        policy.least_decode_token_ns
    FROM v1.attempts AS attempts
    LEFT JOIN v1.policy AS policy USING (sweep_id, model_id)
),

timed AS (
    SELECT
        *,
        CASE WHEN decode_not_applicable THEN 0 ELSE decode_ns END AS counted_decode_ns,
        CASE
            WHEN cached_prompt_tokens IS NOT NULL THEN cached_prompt_tokens
            WHEN prompt_cache = 'absent' THEN 0
        END AS cached_tokens
    FROM known
),

bounded AS (
    SELECT
        *,
        greatest(
            clock_slack_ns, CAST(measured_wall_ns AS HUGEINT) * clock_slack_ppm // 1000000
        ) AS slack_ns,
        last_token_ns - streamed_ttft_ns AS seen_decode_ns,
        prefill_ns + counted_decode_ns AS internal_ns
    FROM timed
),

bounds AS (
    -- What cannot be; NULL where a side of the bound is unknown.
    SELECT
        *,
        coalesce(prefill_ns, 0) + coalesce(counted_decode_ns, 0)
        > measured_wall_ns + slack_ns AS is_beyond_wall,
        -- No part of a call lasts longer than the call: the load, the wait for a token.
        greatest(load_ns, streamed_ttft_ns, last_token_ns) > measured_wall_ns + slack_ns
        OR streamed_ttft_ns > last_token_ns + slack_ns AS is_longer_than_call,
        prefill_ns > streamed_ttft_ns + slack_ns AS is_beyond_first_token,
        completion_tokens > 1
        AND seen_decode_ns - decode_ns > greatest(
            decode_lag_ns, CAST(seen_decode_ns AS HUGEINT) * decode_lag_ppm // 1000000
        ) AS is_below_seen,
        (
            decode_ns > 0
            AND CAST(decode_ns AS HUGEINT)
            < CAST(completion_tokens - 1 AS HUGEINT) * least_decode_token_ns
        )
        OR (
            prefill_ns > 0
            AND CAST(prefill_ns AS HUGEINT)
            < CAST(prompt_tokens - cached_tokens AS HUGEINT) * least_prefill_token_ns
        ) AS is_beyond_machines
    FROM bounded
),

derived AS (
    SELECT
        *,
        CASE
            WHEN counts_known AND prefill_ns IS NOT NULL AND counted_decode_ns IS NOT NULL
                THEN 'OK'
            WHEN prefill_ns IS NOT NULL AND counted_decode_ns IS NOT NULL
                THEN 'TOKEN_COUNT_UNAVAILABLE'
            WHEN counts_known THEN 'TIMING_UNAVAILABLE'
            ELSE 'TOKEN_AND_TIMING_UNAVAILABLE'
        END AS token_metrics_status,
        prompt_tokens - cached_tokens AS new_prompt_tokens,
        CASE
            WHEN
                is_beyond_wall OR is_longer_than_call OR is_beyond_first_token
                OR is_below_seen OR is_beyond_machines
                THEN true
            WHEN internal_ns IS NOT NULL AND measured_wall_ns IS NOT NULL THEN false
        END AS clock_inconsistent,
        CAST(cached_tokens AS HUGEINT) * 1000000
        > cached_limit_millionths AS cache_hit,
        CASE
            WHEN decode_clock = 'first_token' THEN completion_tokens - 1
            WHEN decode_clock = 'prefill_end' THEN completion_tokens
        END AS decoded_tokens
    FROM bounds
),

reasoned AS (
    SELECT
        *,
        CASE
            WHEN prompt_tokens IS NULL OR prefill_ns IS NULL THEN token_metrics_status
            WHEN cached_tokens IS NULL THEN 'CACHED_SHARE_UNKNOWN'
            WHEN cache_hit THEN 'PROMPT_CACHE_HIT'
            WHEN new_prompt_tokens <= 0 THEN 'ZERO_PROMPT_TOKENS'
            WHEN prefill_ns = 0 THEN 'ZERO_DURATION'
            WHEN clock_inconsistent THEN 'CLOCK_INCONSISTENT'
        END AS prompt_rate_reason,
        CASE
            WHEN completion_tokens = 0 THEN 'ZERO_COMPLETION_TOKENS'
            WHEN completion_tokens = 1 AND decode_clock = 'first_token'
                THEN 'SINGLE_TOKEN_COMPLETION'
            WHEN completion_tokens IS NULL OR decode_ns IS NULL THEN token_metrics_status
            WHEN decoded_tokens IS NULL THEN 'DECODE_CLOCK_UNKNOWN'
            WHEN decode_ns = 0 THEN 'ZERO_DURATION'
            WHEN clock_inconsistent THEN 'CLOCK_INCONSISTENT'
        END AS generation_rate_reason
    FROM derived
)

SELECT
    sweep_id,
    attempt_id,
    run_id,
    model_id,
    quant_tag,
    token_metrics_status,
    prompt_tokens,
    cached_tokens,
    new_prompt_tokens,
    completion_tokens,
    decoded_tokens,
    prefill_ns,
    counted_decode_ns AS decode_ns,
    load_ns,
    internal_ns,
    measured_wall_ns AS wall_ns,
    streamed_ttft_ns AS ttft_ns,
    cache_hit,
    clock_inconsistent,
    CASE
        WHEN prompt_rate_reason IS NULL
            THEN TRY_CAST(v1.scaled(new_prompt_tokens, prefill_ns, 1000000000000) AS BIGINT)
    END AS prompt_tokens_per_second_milli,
    prompt_rate_reason,
    prefill_kind,
    CASE
        WHEN generation_rate_reason IS NULL
            THEN TRY_CAST(v1.scaled(decoded_tokens, decode_ns, 1000000000000) AS BIGINT)
    END AS generation_tokens_per_second_milli,
    generation_rate_reason,
    v1.micro(measured_wall_ns - internal_ns, measured_wall_ns)
        AS orchestration_overhead_micro
FROM reasoned;

COMMENT ON VIEW v1.telemetry IS 'Token status, times and rates. One row per attempt.';
COMMENT ON COLUMN v1.telemetry.attempt_id IS 'Attempt';
COMMENT ON COLUMN v1.telemetry.token_metrics_status IS 'OK, or which part is unknown: TOKEN_COUNT_, TIMING_ or TOKEN_AND_TIMING_UNAVAILABLE';
COMMENT ON COLUMN v1.telemetry.prompt_tokens IS 'Tokens of the whole prompt';
COMMENT ON COLUMN v1.telemetry.cached_tokens IS 'Of these, taken from a cache; 0 where the server has none';
COMMENT ON COLUMN v1.telemetry.new_prompt_tokens IS 'Prompt tokens really processed';
COMMENT ON COLUMN v1.telemetry.completion_tokens IS 'Tokens generated';
COMMENT ON COLUMN v1.telemetry.decoded_tokens IS 'Tokens inside the decode clock';
COMMENT ON COLUMN v1.telemetry.decode_ns IS 'Model-internal time generating, ns; 0 where there was nothing to decode';
COMMENT ON COLUMN v1.telemetry.load_ns IS 'Model load inside the call, ns';
COMMENT ON COLUMN v1.telemetry.internal_ns IS 'prefill + decode, ns';
COMMENT ON COLUMN v1.telemetry.ttft_ns IS 'Time to the first token as the client saw it, streamed only, ns';
COMMENT ON COLUMN v1.telemetry.cache_hit IS 'The cached share of the prompt is beyond the limit';
COMMENT ON COLUMN v1.telemetry.clock_inconsistent IS 'The server''s times cannot be true beside the client''s';
COMMENT ON COLUMN v1.telemetry.prompt_tokens_per_second_milli IS 'New prompt tokens / prefill time, 1/1000 per second';
COMMENT ON COLUMN v1.telemetry.prompt_rate_reason IS 'Why that rate is NULL';
COMMENT ON COLUMN v1.telemetry.prefill_kind IS 'What the prefill time is: internal or ttft_proxy';
COMMENT ON COLUMN v1.telemetry.generation_tokens_per_second_milli IS 'Decoded tokens / decode time, 1/1000 per second';
COMMENT ON COLUMN v1.telemetry.generation_rate_reason IS 'Why that rate is NULL';
COMMENT ON COLUMN v1.telemetry.orchestration_overhead_micro IS '(wall - internal) / wall, not clamped, 1e-6';

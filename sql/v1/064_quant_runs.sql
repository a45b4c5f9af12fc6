-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.runs, v1.policy.
-- Rules: a quant over its valid runs. Rates are total tokens over total time, each with its
-- count. The token status of a quant is the worst of its runs.

CREATE VIEW v1.quant_runs AS
WITH valid AS (
    SELECT
        *,
        wall_ns > 0 AND internal_ns IS NOT NULL AS has_overhead
    FROM v1.runs
    WHERE phase = 'matrix' AND is_valid
),

sums AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        quantile_disc(wall_ns, 0.5) AS latency_p50_ns,
        if(
            count(wall_ns) >= any_value(policy.p95_min_runs),
            quantile_disc(wall_ns, 0.95),
            NULL
        ) AS latency_p95_ns,
        sum(CAST(new_prompt_tokens AS HUGEINT)) FILTER (WHERE prompt_rate_reason IS NULL)
            AS prompt_rate_tokens,
        sum(CAST(prefill_ns AS HUGEINT)) FILTER (WHERE prompt_rate_reason IS NULL)
            AS prompt_rate_ns,
        count(*) FILTER (WHERE prompt_rate_reason IS NULL) AS prompt_rate_runs,
        sum(CAST(decoded_tokens AS HUGEINT)) FILTER (WHERE generation_rate_reason IS NULL)
            AS generation_rate_tokens,
        sum(CAST(decode_ns AS HUGEINT)) FILTER (WHERE generation_rate_reason IS NULL)
            AS generation_rate_ns,
        count(*) FILTER (WHERE generation_rate_reason IS NULL) AS generation_rate_runs,
        if(count(DISTINCT prompt_rate_reason) > 1, 'MIXED', min(prompt_rate_reason))
            AS prompt_rate_reason,
        if(count(DISTINCT generation_rate_reason) > 1, 'MIXED', min(generation_rate_reason))
            AS generation_rate_reason,
        TRY_CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens,
        count(prompt_tokens) AS prompt_token_runs,
        TRY_CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
        count(completion_tokens) AS completion_token_runs,
        sum(CAST(wall_ns AS HUGEINT)) FILTER (WHERE has_overhead) AS overhead_wall_ns,
        sum(CAST(internal_ns AS HUGEINT)) FILTER (WHERE has_overhead)
            AS overhead_internal_ns,
        count(*) FILTER (WHERE has_overhead) AS overhead_runs,
        count(*) FILTER (WHERE token_metrics_status = 'OK') AS ok,
        count(*) FILTER (WHERE token_metrics_status = 'TOKEN_COUNT_UNAVAILABLE')
            AS no_counts,
        count(*) FILTER (WHERE token_metrics_status = 'TIMING_UNAVAILABLE') AS no_timing,
        count(*) FILTER (WHERE token_metrics_status = 'TOKEN_AND_TIMING_UNAVAILABLE')
            AS nothing,
        max(peak_server_rss_bytes) AS peak_rss_bytes,
        max(peak_gpu_memory_bytes) AS peak_gpu_bytes,
        max(reported_model_bytes) AS reported_bytes,
        TRY_CAST(sum(answer_chars) AS BIGINT) AS answer_chars,
        TRY_CAST(sum(code_chars) AS BIGINT) AS code_chars,
        TRY_CAST(sum(generation_retries) AS BIGINT) AS generation_retries
    FROM valid
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    sums.latency_p50_ns,
    sums.latency_p95_ns,
    TRY_CAST(v1.scaled(sums.prompt_rate_tokens, sums.prompt_rate_ns, 1000000000000) AS BIGINT)
        AS prompt_tokens_per_second_milli,
    coalesce(sums.prompt_rate_runs, 0) AS prompt_rate_runs,
    TRY_CAST(
        v1.scaled(sums.generation_rate_tokens, sums.generation_rate_ns, 1000000000000)
        AS BIGINT
    ) AS generation_tokens_per_second_milli,
    coalesce(sums.generation_rate_runs, 0) AS generation_rate_runs,
    sums.prompt_tokens,
    coalesce(sums.prompt_token_runs, 0) AS prompt_token_runs,
    sums.completion_tokens,
    coalesce(sums.completion_token_runs, 0) AS completion_token_runs,
    v1.micro(sums.overhead_wall_ns - sums.overhead_internal_ns, sums.overhead_wall_ns)
        AS orchestration_overhead_micro,
    coalesce(sums.overhead_runs, 0) AS overhead_runs,
    CASE
        WHEN sums.nothing > 0 THEN 'TOKEN_AND_TIMING_UNAVAILABLE'
        WHEN sums.no_timing > 0 THEN 'TIMING_UNAVAILABLE'
        WHEN sums.no_counts > 0 THEN 'TOKEN_COUNT_UNAVAILABLE'
        WHEN sums.ok > 0 THEN 'OK'
    END AS token_metrics_status,
    coalesce(sums.ok, 0) AS status_ok_runs,
    coalesce(sums.no_counts, 0) AS status_token_count_unavailable_runs,
    coalesce(sums.no_timing, 0) AS status_timing_unavailable_runs,
    coalesce(sums.nothing, 0) AS status_token_and_timing_unavailable_runs,
    coalesce(
        sums.peak_rss_bytes + coalesce(sums.peak_gpu_bytes, 0),
        sums.peak_gpu_bytes,
        sums.reported_bytes
    ) AS peak_memory_bytes,
    CASE
        WHEN sums.peak_rss_bytes IS NOT NULL AND sums.peak_gpu_bytes IS NOT NULL
            THEN 'rss+vram'
        WHEN sums.peak_rss_bytes IS NOT NULL THEN 'rss'
        WHEN sums.peak_gpu_bytes IS NOT NULL THEN 'vram'
        WHEN sums.reported_bytes IS NOT NULL THEN 'reported'
    END AS memory_source,
    v1.micro(sums.code_chars, sums.answer_chars) AS code_density_micro,
    sums.generation_retries,
    CASE
        WHEN sums.quant_tag IS NULL THEN 'NO_VALID_RUNS'
        WHEN sums.prompt_rate_runs = 0 THEN sums.prompt_rate_reason
    END AS prompt_rate_reason,
    CASE
        WHEN sums.quant_tag IS NULL THEN 'NO_VALID_RUNS'
        WHEN sums.generation_rate_runs = 0 THEN sums.generation_rate_reason
    END AS generation_rate_reason
FROM v1.quant AS quant
LEFT JOIN sums USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_runs IS 'One quant over its valid runs. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_runs.latency_p50_ns IS 'Median wall time of the valid runs by nearest rank, ns';
COMMENT ON COLUMN v1.quant_runs.latency_p95_ns IS '95th percentile, NULL below p95_min_runs runs, ns';
COMMENT ON COLUMN v1.quant_runs.prompt_tokens_per_second_milli IS 'New prompt tokens / prefill time, totals, 1/1000 per second';
COMMENT ON COLUMN v1.quant_runs.prompt_rate_runs IS 'Runs behind that rate';
COMMENT ON COLUMN v1.quant_runs.generation_tokens_per_second_milli IS 'Decoded tokens / decode time, totals, 1/1000 per second';
COMMENT ON COLUMN v1.quant_runs.generation_rate_runs IS 'Runs behind that rate';
COMMENT ON COLUMN v1.quant_runs.prompt_tokens IS 'Prompt tokens of the valid runs that report them';
COMMENT ON COLUMN v1.quant_runs.prompt_token_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_runs.completion_tokens IS 'Completion tokens of the valid runs that report them';
COMMENT ON COLUMN v1.quant_runs.completion_token_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_runs.orchestration_overhead_micro IS '(wall - internal) / wall over runs with both, 1e-6';
COMMENT ON COLUMN v1.quant_runs.overhead_runs IS 'Runs behind it';
COMMENT ON COLUMN v1.quant_runs.token_metrics_status IS 'The worst token status of the valid runs';
COMMENT ON COLUMN v1.quant_runs.status_ok_runs IS 'Valid runs with status OK';
COMMENT ON COLUMN v1.quant_runs.status_token_count_unavailable_runs IS 'Valid runs with status TOKEN_COUNT_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_runs.status_timing_unavailable_runs IS 'Valid runs with status TIMING_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_runs.status_token_and_timing_unavailable_runs IS 'Valid runs with status TOKEN_AND_TIMING_UNAVAILABLE';
COMMENT ON COLUMN v1.quant_runs.peak_memory_bytes IS 'Peak memory of the serving process, else the size it reports, bytes';
COMMENT ON COLUMN v1.quant_runs.memory_source IS 'rss, rss+vram, vram or reported';
COMMENT ON COLUMN v1.quant_runs.code_density_micro IS 'Characters in code fences / characters of the answers, 1e-6';
COMMENT ON COLUMN v1.quant_runs.generation_retries IS 'Further generations inside attempts';
COMMENT ON COLUMN v1.quant_runs.prompt_rate_reason IS 'Why there is no prompt rate: the reason that all runs share, MIXED, or NO_VALID_RUNS';
COMMENT ON COLUMN v1.quant_runs.generation_rate_reason IS 'Why there is no generation rate';

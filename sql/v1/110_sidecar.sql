-- Grain: sweep x model x quant x settings x version of the tool; one row without settings
-- where nothing ran.
-- Inputs: v1.quant, raw.sidecars.
-- Rules: diagnostic hardware throughput, never a gate. A figure belongs to the settings
-- that gave it: whatever the tool says of how it ran (threads, batches, attention, split,
-- types of the cache, depth) and its version, so that no row has the prefill of one beside
-- the decode of another. A rate is the tokens of the test over the median of its raw samples, else over
-- the mean that the tool says, else the tool's own rate; the spread of the samples stands
-- beside it. The status is OK when any test gave figures, else the worst thing that
-- happened; NOT_RUN without a row. Of several tests of one kind the longest counts.

CREATE VIEW v1.sidecar AS
WITH measured AS (
    SELECT DISTINCT ON (sweep_id, sidecar_id) *
    FROM raw.sidecars
    -- A divergence is no throughput: see v1.quant_divergence.
    WHERE test IS DISTINCT FROM 'kl'
    ORDER BY sweep_id, sidecar_id, recorded_at
),

said AS (
    SELECT
        *,
        coalesce(depth_tokens, 0) AS depth,
        map_entries(TRY_CAST(TRY_CAST(raw AS JSON) AS MAP(VARCHAR, VARCHAR))) AS words
    FROM measured
),

set_up AS (
    -- All that the tool says but for what it ran, what it found and which file it was.
    SELECT
        *,
        list_sort(
            list_concat(
                list_transform(
                    list_filter(
                        coalesce(words, []),
                        lambda word: NOT regexp_matches(
                            word.key,
                            '^(n_prompt|n_gen|n_depth|test|t/s|avg_|stddev_|samples_|model|size|params|build_)'
                        )
                    ),
                    lambda word: format('{}={}', word.key, coalesce(word.value, ''))
                ),
                if(
                    words IS NULL,
                    v1.codes([
                        'n_batch=' || CAST(batch_tokens AS VARCHAR),
                        'n_threads=' || CAST(threads AS VARCHAR)
                    ]),
                    CAST([] AS VARCHAR[])
                )
            )
        ) AS settings
    FROM said
),

tests AS (
    SELECT
        *,
        if(test = 'pp', prompt_tokens, generated_tokens) AS tokens,
        nullif(len(samples_ns), 0) AS samples,
        coalesce(list_sort(samples_ns)[(len(samples_ns) + 1) // 2], mean_ns) AS typical_ns,
        v1.cv_micro(
            len(samples_ns),
            list_sum(list_transform(samples_ns, lambda ns: CAST(ns AS HUGEINT))),
            list_sum(list_transform(samples_ns, lambda ns: CAST(ns AS HUGEINT) * ns))
        ) AS spread_micro
    FROM set_up
    WHERE
        status = 'OK'
        AND test IN ('pp', 'tg')
        AND (len(samples_ns) > 0 OR mean_ns > 0 OR rate_milli > 0)
),

longest AS (
    SELECT
        *,
        coalesce(
            TRY_CAST(v1.scaled(tokens, typical_ns, 1000000000000) AS BIGINT), rate_milli
        ) AS tps_milli
    FROM tests
    QUALIFY
        row_number() OVER (
            PARTITION BY
                sweep_id, model_id, quant_tag, settings, depth, tool, tool_version, test
            ORDER BY tokens DESC, recorded_at DESC, sidecar_id
        ) = 1
),

rates AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        settings,
        depth,
        tool,
        tool_version,
        max(tps_milli) FILTER (WHERE test = 'pp') AS prefill_tps_milli,
        max(samples) FILTER (WHERE test = 'pp') AS prefill_samples,
        max(tokens) FILTER (WHERE test = 'pp') AS prefill_tokens,
        max(spread_micro) FILTER (WHERE test = 'pp') AS prefill_spread_micro,
        max(tps_milli) FILTER (WHERE test = 'tg') AS decode_tps_milli,
        max(samples) FILTER (WHERE test = 'tg') AS decode_samples,
        max(tokens) FILTER (WHERE test = 'tg') AS decode_tokens,
        max(spread_micro) FILTER (WHERE test = 'tg') AS decode_spread_micro
    FROM longest
    GROUP BY ALL
),

statuses AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        settings,
        depth,
        tool,
        tool_version,
        if(bool_or(status = 'OK'), 'OK', min(status)) AS status,
        min(error_message) FILTER (WHERE status <> 'OK') AS error_message,
        min(profile) AS profile,
        min(threads) AS threads
    FROM set_up
    GROUP BY ALL
)

SELECT
    quant.sweep_id,
    quant.model_id,
    quant.quant_tag,
    coalesce(statuses.status, 'NOT_RUN') AS status,
    false AS gates,
    statuses.tool,
    statuses.tool_version,
    statuses.profile,
    statuses.threads,
    rates.prefill_tps_milli,
    rates.prefill_samples,
    rates.prefill_tokens,
    rates.decode_tps_milli,
    rates.decode_samples,
    rates.decode_tokens,
    statuses.error_message,
    statuses.settings,
    statuses.depth AS depth_tokens,
    rates.prefill_spread_micro,
    rates.decode_spread_micro
FROM v1.quant AS quant
LEFT JOIN statuses
    ON statuses.sweep_id = quant.sweep_id
    AND statuses.model_id = quant.model_id
    AND statuses.quant_tag = quant.quant_tag
LEFT JOIN rates
    ON rates.sweep_id = statuses.sweep_id
    AND rates.model_id = statuses.model_id
    AND rates.quant_tag = statuses.quant_tag
    AND rates.settings = statuses.settings
    AND rates.depth = statuses.depth
    AND rates.tool IS NOT DISTINCT FROM statuses.tool
    AND rates.tool_version IS NOT DISTINCT FROM statuses.tool_version;

COMMENT ON VIEW v1.sidecar IS 'Throughput by another tool: diagnostic, never a gate. One row per sweep, model, quant, settings and version of the tool.';
COMMENT ON COLUMN v1.sidecar.status IS 'OK, NOT_RUN, MISSING_BINARY, TIMEOUT, FAILED or UNPARSEABLE';
COMMENT ON COLUMN v1.sidecar.gates IS 'Always false';
COMMENT ON COLUMN v1.sidecar.tool IS 'Tool';
COMMENT ON COLUMN v1.sidecar.tool_version IS 'Its build';
COMMENT ON COLUMN v1.sidecar.profile IS 'Sidecar profile';
COMMENT ON COLUMN v1.sidecar.threads IS 'Threads';
COMMENT ON COLUMN v1.sidecar.prefill_tps_milli IS 'Prompt processing, median, 1/1000 tokens per second';
COMMENT ON COLUMN v1.sidecar.prefill_samples IS 'Samples behind it';
COMMENT ON COLUMN v1.sidecar.prefill_tokens IS 'Prompt tokens of the test';
COMMENT ON COLUMN v1.sidecar.decode_tps_milli IS 'Generation, median, 1/1000 tokens per second';
COMMENT ON COLUMN v1.sidecar.decode_samples IS 'Samples behind it';
COMMENT ON COLUMN v1.sidecar.decode_tokens IS 'Generated tokens of the test';
COMMENT ON COLUMN v1.sidecar.error_message IS 'What went wrong, one line';
COMMENT ON COLUMN v1.sidecar.settings IS 'How the tool ran by its own word, sorted';
COMMENT ON COLUMN v1.sidecar.depth_tokens IS 'Tokens in the cache before the test';
COMMENT ON COLUMN v1.sidecar.prefill_spread_micro IS 'Standard deviation / mean of the prefill samples, 1e-6';
COMMENT ON COLUMN v1.sidecar.decode_spread_micro IS 'Standard deviation / mean of the decode samples, 1e-6';

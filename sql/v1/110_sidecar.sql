-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.manifest, raw.sidecars.
-- Rules: diagnostic hardware throughput, never a gate. A rate is the tokens of the test
-- over the median of its raw samples, else over the mean that the tool says, else the
-- tool's own rate. The status is OK when any test gave figures, else the worst thing that
-- happened; NOT_RUN without a row. Of several tests of one kind from an empty cache the
-- longest counts.

CREATE VIEW v1.sidecar AS
WITH measured AS (
    SELECT DISTINCT ON (sweep_id, sidecar_id) *
    FROM raw.sidecars
    ORDER BY sweep_id, sidecar_id, recorded_at
),

tests AS (
    SELECT
        *,
        CASE WHEN test = 'pp' THEN prompt_tokens ELSE generated_tokens END AS tokens,
        nullif(len(samples_ns), 0) AS samples,
        coalesce(
            list_sort(samples_ns)[(len(samples_ns) + 1) // 2], mean_ns
        ) AS typical_ns,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag, test
            ORDER BY
                CASE WHEN test = 'pp' THEN prompt_tokens ELSE generated_tokens END DESC,
                recorded_at DESC,
                sidecar_id
        ) AS place
    FROM measured
    WHERE
        status = 'OK'
        AND test IN ('pp', 'tg')
        AND coalesce(depth_tokens, 0) = 0
        AND (len(samples_ns) > 0 OR mean_ns > 0 OR rate_milli > 0)
),

rates AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        max(
            coalesce(
                CAST(v1.scaled(tokens, typical_ns, 1000000000000) AS BIGINT), rate_milli
            )
        ) FILTER (WHERE test = 'pp') AS prefill_tps_milli,
        max(samples) FILTER (WHERE test = 'pp') AS prefill_samples,
        max(tokens) FILTER (WHERE test = 'pp') AS prefill_tokens,
        max(
            coalesce(
                CAST(v1.scaled(tokens, typical_ns, 1000000000000) AS BIGINT), rate_milli
            )
        ) FILTER (WHERE test = 'tg') AS decode_tps_milli,
        max(samples) FILTER (WHERE test = 'tg') AS decode_samples,
        max(tokens) FILTER (WHERE test = 'tg') AS decode_tokens
    FROM tests
    WHERE place = 1
    GROUP BY ALL
),

statuses AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS sidecar_rows,
        bool_or(status = 'OK') AS any_ok,
        min(status) FILTER (WHERE status <> 'OK') AS failure,
        min(error_message) FILTER (WHERE status <> 'OK') AS error_message,
        min(tool) AS tool,
        min(tool_version) AS tool_version,
        min(profile) AS profile,
        min(threads) AS threads
    FROM measured
    GROUP BY ALL
)

SELECT
    quant.sweep_id,
    quant.model_id,
    quant.quant_tag,
    CASE
        WHEN statuses.sidecar_rows IS NULL THEN 'NOT_RUN'
        WHEN statuses.any_ok THEN 'OK'
        ELSE statuses.failure
    END AS status,
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
    statuses.error_message
FROM v1.quant AS quant
LEFT JOIN statuses USING (sweep_id, model_id, quant_tag)
LEFT JOIN rates USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.sidecar IS 'Throughput by another tool: diagnostic, never a gate. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.sidecar.quant_tag IS 'Quant';
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

-- Grain: sweep x model x quant x setting.
-- Inputs: v1.quant, v1.session, v1.attempts.
-- Rules: what a quant was measured under. A setting is verified when every answered run of
-- the matrix verified the same value; else what was asked for alone is told, as NOT_VERIFIED.
-- A value that nobody asked for is the server's own choice. Nothing is filled in: where
-- neither is known the value is NULL, and where runs differ it is, too. Where the weights
-- lay is told by what the server said: none, part or all of them on a GPU.

CREATE VIEW v1.quant_setting AS
WITH answered AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS runs,
        arg_min(requested, run_id) AS requested,
        {
            'seed': v1.told(effective.seed),
            'threads': v1.told(effective.threads),
            'affinity': v1.told(effective.affinity),
            'temperature_milli': v1.told(effective.temperature_milli),
            'context_tokens': v1.told(effective.context_tokens),
            'batch_tokens': v1.told(effective.batch_tokens),
            'kv_cache': v1.told(effective.kv_cache),
            'thinking': v1.told(effective.thinking),
            'gpu': v1.told(
                CASE
                    WHEN reported_gpu_bytes IS NULL OR reported_model_bytes IS NULL THEN NULL
                    WHEN reported_model_bytes = 0 THEN NULL
                    WHEN reported_gpu_bytes = 0 THEN 'none'
                    WHEN reported_gpu_bytes >= reported_model_bytes THEN 'all'
                    ELSE 'part'
                END
            )
        } AS verified
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase = 'matrix'
    GROUP BY ALL
),

joined AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        coalesce(answered.requested, session.controls) AS asked,
        quant.context_tokens,
        quant.kv_cache,
        answered.verified,
        if(session.cpu_only, 'none', NULL) AS cpu_only
    FROM v1.quant AS quant
    INNER JOIN v1.session AS session USING (sweep_id, model_id)
    LEFT JOIN answered USING (sweep_id, model_id, quant_tag)
),

facts AS (
    SELECT
        *,
        coalesce(context_tokens, asked.context_tokens) AS asked_context,
        coalesce(kv_cache, asked.kv_cache) AS asked_kv
    FROM joined
),

named AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest([
            {
                'place': 1,
                'setting': 'context',
                'asked': CAST(asked_context AS VARCHAR),
                'seen': v1.seen(verified.context_tokens)
            },
            {
                'place': 2,
                'setting': 'kv_cache',
                'asked': asked_kv,
                'seen': v1.seen(verified.kv_cache)
            },
            {
                'place': 3,
                'setting': 'threads',
                'asked': asked.threads,
                'seen': v1.seen(verified.threads)
            },
            {
                'place': 4,
                'setting': 'batch',
                'asked': CAST(asked.batch_tokens AS VARCHAR),
                'seen': v1.seen(verified.batch_tokens)
            },
            {
                'place': 5,
                'setting': 'gpu',
                'asked': NULL,
                'seen': if(
                    v1.seen(verified.gpu).value IS NULL AND cpu_only IS NOT NULL,
                    {'value': cpu_only, 'varies': false},
                    v1.seen(verified.gpu)
                )
            },
            {
                'place': 6,
                'setting': 'affinity',
                'asked': asked.affinity,
                'seen': v1.seen(verified.affinity)
            },
            {
                'place': 7,
                'setting': 'temperature',
                'asked': regexp_replace(v1.exact_text(asked.temperature_milli, 3), '\.0$', ''),
                'seen': if(
                    verified.temperature_milli.value IS NULL,
                    v1.seen(verified.temperature_milli),
                    {
                        'value': regexp_replace(
                            v1.exact_text(verified.temperature_milli.value, 3), '\.0$', ''
                        ),
                        'varies': false
                    }
                )
            },
            {
                'place': 8,
                'setting': 'seed',
                'asked': CAST(asked.seed AS VARCHAR),
                'seen': v1.seen(verified.seed)
            },
            {
                'place': 9,
                'setting': 'thinking',
                'asked': CAST(asked.thinking AS VARCHAR),
                'seen': v1.seen(verified.thinking)
            }
        ]) AS entry
    FROM facts
),

wanted AS (
    -- `server` asks for the server's own choice: nothing that could be handed on.
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        entry.place AS place,
        entry.setting AS setting,
        nullif(entry.asked, 'server') AS asked,
        entry.seen.value AS verified,
        coalesce(entry.seen.varies, false) AS varies
    FROM named
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    CAST(place AS BIGINT) AS place,
    setting,
    if(varies, NULL, coalesce(verified, asked)) AS value,
    CASE
        WHEN varies THEN 'VARIES'
        WHEN verified IS NOT NULL AND asked IS NULL THEN 'OWN_CHOICE'
        WHEN verified IS NOT NULL THEN 'VERIFIED'
        WHEN asked IS NOT NULL THEN 'NOT_VERIFIED'
        ELSE 'NOT_KNOWN'
    END AS status,
    asked,
    verified
FROM wanted;

COMMENT ON VIEW v1.quant_setting IS 'What each quant was measured under. One row per sweep, model, quant and setting.';
COMMENT ON COLUMN v1.quant_setting.place IS 'Place among the settings';
COMMENT ON COLUMN v1.quant_setting.setting IS 'context, kv_cache, threads, batch, gpu, affinity, temperature, seed or thinking';
COMMENT ON COLUMN v1.quant_setting.value IS 'What was verified, else what was asked for; NULL where neither is known and where runs differ';
COMMENT ON COLUMN v1.quant_setting.status IS 'VERIFIED, NOT_VERIFIED, OWN_CHOICE (of the server''s, and verified), VARIES or NOT_KNOWN';
COMMENT ON COLUMN v1.quant_setting.asked IS 'What was asked for; NULL where nothing was, or where it was left to the server';
COMMENT ON COLUMN v1.quant_setting.verified IS 'What every answered run verified';

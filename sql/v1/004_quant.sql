-- Grain: sweep x model x quant.
-- Inputs: v1.manifest.
-- Rules: quants of a session are ranked by precision, 1 = least precise. Measured bits
-- per weight (file bits / weights) decide only if all quants of the session have them,
-- else the catalogue's nominal ones for all; then the catalogue's order, then the tag.
-- A quant that the basis in use does not know has no rank. The same weights at another
-- level (v1.quant.kv_cache, context_tokens) are less precise with fewer bits in the KV
-- cache. Where levels differ, the smaller is the one of less memory, weights and KV cache
-- together, if all have it; else the less precise one is.

CREATE VIEW v1.quant AS
WITH entries AS (
    SELECT
        manifest.sweep_id,
        quant.entry.model_id AS model_id,
        quant.entry.quant_tag AS quant_tag,
        quant.entry.quant_key AS quant_key,
        quant.entry.quant_family AS quant_family,
        quant.entry.catalogue_order AS catalogue_order,
        quant.entry.nominal_bpw_milli AS nominal_bpw_milli,
        quant.entry.model_bytes AS model_bytes,
        quant.entry.parameters AS parameters,
        quant.entry.model_digest AS model_digest,
        quant.entry.reported_quant AS reported_quant,
        quant.entry.tensor_types AS tensor_types,
        quant.entry.publisher AS publisher,
        quant.entry.server_name AS server_name,
        quant.entry.file AS file,
        quant.entry.kv_cache AS kv_cache,
        quant.entry.kv_bits_milli AS kv_bits_milli,
        quant.entry.context_tokens AS context_tokens,
        quant.entry.kv_cache_bytes AS kv_cache_bytes,
        quant.entry.serve_command AS serve_command,
        quant.entry.trained_context_tokens AS trained_context_tokens,
        quant.entry.model_bytes + quant.entry.kv_cache_bytes AS planned_bytes,
        v1.micro(
            CAST(quant.entry.model_bytes AS HUGEINT) * 8, quant.entry.parameters
        ) AS measured_bpw_micro
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.quants) AS quant (entry)
),

based AS (
    SELECT
        *,
        bool_and(measured_bpw_micro IS NOT NULL) OVER session AS all_measured,
        count(DISTINCT (kv_cache, context_tokens)) OVER session > 1 AS has_levels,
        bool_and(planned_bytes IS NOT NULL) OVER session AS all_planned
    FROM entries
    WINDOW session AS (PARTITION BY sweep_id, model_id)
),

placed AS (
    SELECT
        *,
        CASE
            WHEN all_measured THEN measured_bpw_micro
            ELSE nominal_bpw_milli * 1000
        END AS rank_bpw_micro
    FROM based
),

ranked AS (
    SELECT
        *,
        CASE
            WHEN rank_bpw_micro IS NOT NULL THEN CAST(
                row_number() OVER (
                    PARTITION BY sweep_id, model_id, rank_bpw_micro IS NOT NULL
                    ORDER BY
                        rank_bpw_micro,
                        catalogue_order NULLS FIRST,
                        kv_bits_milli NULLS FIRST,
                        context_tokens NULLS FIRST,
                        quant_tag
                ) AS BIGINT
            )
        END AS quant_rank
    FROM placed
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    quant_key,
    quant_family,
    catalogue_order,
    nominal_bpw_milli,
    model_bytes,
    parameters,
    model_digest,
    reported_quant,
    tensor_types,
    publisher,
    measured_bpw_micro,
    CASE
        WHEN measured_bpw_micro IS NOT NULL THEN measured_bpw_micro
        ELSE nominal_bpw_milli * 1000
    END AS bits_per_weight_micro,
    CASE
        WHEN measured_bpw_micro IS NOT NULL THEN 'measured'
        WHEN nominal_bpw_milli IS NOT NULL THEN 'nominal'
    END AS bits_per_weight_source,
    kv_cache,
    context_tokens,
    kv_cache_bytes,
    planned_bytes,
    has_levels,
    serve_command,
    trained_context_tokens,
    server_name,
    file,
    rank_bpw_micro IS NOT NULL AS rank_known,
    quant_rank,
    CASE
        WHEN NOT has_levels OR NOT all_planned THEN quant_rank
        WHEN quant_rank IS NOT NULL THEN CAST(
            row_number() OVER (
                PARTITION BY sweep_id, model_id, quant_rank IS NOT NULL
                ORDER BY planned_bytes, quant_rank
            ) AS BIGINT
        )
    END AS size_rank
FROM ranked;

COMMENT ON VIEW v1.quant IS 'Identity and precision rank of each quant. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant.model_id IS 'Model';
COMMENT ON COLUMN v1.quant.quant_tag IS 'Quant, as the preset names it';
COMMENT ON COLUMN v1.quant.quant_key IS 'Canonical tag in the quant catalogue, NULL if it knows none';
COMMENT ON COLUMN v1.quant.quant_family IS 'Family in the catalogue';
COMMENT ON COLUMN v1.quant.catalogue_order IS 'Place in the catalogue, 1 = least precise';
COMMENT ON COLUMN v1.quant.nominal_bpw_milli IS 'Nominal bits per weight, 1/1000';
COMMENT ON COLUMN v1.quant.model_bytes IS 'Size of the weights, bytes';
COMMENT ON COLUMN v1.quant.parameters IS 'Number of weights';
COMMENT ON COLUMN v1.quant.model_digest IS 'Identity of the weights';
COMMENT ON COLUMN v1.quant.reported_quant IS 'Quant by the server''s word';
COMMENT ON COLUMN v1.quant.tensor_types IS 'Tensors by the type they are stored in';
COMMENT ON COLUMN v1.quant.publisher IS 'Who made these weights';
COMMENT ON COLUMN v1.quant.measured_bpw_micro IS 'File bits / weights, 1e-6';
COMMENT ON COLUMN v1.quant.bits_per_weight_micro IS 'Measured bits per weight, else nominal, 1e-6';
COMMENT ON COLUMN v1.quant.bits_per_weight_source IS 'measured or nominal';
COMMENT ON COLUMN v1.quant.rank_known IS 'Whether the session''s basis knows this quant';
COMMENT ON COLUMN v1.quant.kv_cache IS 'Type of the KV cache asked for, NULL where none was';
COMMENT ON COLUMN v1.quant.context_tokens IS 'Context asked for, tokens, NULL where none was';
COMMENT ON COLUMN v1.quant.kv_cache_bytes IS 'KV cache at its context, by the file''s metadata, bytes';
COMMENT ON COLUMN v1.quant.planned_bytes IS 'Weights and KV cache, bytes';
COMMENT ON COLUMN v1.quant.has_levels IS 'Quants of this session differ in KV cache or context';
COMMENT ON COLUMN v1.quant.serve_command IS 'What Orket started its server by, without secrets; the port is open';
COMMENT ON COLUMN v1.quant.trained_context_tokens IS 'Context that the model was trained for, by its file or server, tokens; NULL where it was not told';
COMMENT ON COLUMN v1.quant.server_name IS 'What its server calls it';
COMMENT ON COLUMN v1.quant.file IS 'Its GGUF file, on the machine of the sweep';
COMMENT ON COLUMN v1.quant.size_rank IS 'Place by memory in the session, 1 = smallest: the precision rank unless levels differ';
COMMENT ON COLUMN v1.quant.quant_rank IS 'Precision rank in the session, 1 = least precise, NULL if not known';

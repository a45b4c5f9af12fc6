-- Grain: sweep x model x quant.
-- Inputs: v1.sidecar.
-- Rules: what the summary says of the sidecar: the figures from an empty cache under its
-- one set of settings. Under several no figure is the quant's: SEVERAL_SETTINGS.

CREATE VIEW v1.quant_sidecar AS
WITH candidates AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag
            ORDER BY
                prefill_tps_milli IS NULL AND decode_tps_milli IS NULL,
                depth_tokens NULLS LAST,
                settings NULLS LAST,
                tool_version NULLS LAST
        ) AS place,
        count(*) FILTER (
            WHERE depth_tokens = 0 AND coalesce(prefill_tps_milli, decode_tps_milli) IS NOT NULL
        ) OVER quant AS settings_with_figures
    FROM v1.sidecar
    WINDOW quant AS (PARTITION BY sweep_id, model_id, quant_tag)
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    if(settings_with_figures > 1, 'SEVERAL_SETTINGS', status) AS status,
    gates,
    tool,
    tool_version,
    profile,
    if(settings_with_figures = 1 AND depth_tokens = 0, prefill_tps_milli, NULL)
        AS prefill_tps_milli,
    if(settings_with_figures = 1 AND depth_tokens = 0, prefill_samples, NULL)
        AS prefill_samples,
    if(settings_with_figures = 1 AND depth_tokens = 0, prefill_spread_micro, NULL)
        AS prefill_spread_micro,
    if(settings_with_figures = 1 AND depth_tokens = 0, decode_tps_milli, NULL)
        AS decode_tps_milli,
    if(settings_with_figures = 1 AND depth_tokens = 0, decode_samples, NULL)
        AS decode_samples,
    if(settings_with_figures = 1 AND depth_tokens = 0, decode_spread_micro, NULL)
        AS decode_spread_micro,
    error_message
FROM candidates
WHERE place = 1;

COMMENT ON VIEW v1.quant_sidecar IS 'The sidecar''s figures of a quant, where they are of one setting. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_sidecar.status IS 'As of the sidecar; SEVERAL_SETTINGS where it ran under more than one';

-- Grain: sweep x model.
-- Inputs: v1.policy_step, raw.policy_override (a what-if, usually NULL), raw.policy_default.
-- Rules: a sweep is judged by the policy in its own manifest, where it names several by the
-- one of v1.policy_step; a what-if wins over it; a value that an older manifest does not have
-- is the default of today. What each threshold means is declared with it.

CREATE VIEW v1.policy AS
WITH models AS (
    SELECT
        sweep_id,
        model_id,
        policy AS own
    FROM v1.policy_step
),

layers AS (
    SELECT sweep_id, model_id, 1 AS layer, what_if.* EXCLUDE (as_of)
    FROM models
    CROSS JOIN raw.policy_override AS what_if
    UNION ALL BY NAME
    SELECT sweep_id, model_id, 2 AS layer, unnest(own)
    FROM models
    UNION ALL BY NAME
    SELECT sweep_id, model_id, 3 AS layer, fallback.* EXCLUDE (as_of)
    FROM models
    CROSS JOIN raw.policy_default AS fallback
)

-- The first layer that has a value rules it.
SELECT
    sweep_id,
    model_id,
    any_value(COLUMNS(* EXCLUDE (sweep_id, model_id, layer, rival_chi2_milli)) ORDER BY layer)
FROM layers
GROUP BY sweep_id, model_id;

COMMENT ON VIEW v1.policy IS 'The thresholds in force. One row per sweep and model.';

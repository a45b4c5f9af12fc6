-- Grain: sweep x model.
-- Inputs: v1.manifest, raw.events.
-- Rules: a sweep may name, in its manifest, what it goes on under where the machine is not
-- steady enough: looser control profiles, and at last its answers alone. It goes there step
-- by step, each an event POLICY_YIELDED with the code that was found, and never back: what
-- rules is the manifest's own policy, or the step that the number of events names.

CREATE VIEW v1.policy_step AS
WITH yielded AS (
    SELECT
        sweep_id,
        model_id,
        count(*) AS steps,
        list(reason ORDER BY recorded_at, event_id) AS reasons
    FROM (
        SELECT DISTINCT sweep_id, model_id, event_id, recorded_at, reason
        FROM raw.events
        WHERE event = 'POLICY_YIELDED'
    )
    GROUP BY sweep_id, model_id
),

models AS (
    SELECT
        manifest.sweep_id,
        model.entry.model_id AS model_id,
        model.entry.control_profile AS control_profile,
        model.entry.policy AS policy,
        coalesce(model.entry.yields_to, []) AS yields_to
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.models) AS model (entry)
),

ruling AS (
    SELECT
        models.*,
        least(coalesce(yielded.steps, 0), len(models.yields_to)) AS step,
        coalesce(yielded.reasons, []) AS reasons
    FROM models
    LEFT JOIN yielded USING (sweep_id, model_id)
)

SELECT
    sweep_id,
    model_id,
    step,
    if(step = 0, control_profile, yields_to[step].control_profile) AS control_profile,
    if(step = 0, policy, yields_to[step].policy) AS policy,
    yields_to[step + 1].control_profile AS next_control_profile,
    reasons[1:step] AS reasons
FROM ruling;

COMMENT ON VIEW v1.policy_step IS 'Which of a sweep''s policies rules. One row per sweep and model.';
COMMENT ON COLUMN v1.policy_step.model_id IS 'Model';
COMMENT ON COLUMN v1.policy_step.step IS 'Steps that were gone towards answers alone; 0: none';
COMMENT ON COLUMN v1.policy_step.control_profile IS 'Control profile whose thresholds rule';
COMMENT ON COLUMN v1.policy_step.policy IS 'Thresholds of the manifest that rule';
COMMENT ON COLUMN v1.policy_step.next_control_profile IS 'Control profile of the next step; NULL where there is none';
COMMENT ON COLUMN v1.policy_step.reasons IS 'Why each step was gone, in order';

-- Grain: sweep x model x quant x test under a pin.
-- Inputs: v1.task_aggregate, v1.manifest, raw.events, raw.policy_override (as_of).
-- Rules: up to the sweep's start (or as_of) the last of pin and unpin of each stored
-- baseline rules. A pin speaks for its test, model, quant and machine; the newest one of
-- these wins.

CREATE VIEW v1.baseline_pin AS
WITH moments AS (
    SELECT
        manifest.sweep_id,
        manifest.hardware_fingerprint,
        coalesce(what_if.as_of, manifest.started_at) AS folded_at
    FROM v1.manifest AS manifest
    CROSS JOIN raw.policy_override AS what_if
),

last_acts AS (
    SELECT
        moments.sweep_id,
        moments.hardware_fingerprint AS sweep_fingerprint,
        act.event,
        act.event_id,
        act.recorded_at,
        act.target_event_id,
        act.test_id,
        act.model_id,
        act.quant_tag,
        act.hardware_fingerprint
    FROM moments
    INNER JOIN raw.events AS act
        ON act.event IN ('BASELINE_PIN', 'BASELINE_UNPIN')
        AND act.recorded_at <= moments.folded_at
    QUALIFY
        row_number() OVER (
            PARTITION BY moments.sweep_id, act.target_event_id
            ORDER BY act.recorded_at DESC, act.event_id DESC
        ) = 1
)

SELECT
    tasks.sweep_id,
    tasks.model_id,
    tasks.quant_tag,
    tasks.test_id,
    act.target_event_id,
    act.event_id AS pin_event_id,
    act.recorded_at AS pinned_at
FROM v1.task_aggregate AS tasks
INNER JOIN last_acts AS act
    ON act.sweep_id = tasks.sweep_id
    AND act.event = 'BASELINE_PIN'
    AND act.test_id = tasks.test_id
    AND act.model_id = tasks.model_id
    AND act.quant_tag = tasks.quant_tag
    AND (
        act.hardware_fingerprint IS NULL
        OR act.hardware_fingerprint = act.sweep_fingerprint
    )
QUALIFY
    row_number() OVER (
        PARTITION BY tasks.sweep_id, tasks.model_id, tasks.quant_tag, tasks.test_id
        ORDER BY act.recorded_at DESC, act.event_id DESC
    ) = 1;

COMMENT ON VIEW v1.baseline_pin IS 'The pin that rules a cell at the start of its sweep. One row per sweep, model, quant and test under a pin.';
COMMENT ON COLUMN v1.baseline_pin.target_event_id IS 'The stored baseline that is pinned';
COMMENT ON COLUMN v1.baseline_pin.pin_event_id IS 'The pin';
COMMENT ON COLUMN v1.baseline_pin.pinned_at IS 'When it was pinned, UTC';

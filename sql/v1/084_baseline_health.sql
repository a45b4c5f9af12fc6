-- Grain: stored baseline that is not pruned, and pin whose baseline is not there.
-- Inputs: v1.baseline_record, v1.manifest, raw.events, raw.policy_override (as_of).
-- Rules: stale = older than baseline_max_age and not pinned. Incompatible = no sweep that
-- is run today could match it: a fact that matching needs is unknown, it was not CLEAN, or
-- the newest sweep here has another fingerprint recipe or the newest sweep of its test
-- another task revision. Orphaned = its sweep is not in the warehouse, or it is a pin
-- without its append. Duplicate = an earlier record of the same key has the same moment
-- and the same runs.

CREATE VIEW v1.baseline_health AS
WITH newest_sweep AS (
    SELECT fingerprint_version
    FROM v1.manifest
    WHERE fingerprint_version IS NOT NULL
    QUALIFY row_number() OVER (ORDER BY started_at DESC, sweep_id DESC) = 1
),

revisions AS (
    SELECT
        task.entry.test_id AS test_id,
        task.entry.task_revision AS task_revision
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.tasks) AS task (entry)
    QUALIFY
        row_number() OVER (
            PARTITION BY task.entry.test_id
            ORDER BY manifest.started_at DESC, manifest.sweep_id DESC
        ) = 1
),

records AS (
    SELECT
        record.event_id,
        record.test_id,
        record.model_id,
        record.quant_tag,
        record.hardware_fingerprint,
        record.fingerprint_version,
        record.task_revision,
        record.sweep_id,
        record.measured_at,
        record.age_us,
        record.pinned,
        record.stale AS is_stale,
        v1.codes([
            if(record.measured_at IS NULL, 'AGE_UNKNOWN', NULL),
            if(record.hardware_fingerprint IS NULL, 'FINGERPRINT_UNKNOWN', NULL),
            if(
                record.fingerprint_version = 'legacy'
                OR record.fingerprint_version IS DISTINCT FROM coalesce(
                    (SELECT fingerprint_version FROM newest_sweep),
                    record.fingerprint_version
                ),
                'FINGERPRINT_VERSION',
                NULL
            ),
            if(record.model_id IS NULL, 'MODEL_UNKNOWN', NULL),
            if(
                record.run_quality_status IS DISTINCT FROM 'CLEAN', 'NOT_CLEAN', NULL
            ),
            if(record.quant_tag IS NULL, 'QUANT_UNKNOWN', NULL),
            if(
                record.task_revision <> revisions.task_revision,
                'REVISION_CHANGED',
                NULL
            ),
            if(record.task_revision IS NULL, 'REVISION_UNKNOWN', NULL)
        ]) AS incompatible_reasons,
        record.sweep_id IS NOT NULL AND manifest.sweep_id IS NULL AS is_orphaned,
        record.duplicate_of
    FROM v1.baseline_record AS record
    LEFT JOIN revisions USING (test_id)
    LEFT JOIN v1.manifest AS manifest USING (sweep_id)
    WHERE NOT record.pruned
),

last_pins AS (
    SELECT act.*
    FROM raw.events AS act
    CROSS JOIN raw.policy_override AS what_if
    WHERE
        act.event IN ('BASELINE_PIN', 'BASELINE_UNPIN')
        AND (what_if.as_of IS NULL OR act.recorded_at <= what_if.as_of)
    QUALIFY
        row_number() OVER (
            PARTITION BY act.target_event_id
            ORDER BY act.recorded_at DESC, act.event_id DESC
        ) = 1
),

pins_without_append AS (
    SELECT pin.*
    FROM last_pins AS pin
    LEFT JOIN v1.baseline_record AS record
        ON record.event_id = pin.target_event_id
        AND NOT record.pruned
    WHERE pin.event = 'BASELINE_PIN' AND record.event_id IS NULL
)

SELECT
    event_id,
    'RECORD' AS kind,
    test_id,
    model_id,
    quant_tag,
    hardware_fingerprint,
    fingerprint_version,
    task_revision,
    sweep_id,
    measured_at,
    age_us,
    pinned,
    is_stale,
    len(incompatible_reasons) > 0 AS is_incompatible,
    incompatible_reasons,
    is_orphaned,
    duplicate_of IS NOT NULL AS is_duplicate,
    duplicate_of
FROM records
UNION ALL
SELECT
    target_event_id AS event_id,
    'PIN' AS kind,
    test_id,
    model_id,
    quant_tag,
    hardware_fingerprint,
    fingerprint_version,
    task_revision,
    sweep_id,
    CAST(NULL AS TIMESTAMP) AS measured_at,
    TRY_CAST(NULL AS BIGINT) AS age_us,
    true AS pinned,
    false AS is_stale,
    false AS is_incompatible,
    [] AS incompatible_reasons,
    true AS is_orphaned,
    false AS is_duplicate,
    CAST(NULL AS VARCHAR) AS duplicate_of
FROM pins_without_append;

COMMENT ON VIEW v1.baseline_health IS 'What is wrong with each stored baseline. One row per record, and per pin without its record.';
COMMENT ON COLUMN v1.baseline_health.event_id IS 'The append; of a pin, the append it names';
COMMENT ON COLUMN v1.baseline_health.kind IS 'RECORD or PIN';
COMMENT ON COLUMN v1.baseline_health.fingerprint_version IS 'Version of the fingerprint''s recipe';
COMMENT ON COLUMN v1.baseline_health.sweep_id IS 'Sweep it was measured in, NULL for an import';
COMMENT ON COLUMN v1.baseline_health.age_us IS 'Age when the newest event or sweep began, us';
COMMENT ON COLUMN v1.baseline_health.is_stale IS 'Too old, and not pinned';
COMMENT ON COLUMN v1.baseline_health.is_incompatible IS 'No sweep run today could match it';
COMMENT ON COLUMN v1.baseline_health.incompatible_reasons IS 'Why: AGE_UNKNOWN, FINGERPRINT_UNKNOWN, FINGERPRINT_VERSION, MODEL_UNKNOWN, NOT_CLEAN, QUANT_UNKNOWN, REVISION_CHANGED, REVISION_UNKNOWN';
COMMENT ON COLUMN v1.baseline_health.is_orphaned IS 'Its sweep is not in the warehouse, or it is a pin without its record';
COMMENT ON COLUMN v1.baseline_health.is_duplicate IS 'An earlier record has the same key, moment and runs';
COMMENT ON COLUMN v1.baseline_health.duplicate_of IS 'That earlier record';

-- Grain: stored baseline (append event).
-- Inputs: v1.baseline_prune, raw.events, raw.policy_override (as_of), raw.policy_default,
-- raw.sweeps.
-- Rules: events are folded in the order of (recorded_at, event_id), up to as_of if it is
-- given, else all of them. The last of pin and unpin wins; a prune takes out what it
-- names until it is undone. The same append twice counts once.

CREATE VIEW v1.baseline_record AS
WITH moments AS (
    SELECT
        what_if.as_of,
        coalesce(
            what_if.as_of,
            greatest(
                (SELECT max(recorded_at) FROM raw.events),
                (SELECT max(started_at) FROM raw.sweeps)
            )
        ) AS folded_at,
        coalesce(what_if.baseline_max_age_us, fallback.baseline_max_age_us) AS max_age_us
    FROM raw.policy_override AS what_if
    CROSS JOIN raw.policy_default AS fallback
),

events AS (
    SELECT events.*
    FROM raw.events AS events
    CROSS JOIN moments
    WHERE moments.as_of IS NULL OR events.recorded_at <= moments.as_of
),

appends AS (
    SELECT *
    FROM events
    WHERE event = 'BASELINE_APPEND'
    QUALIFY
        row_number() OVER (
            PARTITION BY event_id ORDER BY recorded_at, sha256(CAST(events AS VARCHAR))
        ) = 1
),

pins AS (
    SELECT target_event_id, event, event_id, recorded_at, reason
    FROM events
    WHERE event IN ('BASELINE_PIN', 'BASELINE_UNPIN')
    QUALIFY
        row_number() OVER (
            PARTITION BY target_event_id ORDER BY recorded_at DESC, event_id DESC
        ) = 1
),

prunes AS (
    SELECT prune.*
    FROM v1.baseline_prune AS prune
    CROSS JOIN moments
    WHERE v1.prune_is_in_force(prune, coalesce(moments.as_of, TIMESTAMP 'infinity'))
    QUALIFY
        row_number() OVER (
            PARTITION BY prune.target_event_id ORDER BY prune.recorded_at, prune.event_id
        ) = 1
),

folded AS (
    SELECT
        appends.* EXCLUDE (event, target_event_id, target_event_ids, test_ids),
        coalesce(pins.event = 'BASELINE_PIN', false) AS pinned,
        if(pins.event = 'BASELINE_PIN', pins.event_id, NULL) AS pin_event_id,
        if(pins.event = 'BASELINE_PIN', pins.recorded_at, NULL) AS pinned_at,
        if(pins.event = 'BASELINE_PIN', pins.reason, NULL) AS pin_reason,
        prunes.event_id IS NOT NULL AS pruned,
        prunes.event_id AS prune_event_id,
        prunes.recorded_at AS pruned_at,
        epoch_us(moments.folded_at) - epoch_us(appends.measured_at) AS age_us,
        moments.max_age_us
    FROM appends
    CROSS JOIN moments
    LEFT JOIN pins
        ON pins.target_event_id = appends.event_id
    LEFT JOIN prunes
        ON prunes.target_event_id = appends.event_id
)

SELECT
    * EXCLUDE (max_age_us),
    coalesce(age_us > max_age_us AND NOT pinned, false) AS stale,
    CASE
        WHEN NOT pruned
            THEN row_number() OVER (
                PARTITION BY
                    test_id,
                    model_id,
                    quant_tag,
                    model_digest,
                    hardware_fingerprint,
                    fingerprint_version,
                    control_profile,
                    pruned
                ORDER BY measured_at DESC NULLS LAST, event_id DESC
            )
    END AS key_rank,
    nullif(
        first_value(event_id) OVER (
            PARTITION BY
                test_id,
                model_id,
                quant_tag,
                model_digest,
                hardware_fingerprint,
                fingerprint_version,
                control_profile,
                measured_at,
                source_run_ids,
                pruned
            ORDER BY recorded_at, event_id
        ),
        event_id
    ) AS duplicate_of
FROM folded;

COMMENT ON VIEW v1.baseline_record IS 'Stored baselines with their pins and prunes folded in. One row per append.';
COMMENT ON COLUMN v1.baseline_record.event_id IS 'The append';
COMMENT ON COLUMN v1.baseline_record.recorded_at IS 'When it was appended, UTC';
COMMENT ON COLUMN v1.baseline_record.sweep_id IS 'Sweep it comes from, NULL if imported';
COMMENT ON COLUMN v1.baseline_record.reason IS 'Why, in the words of who did it';
COMMENT ON COLUMN v1.baseline_record.test_id IS 'bank/task';
COMMENT ON COLUMN v1.baseline_record.model_id IS 'Model';
COMMENT ON COLUMN v1.baseline_record.model_digest IS 'Identity of the weights';
COMMENT ON COLUMN v1.baseline_record.quant_tag IS 'Quant';
COMMENT ON COLUMN v1.baseline_record.task_revision IS 'Hash of the task''s content';
COMMENT ON COLUMN v1.baseline_record.hardware_fingerprint IS 'Machine';
COMMENT ON COLUMN v1.baseline_record.fingerprint_version IS 'Recipe of the fingerprint';
COMMENT ON COLUMN v1.baseline_record.control_profile IS 'Control profile';
COMMENT ON COLUMN v1.baseline_record.controls IS 'Controls';
COMMENT ON COLUMN v1.baseline_record.run_quality_status IS 'CLEAN or POLLUTED';
COMMENT ON COLUMN v1.baseline_record.measured_at IS 'When it was measured, UTC';
COMMENT ON COLUMN v1.baseline_record.source_run_ids IS 'Runs it is made of';
COMMENT ON COLUMN v1.baseline_record.runs IS 'Number of them';
COMMENT ON COLUMN v1.baseline_record.checks_passed IS 'Checks passed over them';
COMMENT ON COLUMN v1.baseline_record.checks_total IS 'Checks tried over them';
COMMENT ON COLUMN v1.baseline_record.latency_median_ns IS 'Median wall time, ns';
COMMENT ON COLUMN v1.baseline_record.latency_mad_ns IS 'Median absolute deviation of it, ns';
COMMENT ON COLUMN v1.baseline_record.memory_bytes IS 'Peak memory, bytes';
COMMENT ON COLUMN v1.baseline_record.imported_from IS 'File it was imported from';
COMMENT ON COLUMN v1.baseline_record.pinned IS 'Pinned';
COMMENT ON COLUMN v1.baseline_record.pin_event_id IS 'The pin in force';
COMMENT ON COLUMN v1.baseline_record.pinned_at IS 'When it was pinned, UTC';
COMMENT ON COLUMN v1.baseline_record.pin_reason IS 'Why';
COMMENT ON COLUMN v1.baseline_record.pruned IS 'Taken out by a prune';
COMMENT ON COLUMN v1.baseline_record.prune_event_id IS 'That prune';
COMMENT ON COLUMN v1.baseline_record.pruned_at IS 'When, UTC';
COMMENT ON COLUMN v1.baseline_record.age_us IS 'Moment of the fold minus measured_at, us';
COMMENT ON COLUMN v1.baseline_record.stale IS 'Older than baseline_max_age and not pinned';
COMMENT ON COLUMN v1.baseline_record.key_rank IS '1 = newest of its key among those not pruned';
COMMENT ON COLUMN v1.baseline_record.duplicate_of IS 'Earliest other append of the same measurement';

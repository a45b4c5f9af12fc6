-- Grain: machine x model x runtime x change of the runtime's version, over all sweeps.
-- Inputs: v1.fleet_entry, v1.reason.
-- Rules: the sweeps of a machine, model and runtime in the order of their starts; where one
-- says another version than the one before it, the version changed. Two sweeps stand for a
-- change: the newest of the later version and the newest of the earlier one, both of the same
-- tasks and settings; where there are no such two, the newest, with the reason why they are
-- not compared. A sweep without a version or a machine says nothing here. What follows from
-- the pair is said by v1.drift.

CREATE VIEW v1.version_change AS
WITH marked AS (
    SELECT
        *,
        lag(provider_version) OVER (
            PARTITION BY hardware_fingerprint, model_id, provider
            ORDER BY started_at, sweep_id
        ) IS DISTINCT FROM provider_version AS is_first
    FROM v1.fleet_entry
    WHERE hardware_fingerprint IS NOT NULL AND provider_version IS NOT NULL
),

eras AS (
    SELECT
        *,
        sum(CAST(is_first AS BIGINT)) OVER (
            PARTITION BY hardware_fingerprint, model_id, provider
            ORDER BY started_at, sweep_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS era
    FROM marked
),

starts AS (
    SELECT
        hardware_fingerprint,
        model_id,
        provider,
        era,
        min(started_at) AS since,
        max(era) OVER (PARTITION BY hardware_fingerprint, model_id, provider) AS last_era
    FROM eras
    GROUP BY hardware_fingerprint, model_id, provider, era
),

-- Of sweeps alike the newest.
newest AS (
    SELECT *
    FROM eras
    QUALIFY
        row_number() OVER (
            PARTITION BY hardware_fingerprint, model_id, provider, era, tasks_hash, settings_hash
            ORDER BY started_at DESC, sweep_id DESC
        ) = 1
),

pairs AS (
    SELECT
        new.hardware_fingerprint,
        new.hardware_label,
        new.model_id,
        new.provider,
        new.era,
        old.provider_version AS before_version,
        new.provider_version AS after_version,
        old.sweep_id AS before_sweep,
        new.sweep_id AS after_sweep,
        CASE
            WHEN old.tasks_hash <> new.tasks_hash THEN 'other_tasks'
            WHEN old.settings_hash <> new.settings_hash THEN 'other_settings'
        END AS signal,
        row_number() OVER (
            PARTITION BY new.hardware_fingerprint, new.model_id, new.provider, new.era
            ORDER BY
                signal IS NULL DESC,
                (old.tasks_hash = new.tasks_hash) DESC,
                new.started_at DESC,
                new.sweep_id DESC,
                old.started_at DESC,
                old.sweep_id DESC
        ) AS place
    FROM newest AS new
    INNER JOIN newest AS old
        ON old.hardware_fingerprint = new.hardware_fingerprint
        AND old.model_id = new.model_id
        AND old.provider = new.provider
        AND old.era = new.era - 1
)

SELECT
    pairs.hardware_fingerprint,
    pairs.hardware_label,
    pairs.model_id,
    pairs.provider,
    pairs.before_version,
    pairs.after_version,
    starts.since,
    pairs.era = starts.last_era AS is_newest,
    pairs.before_sweep,
    pairs.after_sweep,
    reason.code AS reason
FROM pairs
INNER JOIN starts USING (hardware_fingerprint, model_id, provider, era)
LEFT JOIN v1.reason AS reason
    ON reason.scope = 'comparison' AND reason.signal = pairs.signal
WHERE pairs.place = 1;

COMMENT ON VIEW v1.version_change IS 'Where a runtime got another version, and the two sweeps that stand for it. One row per machine, model, runtime and change.';
COMMENT ON COLUMN v1.version_change.before_version IS 'Version before the change';
COMMENT ON COLUMN v1.version_change.after_version IS 'Version since the change';
COMMENT ON COLUMN v1.version_change.since IS 'Start of the first sweep with it, UTC';
COMMENT ON COLUMN v1.version_change.is_newest IS 'No later change is known';
COMMENT ON COLUMN v1.version_change.before_sweep IS 'The sweep that stands for the version before';
COMMENT ON COLUMN v1.version_change.after_sweep IS 'The one that stands for the version since';
COMMENT ON COLUMN v1.version_change.reason IS 'Why the two are not compared, NULL where they are';

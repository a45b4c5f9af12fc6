-- Grain: sweep x model x quant x test.
-- Inputs: v1.task_aggregate, v1.manifest, v1.session, v1.quant, v1.policy,
-- raw.policy_override (as_of).
-- Rules: all that a stored baseline has to agree with to stand for a cell, and the moment
-- that governance is folded up to: the sweep's own start, or as_of. How old a baseline is
-- counts from the sweep's start all the same: that is what lies between the two.

CREATE VIEW v1.baseline_cell AS
SELECT
    tasks.sweep_id,
    tasks.model_id,
    tasks.quant_tag,
    tasks.test_id,
    tasks.task_revision,
    manifest.hardware_fingerprint,
    manifest.fingerprint_version,
    quant.model_digest,
    session.control_profile,
    session.controls,
    manifest.started_at,
    coalesce(what_if.as_of, manifest.started_at) AS folded_at,
    policy.baseline_max_age_us
FROM v1.task_aggregate AS tasks
INNER JOIN v1.manifest AS manifest USING (sweep_id)
INNER JOIN v1.session AS session USING (sweep_id, model_id)
INNER JOIN v1.quant AS quant USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
CROSS JOIN raw.policy_override AS what_if;

COMMENT ON VIEW v1.baseline_cell IS 'What a stored baseline has to agree with to stand for a cell. One row per sweep, model, quant and test.';
COMMENT ON COLUMN v1.baseline_cell.hardware_fingerprint IS 'Machine';
COMMENT ON COLUMN v1.baseline_cell.fingerprint_version IS 'Recipe of the fingerprint';
COMMENT ON COLUMN v1.baseline_cell.control_profile IS 'Control profile';
COMMENT ON COLUMN v1.baseline_cell.controls IS 'Controls';
COMMENT ON COLUMN v1.baseline_cell.started_at IS 'Start of the sweep, from which the age of a baseline counts, UTC';
COMMENT ON COLUMN v1.baseline_cell.folded_at IS 'Moment up to which pins and prunes count: the sweep''s start, or as_of, UTC';
COMMENT ON COLUMN v1.baseline_cell.baseline_max_age_us IS 'Age up to which a baseline may stand for it, us';

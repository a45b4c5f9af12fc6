-- Grain: sweep.
-- Inputs: raw.sweeps.
-- Rules: the first manifest row of a sweep (by started_at, then id) rules it; later rows
-- are resumes, which may not change the plan. Rows appended twice count once.

CREATE VIEW v1.manifest AS
SELECT
    sweep_id,
    manifest_id,
    kind,
    started_at,
    orket_version,
    commit_sha,
    preset,
    plan_hash,
    policy_hash,
    labels,
    overrides,
    runtime_target,
    execution_mode,
    hardware_fingerprint,
    fingerprint_version,
    hardware,
    "order",
    repetitions,
    polluted_retries,
    canary_planned,
    sidecar_planned,
    fidelity,
    sandbox,
    checker_version,
    control_profiles,
    models,
    quants,
    tasks,
    plan
FROM raw.sweeps
QUALIFY row_number() OVER (PARTITION BY sweep_id ORDER BY started_at, manifest_id) = 1;

COMMENT ON VIEW v1.manifest IS 'The manifest that rules each sweep. One row per sweep.';
COMMENT ON COLUMN v1.manifest.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.manifest.manifest_id IS 'The ruling manifest row';
COMMENT ON COLUMN v1.manifest.kind IS 'START or INGEST';
COMMENT ON COLUMN v1.manifest.started_at IS 'Start of the sweep, UTC';
COMMENT ON COLUMN v1.manifest.orket_version IS 'Version of Orket that started it';
COMMENT ON COLUMN v1.manifest.commit_sha IS 'Commit of the checkout, NULL outside a repository';
COMMENT ON COLUMN v1.manifest.preset IS 'Preset';
COMMENT ON COLUMN v1.manifest.plan_hash IS 'Hash of all that can change a result';
COMMENT ON COLUMN v1.manifest.policy_hash IS 'Hash of the policy';
COMMENT ON COLUMN v1.manifest.labels IS 'Free-form labels';
COMMENT ON COLUMN v1.manifest.overrides IS 'What the command line replaced in the preset';
COMMENT ON COLUMN v1.manifest.runtime_target IS 'Where it runs; alias venue';
COMMENT ON COLUMN v1.manifest.execution_mode IS 'How it runs; alias flow';
COMMENT ON COLUMN v1.manifest.hardware_fingerprint IS 'Stable id of the hardware';
COMMENT ON COLUMN v1.manifest.fingerprint_version IS 'Version of the fingerprint''s recipe';
COMMENT ON COLUMN v1.manifest.hardware IS 'What the fingerprint is made of';
COMMENT ON COLUMN v1.manifest."order" IS 'reversed, rotated, grouped or adaptive';
COMMENT ON COLUMN v1.manifest.repetitions IS 'Repetitions of the matrix';
COMMENT ON COLUMN v1.manifest.polluted_retries IS 'Retry passes allowed';
COMMENT ON COLUMN v1.manifest.canary_planned IS 'Whether the canary gate is in the plan';
COMMENT ON COLUMN v1.manifest.sidecar_planned IS 'Whether a sidecar is in the plan';
COMMENT ON COLUMN v1.manifest.fidelity IS 'What the phase fidelity asks; NULL where it is not in the plan';
COMMENT ON COLUMN v1.manifest.sandbox IS 'Sandbox for code answers';
COMMENT ON COLUMN v1.manifest.checker_version IS 'Version of the checkers';
COMMENT ON COLUMN v1.manifest.control_profiles IS 'Control profiles known at the start, with the variation they allow';
COMMENT ON COLUMN v1.manifest.models IS 'Models with their server, controls and policy';
COMMENT ON COLUMN v1.manifest.quants IS 'Quants with their identity';
COMMENT ON COLUMN v1.manifest.tasks IS 'Tasks';
COMMENT ON COLUMN v1.manifest.plan IS 'Planned runs in order';

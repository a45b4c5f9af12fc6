-- Grain: sweep x model.
-- Inputs: v1.manifest, v1.policy_step.
-- Rules: a session is the part of a sweep for one model; its server, controls and
-- capabilities come from the ruling manifest.

CREATE VIEW v1.session AS
SELECT
    manifest.sweep_id,
    model.entry.model_id AS model_id,
    model.entry.provider AS provider,
    model.entry.provider_version AS provider_version,
    model.entry.endpoint AS endpoint,
    model.entry.streaming AS streaming,
    model.entry.locality AS locality,
    model.entry.tls_verified AS tls_verified,
    model.entry.server_logical_cpus AS compute_threads,
    model.entry.cpu_only AS cpu_only,
    model.entry.capabilities AS capabilities,
    model.entry.controls AS controls,
    step.control_profile AS control_profile
FROM v1.manifest AS manifest
CROSS JOIN unnest(manifest.models) AS model (entry)
INNER JOIN v1.policy_step AS step
    ON step.sweep_id = manifest.sweep_id AND step.model_id = model.entry.model_id;

COMMENT ON VIEW v1.session IS 'One model of a sweep. One row per sweep and model.';
COMMENT ON COLUMN v1.session.provider IS 'Adapter';
COMMENT ON COLUMN v1.session.provider_version IS 'Server version, as it said';
COMMENT ON COLUMN v1.session.endpoint IS 'URL without user info';
COMMENT ON COLUMN v1.session.streaming IS 'Whether answers were streamed';
COMMENT ON COLUMN v1.session.locality IS 'child, loopback or remote';
COMMENT ON COLUMN v1.session.tls_verified IS 'TLS certificate verified; NULL without TLS';
COMMENT ON COLUMN v1.session.compute_threads IS 'Threads the server computes with';
COMMENT ON COLUMN v1.session.cpu_only IS 'No layer of the model runs on a GPU';
COMMENT ON COLUMN v1.session.capabilities IS 'What the server can tell and be told';
COMMENT ON COLUMN v1.session.controls IS 'Controls asked for';
COMMENT ON COLUMN v1.session.control_profile IS 'Name of the control profile that rules';

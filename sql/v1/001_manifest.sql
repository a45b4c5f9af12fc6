-- Grain: sweep.
-- Inputs: raw.sweeps, raw.task_scope (a what-if, usually empty).
-- Rules: a manifest that was made up of imported rows counts where no other is there.
-- The first manifest row of a sweep (by started_at, then id) rules it; later rows are
-- resumes, which may not change the plan, but how far an adaptive sweep goes: there the
-- last row rules. One may also add tasks to an adaptive sweep, whose evidence holds at
-- every look: there the first row with the most tasks rules tasks, plan and its hash, while
-- the lists of proofs are those of the tasks at the start. Rows appended twice count once. A what-if may ask for the tasks of
-- some buckets or families: then these alone are planned for all that follows, so that
-- everything is judged by them.

CREATE VIEW v1.manifest AS
WITH scope AS (
    SELECT
        sweep_id AS scope_sweep_id,
        list_sort(coalesce(list(name) FILTER (WHERE kind = 'bucket'), [])) AS buckets,
        list_sort(coalesce(list(name) FILTER (WHERE kind = 'family'), [])) AS families
    FROM raw.task_scope
    GROUP BY ALL
),

counting AS (
    SELECT *
    FROM raw.sweeps
    WHERE
        kind <> 'INGEST'
        OR sweep_id NOT IN (SELECT sweep_id FROM raw.sweeps WHERE kind <> 'INGEST')
),

resumed AS (
    -- Windows over whole plans are dear, and few sweeps have several rows.
    SELECT sweep_id FROM counting GROUP BY sweep_id HAVING count(*) > 1
),

extended AS (
    SELECT
        *,
        tasks AS start_tasks,
        plan_hash AS start_plan_hash
    FROM counting
    ANTI JOIN resumed USING (sweep_id)
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (tasks, plan, plan_hash, overrides, until),
        first_value(until) OVER (
            PARTITION BY sweep_id ORDER BY started_at DESC, manifest_id DESC
        ) AS until,
        tasks AS start_tasks,
        plan_hash AS start_plan_hash,
        first_value(tasks) OVER widest AS tasks,
        first_value(plan) OVER widest AS plan,
        first_value(plan_hash) OVER widest AS plan_hash,
        first_value(overrides) OVER widest AS overrides
    FROM counting
    SEMI JOIN resumed USING (sweep_id)
    WINDOW widest AS (
        PARTITION BY sweep_id
        ORDER BY
            if("order" = 'adaptive' AND kind <> 'INGEST', len(tasks), 0) DESC,
            started_at,
            manifest_id
    )
    QUALIFY row_number() OVER (PARTITION BY sweep_id ORDER BY started_at, manifest_id) = 1
),

ruling AS (
    SELECT
        * EXCLUDE (scope_sweep_id, buckets, families, tasks, start_tasks),
        tasks AS planned_tasks,
        if(len(buckets) + len(families) > 0, buckets, NULL) AS scope_buckets,
        if(len(buckets) + len(families) > 0, families, NULL) AS scope_families,
        if(
            len(buckets) + len(families) > 0,
            list_filter(
                tasks,
                lambda task: list_contains(buckets, task.bucket)
                OR coalesce(list_contains(families, task.family), false)
            ),
            tasks
        ) AS tasks,
        if(
            len(buckets) + len(families) > 0,
            list_filter(
                start_tasks,
                lambda task: list_contains(buckets, task.bucket)
                OR coalesce(list_contains(families, task.family), false)
            ),
            start_tasks
        ) AS start_tasks
    FROM extended
    LEFT JOIN scope ON scope_sweep_id IS NULL OR scope_sweep_id = extended.sweep_id
),

named AS (
    SELECT *, list_transform(tasks, lambda task: task.test_id) AS test_ids FROM ruling
)

SELECT
    sweep_id,
    manifest_id,
    kind,
    started_at,
    orket_version,
    commit_sha,
    preset,
    plan_hash,
    start_plan_hash,
    policy_hash,
    labels,
    overrides,
    runtime_target,
    execution_mode,
    hardware_fingerprint,
    fingerprint_version,
    hardware,
    "order",
    until,
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
    scope_buckets,
    scope_families,
    len(planned_tasks) AS planned_tasks,
    tasks,
    start_tasks,
    if(
        scope_buckets IS NULL,
        plan,
        list_filter(
            plan,
            lambda entry: entry.phase <> 'matrix' OR list_contains(test_ids, entry.test_id)
        )
    ) AS plan
FROM named;

COMMENT ON VIEW v1.manifest IS 'The manifest that rules each sweep. One row per sweep.';
COMMENT ON COLUMN v1.manifest.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.manifest.manifest_id IS 'The ruling manifest row';
COMMENT ON COLUMN v1.manifest.kind IS 'START or INGEST';
COMMENT ON COLUMN v1.manifest.started_at IS 'Start of the sweep, UTC';
COMMENT ON COLUMN v1.manifest.orket_version IS 'Version of Orket that started it';
COMMENT ON COLUMN v1.manifest.commit_sha IS 'Commit of the checkout, NULL outside a repository';
COMMENT ON COLUMN v1.manifest.preset IS 'Preset';
COMMENT ON COLUMN v1.manifest.plan_hash IS 'Hash of all that can change a result';
COMMENT ON COLUMN v1.manifest.start_plan_hash IS 'The same of the plan at the start, before tasks were added';
COMMENT ON COLUMN v1.manifest.policy_hash IS 'Hash of the policy';
COMMENT ON COLUMN v1.manifest.labels IS 'Free-form labels';
COMMENT ON COLUMN v1.manifest.overrides IS 'What the command line replaced in the preset';
COMMENT ON COLUMN v1.manifest.runtime_target IS 'Where it runs; alias venue';
COMMENT ON COLUMN v1.manifest.execution_mode IS 'How it runs; alias flow';
COMMENT ON COLUMN v1.manifest.hardware_fingerprint IS 'Stable id of the hardware';
COMMENT ON COLUMN v1.manifest.fingerprint_version IS 'Version of the fingerprint''s recipe';
COMMENT ON COLUMN v1.manifest.hardware IS 'What the fingerprint is made of';
COMMENT ON COLUMN v1.manifest."order" IS 'reversed, rotated, grouped or adaptive';
COMMENT ON COLUMN v1.manifest.until IS 'How far an adaptive sweep goes: proof, clear or point';
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
COMMENT ON COLUMN v1.manifest.scope_buckets IS 'Buckets that a what-if is limited to; NULL without such a what-if';
COMMENT ON COLUMN v1.manifest.scope_families IS 'Families that it is limited to';
COMMENT ON COLUMN v1.manifest.planned_tasks IS 'Tasks of the whole sweep';
COMMENT ON COLUMN v1.manifest.tasks IS 'Tasks';
COMMENT ON COLUMN v1.manifest.start_tasks IS 'Those of the start: what was added later is none of them';
COMMENT ON COLUMN v1.manifest.plan IS 'Planned runs in order';

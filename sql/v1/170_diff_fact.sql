-- Grain: pair of sweeps x model x fact.
-- Inputs: v1.manifest, v1.session, v1.policy, v1.reason, raw.pair (two sweeps, usually none).
-- Rules: what two sweeps share and in what they differ, and what of it forbids to compare
-- their answers or their times. Another machine, other controls of the server and another
-- rule for which runs count forbid times; another rule for answers, temperature or thinking
-- forbids answers. What is compared (server, version, quant, weights) forbids nothing. A fact
-- that neither side has asked for is the same; a machine that is not known is not. Models are
-- paired by their name, unless one of each is named.

CREATE VIEW v1.diff_fact AS
WITH models AS (
    SELECT
        pair.before_sweep,
        pair.after_sweep,
        before.model_id AS model_id,
        after.model_id AS after_model,
        {
            'manifest': before_manifest,
            'session': before,
            'policy': before_policy
        } AS old,
        {
            'manifest': after_manifest,
            'session': after,
            'policy': after_policy
        } AS new
    FROM raw.pair AS pair
    INNER JOIN v1.session AS before
        ON before.sweep_id = pair.before_sweep
        AND before.model_id = coalesce(pair.before_model, before.model_id)
    INNER JOIN v1.session AS after
        ON after.sweep_id = pair.after_sweep
        AND after.model_id = coalesce(pair.after_model, before.model_id)
    INNER JOIN v1.manifest AS before_manifest ON before_manifest.sweep_id = pair.before_sweep
    INNER JOIN v1.manifest AS after_manifest ON after_manifest.sweep_id = pair.after_sweep
    INNER JOIN v1.policy AS before_policy
        ON before_policy.sweep_id = before.sweep_id
        AND before_policy.model_id = before.model_id
    INNER JOIN v1.policy AS after_policy
        ON after_policy.sweep_id = after.sweep_id
        AND after_policy.model_id = after.model_id
),

rules AS (
    SELECT
        *,
        to_json(raw.run_quality_policy(old.policy)) AS old_rules,
        to_json(raw.run_quality_policy(new.policy)) AS new_rules,
        to_json(raw.thresholds(old.policy)) AS old_limits,
        to_json(raw.thresholds(new.policy)) AS new_limits,
        list_transform(
            old.manifest.tasks, lambda task: task.test_id || ' ' || task.task_revision
        ) AS old_tasks,
        list_transform(
            new.manifest.tasks, lambda task: task.test_id || ' ' || task.task_revision
        ) AS new_tasks
    FROM models
),

listed AS (
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        after_model,
        unnest([
            v1.fact(1, 'model', model_id, after_model, NULL, NULL),
            v1.fact(
                2,
                'tasks',
                v1.count_text(len(old_tasks), 'task'),
                v1.count_text(len(new_tasks), 'task') || ', '
                || len(list_intersect(old_tasks, new_tasks)) || ' the same',
                NULL,
                len(list_intersect(old_tasks, new_tasks)) = len(old_tasks)
                AND len(old_tasks) = len(new_tasks)
            ),
            v1.fact(
                3,
                'checkers',
                old.manifest.checker_version,
                new.manifest.checker_version,
                'other_checkers',
                NULL
            ),
            v1.fact(4, 'sandbox', old.manifest.sandbox, new.manifest.sandbox, NULL, NULL),
            v1.fact(
                5,
                'temperature',
                v1.exact_text(old.session.controls.temperature_milli, 3),
                v1.exact_text(new.session.controls.temperature_milli, 3),
                'other_sampling',
                NULL
            ),
            v1.fact(
                6,
                'thinking',
                CAST(old.session.controls.thinking AS VARCHAR),
                CAST(new.session.controls.thinking AS VARCHAR),
                'other_sampling',
                NULL
            ),
            v1.fact(
                7,
                'machine',
                old.manifest.hardware_fingerprint,
                new.manifest.hardware_fingerprint,
                if(
                    old.manifest.hardware_fingerprint IS NULL
                    OR new.manifest.hardware_fingerprint IS NULL,
                    'unknown_machine',
                    'other_machine'
                ),
                old.manifest.hardware_fingerprint = new.manifest.hardware_fingerprint
            ),
            v1.fact(
                8,
                'context',
                CAST(old.session.controls.context_tokens AS VARCHAR),
                CAST(new.session.controls.context_tokens AS VARCHAR),
                'other_controls',
                NULL
            ),
            v1.fact(
                9,
                'kv_cache',
                old.session.controls.kv_cache,
                new.session.controls.kv_cache,
                'other_controls',
                NULL
            ),
            v1.fact(
                10,
                'threads',
                old.session.controls.threads,
                new.session.controls.threads,
                'other_controls',
                NULL
            ),
            v1.fact(
                11,
                'affinity',
                old.session.controls.affinity,
                new.session.controls.affinity,
                'other_controls',
                NULL
            ),
            v1.fact(
                12,
                'batch',
                CAST(old.session.controls.batch_tokens AS VARCHAR),
                CAST(new.session.controls.batch_tokens AS VARCHAR),
                'other_controls',
                NULL
            ),
            v1.fact(
                13,
                'warmup',
                old.session.controls.warmup,
                new.session.controls.warmup,
                'other_controls',
                NULL
            ),
            v1.fact(
                14,
                'seed',
                CAST(old.session.controls.seed AS VARCHAR),
                CAST(new.session.controls.seed AS VARCHAR),
                NULL,
                NULL
            ),
            v1.fact(
                15,
                'run_quality_policy',
                v1.differing(old_rules, new_rules),
                v1.differing(new_rules, old_rules),
                'other_policy',
                old_rules = new_rules
            ),
            v1.fact(
                16,
                'thresholds',
                v1.differing(old_limits, new_limits),
                v1.differing(new_limits, old_limits),
                NULL,
                old_limits = new_limits
            ),
            v1.fact(17, 'server', old.session.provider, new.session.provider, NULL, NULL),
            v1.fact(
                18,
                'server_version',
                old.session.provider_version,
                new.session.provider_version,
                NULL,
                old.session.provider_version = new.session.provider_version
            ),
            v1.fact(
                19,
                'orket_version',
                old.manifest.orket_version,
                new.manifest.orket_version,
                NULL,
                NULL
            ),
            v1.fact(
                20, 'order', old.manifest."order", new.manifest."order", NULL, NULL
            ),
            v1.fact(
                21,
                'repetitions',
                CAST(old.manifest.repetitions AS VARCHAR),
                CAST(new.manifest.repetitions AS VARCHAR),
                NULL,
                NULL
            )
        ]) AS entry
    FROM rules
),

named AS (
    SELECT
        before_sweep,
        after_sweep,
        model_id,
        after_model,
        entry.place AS place,
        entry.fact AS fact,
        entry.old AS old,
        entry.new AS new,
        coalesce(entry.is_same, false) AS is_same,
        entry.signal AS signal
    FROM listed
)

SELECT
    named.before_sweep,
    named.after_sweep,
    named.model_id,
    named.after_model,
    named.place,
    named.fact,
    named.old AS before,
    named.new AS after,
    named.is_same,
    if(named.is_same, NULL, reason.code) AS reason,
    coalesce(
        NOT named.is_same AND named.signal IN ('other_checkers', 'other_sampling'), false
    ) AS forbids_answers,
    coalesce(
        NOT named.is_same AND named.signal IN (
            'other_sampling',
            'other_machine',
            'unknown_machine',
            'other_controls',
            'other_policy'
        ),
        false
    ) AS forbids_times
FROM named
LEFT JOIN v1.reason AS reason
    ON reason.scope = 'comparison' AND reason.signal = named.signal;

COMMENT ON VIEW v1.diff_fact IS 'What two sweeps share, and in what they differ. One row per pair, model and fact; empty unless two sweeps are laid side by side.';
COMMENT ON COLUMN v1.diff_fact.before_sweep IS 'The first sweep';
COMMENT ON COLUMN v1.diff_fact.after_sweep IS 'The second sweep, which is judged';
COMMENT ON COLUMN v1.diff_fact.model_id IS 'Model of the first';
COMMENT ON COLUMN v1.diff_fact.after_model IS 'Model of the second that it is paired with';
COMMENT ON COLUMN v1.diff_fact.place IS 'Place among the facts';
COMMENT ON COLUMN v1.diff_fact.fact IS 'What is compared';
COMMENT ON COLUMN v1.diff_fact.before IS 'In the first sweep, NULL where it is not known or was not asked for';
COMMENT ON COLUMN v1.diff_fact.after IS 'In the second sweep';
COMMENT ON COLUMN v1.diff_fact.is_same IS 'Both have the same';
COMMENT ON COLUMN v1.diff_fact.reason IS 'Why that forbids a comparison, NULL where it does not';
COMMENT ON COLUMN v1.diff_fact.forbids_answers IS 'Answers cannot be compared';
COMMENT ON COLUMN v1.diff_fact.forbids_times IS 'Times cannot be compared';

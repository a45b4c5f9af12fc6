-- Grain: sweep.
-- Inputs: v1.session_entry, v1.manifest, v1.policy, v1.stability_kpi, v1.attempts,
-- v1.stop_reason, raw.sidecars, raw.events, raw.what_if.
-- Rules: the nested struct that is written as sweep_summary.json. Numbers are scaled
-- integers, the suffix tells the unit; the exporter writes plain decimals from them. Lists
-- are sorted; quants stand most precise first. A group that differs between the models of
-- a sweep is NULL in the matrix and stands with each session. generated_at is the newest
-- recorded_at of the sweep's calls and sidecars, else its start.

CREATE VIEW v1.summary AS
WITH entries AS (
    -- The groups are made here: an aggregate would make one for each time it names it.
    SELECT
        session_entry.*,
        policy,
        raw.run_quality_policy(policy) AS run_quality_policy,
        raw.canary_policy(policy) AS canary_policy
    FROM v1.session_entry AS session_entry
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
),

sessions AS (
    SELECT
        sweep_id,
        list(model_id ORDER BY model_id) AS models,
        list({'key': model_id, 'value': quant_tags} ORDER BY model_id) AS quants,
        v1.agreed(entry.experimental_controls) AS experimental_controls,
        v1.agreed(entry.effective_controls) AS effective_controls,
        v1.agreed(entry.provider) AS provider,
        v1.agreed(policy.adherence_threshold_ppm) AS adherence_threshold_ppm,
        v1.agreed(policy.latency_ceiling_ns) AS latency_ceiling_ns,
        v1.agreed(policy.include_polluted) AS include_polluted,
        v1.agreed(policy.allow_unobserved) AS allow_unobserved,
        v1.agreed(run_quality_policy) AS run_quality_policy,
        v1.agreed(canary_policy) AS canary_policy,
        -- With several models the worst canary speaks for the sweep.
        first(
            entry.canary
            ORDER BY
                list_position(['FAILED', 'NOT_RUN'], entry.canary.verdict) NULLS LAST,
                entry.canary.internal_latency_cv_micro DESC NULLS LAST,
                model_id
        ) AS canary,
        list(entry ORDER BY model_id) AS sessions
    FROM entries
    GROUP BY sweep_id
),

ends AS (
    SELECT
        sweep_id,
        first(event ORDER BY recorded_at DESC, event_id DESC) AS event,
        first(reason ORDER BY recorded_at DESC, event_id DESC) AS reason
    FROM raw.events
    WHERE event IN ('SWEEP_FINISHED', 'SWEEP_ABORTED')
    GROUP BY sweep_id
),

newest AS (
    SELECT sweep_id, max(recorded_at) AS recorded_at
    FROM (
        SELECT sweep_id, recorded_at FROM v1.attempts
        UNION ALL
        SELECT sweep_id, recorded_at FROM raw.sidecars
    )
    GROUP BY sweep_id
),

stops AS (
    -- Of each model where they were not stopped by the same.
    SELECT
        sweep_id,
        if(
            count(DISTINCT coalesce(words, '')) = 1,
            any_value(words),
            string_agg(format('{} {}', model_id, words), '; ' ORDER BY model_id)
                FILTER (WHERE words IS NOT NULL)
        ) AS words
    FROM v1.session_entry
    LEFT JOIN v1.stop_reason ON code = entry.rounds.stop_reason
    GROUP BY sweep_id
),

what_ifs AS (
    SELECT list({'key': key, 'value': value} ORDER BY key) AS overrides
    FROM raw.what_if
)

SELECT
    manifest.sweep_id,
    {
        'view_version': 'v1',
        'sweep_id': manifest.sweep_id,
        'generated_at': coalesce(newest.recorded_at, manifest.started_at),
        'commit_sha': manifest.commit_sha,
        'orket_version': manifest.orket_version,
        'preset': manifest.preset,
        'plan_hash': manifest.plan_hash,
        'labels': manifest.labels,
        'status': CASE
            WHEN ends.event = 'SWEEP_FINISHED' THEN 'COMPLETED'
            WHEN ends.reason IN ('CANARY_FAILED', 'INTERRUPTED') THEN ends.reason
            WHEN ends.event IS NOT NULL THEN 'FAILED'
            WHEN manifest.kind = 'INGEST' THEN 'COMPLETED'
            ELSE 'INTERRUPTED'
        END,
        'status_reason': CASE
            WHEN
                ends.event = 'SWEEP_ABORTED'
                AND ends.reason NOT IN ('CANARY_FAILED', 'INTERRUPTED')
                THEN ends.reason
            WHEN ends.event = 'SWEEP_FINISHED' THEN stops.words
        END,
        'hardware_fingerprint': manifest.hardware_fingerprint,
        'hardware': manifest.hardware,
        'overrides': list_concat(
            list_transform(
                manifest.overrides,
                lambda entry: {'key': entry.key, 'value': entry.value}
            ),
            what_ifs.overrides
        ),
        'scope': if(
            manifest.scope_buckets IS NULL,
            NULL,
            {
                'buckets': manifest.scope_buckets,
                'families': manifest.scope_families,
                'tasks': len(manifest.tasks),
                'of_tasks': manifest.planned_tasks
            }
        ),
        'include_polluted': sessions.include_polluted,
        'allow_unobserved': sessions.allow_unobserved,
        'matrix': {
            'models': sessions.models,
            'quants': sessions.quants,
            'task_bank': array_to_string(
                list_sort(
                    list_distinct(
                        list_transform(manifest.tasks, lambda task: task.bank)
                    )
                ),
                '+'
            ),
            'buckets': list_sort(
                list_distinct(
                    list_transform(manifest.tasks, lambda task: task.bucket)
                )
            ),
            'tasks': len(
                list_distinct(
                    list_transform(manifest.tasks, lambda task: task.test_id)
                )
            ),
            'runs_per_quant': manifest.repetitions,
            'sandbox': manifest.sandbox,
            'adherence_threshold_ppm': sessions.adherence_threshold_ppm,
            'latency_ceiling_ns': sessions.latency_ceiling_ns,
            'experimental_controls': sessions.experimental_controls,
            'effective_controls': sessions.effective_controls,
            'run_quality_policy': sessions.run_quality_policy,
            'canary_policy': sessions.canary_policy,
            'runtime_target': manifest.runtime_target,
            'execution_mode': manifest.execution_mode,
            'provider': sessions.provider
        },
        'canary': sessions.canary,
        'sessions': sessions.sessions,
        'stability_kpis': kpi
    } AS summary
FROM v1.manifest AS manifest
INNER JOIN sessions USING (sweep_id)
INNER JOIN v1.stability_kpi AS kpi USING (sweep_id)
CROSS JOIN what_ifs
LEFT JOIN newest USING (sweep_id)
LEFT JOIN stops USING (sweep_id)
LEFT JOIN ends USING (sweep_id);

COMMENT ON VIEW v1.summary IS 'The document of a sweep. One row per sweep.';
COMMENT ON COLUMN v1.summary.summary IS 'What sweep_summary.json is written from; see docs/summary.md';

-- Grain: sweep x model.
-- Inputs: v1.manifest, v1.session, v1.policy, v1.choice, v1.frontier, v1.quant,
-- v1.quant_aggregate, v1.quant_tasks, v1.quant_cost, v1.attempts, raw.events.
-- Rules: what one sweep says of one model on its machine, small enough that all sweeps of a
-- history can be laid side by side. SHOWN: a quant below the reference is proven.
-- SAFE_CHOICE: only the reference itself is. NOT_SHOWN: one passes, and nothing is proven.
-- NO_ANSWER: none is eligible. Tasks and settings are told by hashes: of the tasks with their
-- revisions, and of all that would forbid to compare two sweeps (v1.diff_fact).

CREATE VIEW v1.fleet_entry AS
WITH ends AS (
    SELECT
        sweep_id,
        first(event ORDER BY recorded_at DESC, event_id DESC) AS event
    FROM raw.events
    WHERE event IN ('SWEEP_FINISHED', 'SWEEP_ABORTED')
    GROUP BY sweep_id
),

newest AS (
    SELECT sweep_id, max(recorded_at) AS recorded_at FROM v1.attempts GROUP BY sweep_id
),

outs AS (
    SELECT
        sweep_id,
        model_id,
        list(quant_tag ORDER BY quant_tag) AS out_quants
    FROM v1.frontier
    WHERE is_judged AND NOT is_eligible
    GROUP BY ALL
),

named AS (
    SELECT
        choice.*,
        coalesce(choice.advised_quant, choice.minimum_viable_quant) AS answer_quant,
        CASE
            WHEN choice.minimum_viable_quant IS NULL THEN 'NO_ANSWER'
            WHEN choice.advised_quant IS NULL THEN 'NOT_SHOWN'
            WHEN choice.advised_quant = choice.baseline_quant_tag THEN 'SAFE_CHOICE'
            ELSE 'SHOWN'
        END AS standing
    FROM v1.choice AS choice
)

SELECT
    manifest.sweep_id,
    session.model_id,
    manifest.started_at,
    coalesce(newest.recorded_at, manifest.started_at) AS measured_at,
    manifest.kind = 'INGEST' OR coalesce(ends.event = 'SWEEP_FINISHED', false) AS is_completed,
    manifest.preset,
    manifest.hardware_fingerprint,
    nullif(
        array_to_string(
            list_filter(
                list_concat(
                    [
                        manifest.hardware.cpu,
                        CASE
                            WHEN manifest.hardware.ram_bytes IS NOT NULL
                                THEN v1.scaled(manifest.hardware.ram_bytes, 1073741824, 1)
                                || ' GiB'
                        END
                    ],
                    coalesce(manifest.hardware.gpus, [])
                ),
                lambda part: part IS NOT NULL
            ),
            ', '
        ),
        ''
    ) AS hardware_label,
    session.provider,
    session.provider_version,
    array_to_string(
        list_sort(
            list_distinct(list_transform(manifest.tasks, lambda task: task.bank))
        ),
        '+'
    ) AS task_bank,
    len(manifest.tasks) AS tasks,
    md5(
        array_to_string(
            list_sort(
                list_transform(
                    manifest.tasks,
                    lambda task: length(task.test_id) || ' ' || task.test_id || ' '
                    || task.task_revision
                )
            ),
            chr(10)
        )
    ) AS tasks_hash,
    md5(
        CAST(
            to_json({
                'temperature': session.controls.temperature_milli,
                'thinking': session.controls.thinking,
                'context': session.controls.context_tokens,
                'kv_cache': session.controls.kv_cache,
                'threads': session.controls.threads,
                'affinity': session.controls.affinity,
                'batch': session.controls.batch_tokens,
                'warmup': session.controls.warmup,
                'rules': raw.run_quality_policy(policy),
                'checkers': manifest.checker_version
            }) AS VARCHAR
        )
    ) AS settings_hash,
    named.standing,
    named.answer_quant,
    named.baseline_quant_tag AS reference_quant,
    named.confidence,
    named.evidence_tasks,
    quant.model_digest AS answer_digest,
    TRY_CAST(v1.scaled(quant_tasks.adherence_nano, 1000, 1) AS BIGINT) AS adherence_micro,
    aggregate.total_latency_ns,
    aggregate.generation_tokens_per_second_milli,
    aggregate.peak_memory_bytes,
    cost.wall_per_pass_ns,
    cost.wall_per_pass_low_ns,
    cost.wall_per_pass_high_ns,
    cost.cpu_energy_per_pass_uj,
    cost.gpu_energy_per_pass_uj,
    coalesce(outs.out_quants, []) AS out_quants
FROM v1.manifest AS manifest
INNER JOIN v1.session AS session USING (sweep_id)
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
INNER JOIN named USING (sweep_id, model_id)
LEFT JOIN ends USING (sweep_id)
LEFT JOIN newest USING (sweep_id)
LEFT JOIN outs USING (sweep_id, model_id)
LEFT JOIN v1.quant AS quant
    ON quant.sweep_id = manifest.sweep_id
    AND quant.model_id = session.model_id
    AND quant.quant_tag = named.answer_quant
LEFT JOIN v1.quant_tasks AS quant_tasks
    ON quant_tasks.sweep_id = manifest.sweep_id
    AND quant_tasks.model_id = session.model_id
    AND quant_tasks.quant_tag = named.answer_quant
LEFT JOIN v1.quant_aggregate AS aggregate
    ON aggregate.sweep_id = manifest.sweep_id
    AND aggregate.model_id = session.model_id
    AND aggregate.quant_tag = named.answer_quant
LEFT JOIN v1.quant_cost AS cost
    ON cost.sweep_id = manifest.sweep_id
    AND cost.model_id = session.model_id
    AND cost.quant_tag = named.answer_quant;

COMMENT ON VIEW v1.fleet_entry IS 'What one sweep says of one model on its machine. One row per sweep and model.';
COMMENT ON COLUMN v1.fleet_entry.started_at IS 'Start of the sweep, UTC';
COMMENT ON COLUMN v1.fleet_entry.measured_at IS 'When its newest call was recorded, UTC';
COMMENT ON COLUMN v1.fleet_entry.is_completed IS 'It came to its end';
COMMENT ON COLUMN v1.fleet_entry.hardware_label IS 'CPU, memory and GPUs of the machine, in words; no key';
COMMENT ON COLUMN v1.fleet_entry.provider IS 'Runtime: the adapter of the server';
COMMENT ON COLUMN v1.fleet_entry.provider_version IS 'Version of the server, as it said';
COMMENT ON COLUMN v1.fleet_entry.task_bank IS 'Banks of its tasks, joined by +';
COMMENT ON COLUMN v1.fleet_entry.tasks IS 'Number of tasks';
COMMENT ON COLUMN v1.fleet_entry.tasks_hash IS 'Hash of the tasks with their revisions';
COMMENT ON COLUMN v1.fleet_entry.settings_hash IS 'Hash of what would forbid to compare answers or times';
COMMENT ON COLUMN v1.fleet_entry.standing IS 'SHOWN, SAFE_CHOICE, NOT_SHOWN or NO_ANSWER';
COMMENT ON COLUMN v1.fleet_entry.answer_quant IS 'The advised quant, else the smallest that passes, which is not shown';
COMMENT ON COLUMN v1.fleet_entry.reference_quant IS 'The quant that the others are held against';
COMMENT ON COLUMN v1.fleet_entry.confidence IS 'Of the smallest quant that passes: SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL';
COMMENT ON COLUMN v1.fleet_entry.evidence_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.fleet_entry.answer_digest IS 'Identity of the weights of the answer';
COMMENT ON COLUMN v1.fleet_entry.adherence_micro IS 'Adherence of the answer, 1e-6';
COMMENT ON COLUMN v1.fleet_entry.total_latency_ns IS 'Its mean wall time of a run, ns';
COMMENT ON COLUMN v1.fleet_entry.generation_tokens_per_second_milli IS 'Its decode rate, 1/1000 per second';
COMMENT ON COLUMN v1.fleet_entry.peak_memory_bytes IS 'Its peak memory, bytes';
COMMENT ON COLUMN v1.fleet_entry.wall_per_pass_ns IS 'Its wall time per passed task, ns';
COMMENT ON COLUMN v1.fleet_entry.wall_per_pass_high_ns IS 'The same at the lower bound, ns';
COMMENT ON COLUMN v1.fleet_entry.cpu_energy_per_pass_uj IS 'Its energy of the CPU packages per passed task, uJ';
COMMENT ON COLUMN v1.fleet_entry.gpu_energy_per_pass_uj IS 'Its energy of the GPUs per passed task, uJ';
COMMENT ON COLUMN v1.fleet_entry.out_quants IS 'Quants that were judged and are out, sorted';

-- Grain: sweep.
-- Inputs: every view above, raw.events, raw.what_if, raw.recommendation_if_polluted.
-- Rules: the nested struct that is written as sweep_summary.json. Numbers are scaled
-- integers, the suffix tells the unit; the exporter writes plain decimals from them. Lists
-- are sorted; quants stand most precise first. A group that differs between the models of
-- a sweep is NULL in the matrix and stands with each session. generated_at is the newest
-- recorded_at of the sweep's calls and sidecars, else its start.

CREATE VIEW v1.summary AS
WITH effective AS (
    -- A control is effective when every answered run of the model verified the same value.
    SELECT
        sweep_id,
        model_id,
        {
            'seed': v1.agreed(effective.seed),
            'threads': v1.agreed(effective.threads),
            'affinity': v1.agreed(effective.affinity),
            'warmup': v1.agreed(effective.warmup),
            'temperature_milli': v1.agreed(effective.temperature_milli),
            'context_tokens': v1.agreed(effective.context_tokens),
            'batch_tokens': v1.agreed(effective.batch_tokens),
            'thinking': v1.agreed(effective.thinking)
        } AS controls
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase = 'matrix'
    GROUP BY sweep_id, model_id
),

baseline_reasons AS (
    SELECT sweep_id, model_id, quant_tag, reason, count(*) AS tests
    FROM v1.baseline_match
    WHERE reason IS NOT NULL
    GROUP BY ALL
),

baseline_reason_lists AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        if(count(*) = 1, min(reason), NULL) AS reason,
        list({'key': reason, 'value': tests} ORDER BY reason) AS reason_counts
    FROM baseline_reasons
    GROUP BY ALL
),

baseline_folds AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS total_tests,
        count(*) FILTER (WHERE status = 'MATCHED') AS matched_tests,
        CASE
            WHEN count(*) FILTER (WHERE verdict = 'REGRESSED') > 0 THEN 'REGRESSED'
            WHEN count(*) FILTER (WHERE verdict = 'IMPROVED') > 0 THEN 'IMPROVED'
            WHEN count(*) FILTER (WHERE verdict = 'STABLE') > 0 THEN 'STABLE'
            WHEN count(*) FILTER (WHERE verdict = 'INSUFFICIENT') > 0 THEN 'INSUFFICIENT'
            WHEN count(*) FILTER (WHERE verdict = 'NOT_COMPARABLE') > 0
                THEN 'NOT_COMPARABLE'
            ELSE 'MISSING_BASELINE'
        END AS verdict,
        list_sort(list_distinct(flatten(list(coalesce(baseline_run_ids, [])))))
            AS baseline_runs,
        CAST(
            v1.scaled(sum(adherence_delta_nano), count(adherence_delta_nano) * 1000, 1)
            AS BIGINT
        ) AS adherence_delta_micro,
        CAST(v1.scaled(sum(latency_delta_ns), count(latency_delta_ns), 1) AS BIGINT)
            AS latency_delta_ns,
        CASE
            WHEN count(DISTINCT latency_status) > 1 THEN 'MIXED'
            ELSE min(latency_status)
        END AS latency_status,
        first(
            {
                'event_id': nearest_event_id,
                'test_id': test_id,
                'measured_at': nearest_measured_at,
                'differing_fields': nearest_differing
            }
            ORDER BY test_id
        ) FILTER (WHERE status <> 'MATCHED' AND nearest_event_id IS NOT NULL) AS nearest
    FROM v1.baseline_match
    GROUP BY ALL
),

intervals AS (
    -- 95 % Wilson interval over distinct tasks; shown, never decided on.
    SELECT
        quants.sweep_id,
        quants.model_id,
        quants.quant_tag,
        CAST(quants.adherence_nano AS DOUBLE) / 1e9 AS p,
        CAST(quants.adherence_tasks AS DOUBLE) AS n,
        CAST(policy.confidence_z_milli AS DOUBLE) / 1e3 AS z
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = quants.sweep_id
        AND policy.model_id = quants.model_id
    WHERE quants.adherence_nano IS NOT NULL AND quants.adherence_tasks > 0
),

quant_rows AS (
    SELECT
        quants.sweep_id,
        quants.model_id,
        quants.quant_rank,
        quants.quant_tag,
        {
            'quant_tag': quants.quant_tag,
            'quant_rank': quants.quant_rank,
            'bits_per_weight_milli': CAST(
                v1.scaled(quants.bits_per_weight_micro, 1000, 1) AS BIGINT
            ),
            'bits_per_weight_source': quants.bits_per_weight_source,
            'model_bytes': quants.model_bytes,
            'peak_memory_bytes': quants.peak_memory_bytes,
            'memory_source': quants.memory_source,
            'runs': {
                'planned': quants.planned_runs,
                'attempts': quants.attempts,
                'valid': quants.valid_runs,
                'polluted': quants.polluted_runs,
                'polluted_used': quants.polluted_used,
                'failed': quants.failed_runs
            },
            'tasks': {
                'planned': quants.planned_tasks,
                'covered': quants.covered_tasks,
                'left_out': quants.failed_everywhere_tasks
            },
            'advisories': frontier.advisories,
            'unobserved_reasons': quants.unobserved_reasons,
            'pairs': CASE
                WHEN comparison.baseline_quant_tag IS NOT NULL
                    THEN {
                        'n': comparison.pairs,
                        'flips_lost': comparison.flips_lost,
                        'flips_gained': comparison.flips_gained,
                        'response_agreement_micro': comparison.response_agreement_micro
                    }
            END,
            'adherence_score_micro': CAST(
                v1.scaled(
                    quants.adherence_sum_nano, quants.adherence_tasks * 1000, 1
                ) AS BIGINT
            ),
            'adherence_interval_micro': CASE
                WHEN intervals.n > 0
                    THEN [
                        CAST(
                            greatest(
                                0,
                                floor(
                                    (
                                        intervals.p
                                        + intervals.z * intervals.z / (2 * intervals.n)
                                        - intervals.z * sqrt(
                                            intervals.p * (1 - intervals.p) / intervals.n
                                            + intervals.z * intervals.z
                                            / (4 * intervals.n * intervals.n)
                                        )
                                    )
                                    / (1 + intervals.z * intervals.z / intervals.n)
                                    * 1e6 + 0.5
                                )
                            ) AS BIGINT
                        ),
                        CAST(
                            least(
                                1000000,
                                floor(
                                    (
                                        intervals.p
                                        + intervals.z * intervals.z / (2 * intervals.n)
                                        + intervals.z * sqrt(
                                            intervals.p * (1 - intervals.p) / intervals.n
                                            + intervals.z * intervals.z
                                            / (4 * intervals.n * intervals.n)
                                        )
                                    )
                                    / (1 + intervals.z * intervals.z / intervals.n)
                                    * 1e6 + 0.5
                                )
                            ) AS BIGINT
                        )
                    ]
            END,
            'checks_unsupported': coalesce(quants.checks_unsupported, 0),
            'total_latency_ns': quants.total_latency_ns,
            'latency_p50_ns': quants.latency_p50_ns,
            'latency_p95_ns': quants.latency_p95_ns,
            'latency_cv_micro': quants.latency_cv_micro,
            'internal_model_ns': quants.internal_ns,
            'ttft_ns': quants.ttft_ns,
            'orchestration_overhead_ratio_micro': quants.orchestration_overhead_micro,
            'token_metrics': {
                'status': quants.token_metrics_status,
                'prompt_tokens_per_second_milli': quants.prompt_tokens_per_second_milli,
                'generation_tokens_per_second_milli':
                    quants.generation_tokens_per_second_milli,
                'prompt_rate_runs': quants.prompt_rate_runs,
                'generation_rate_runs': quants.generation_rate_runs,
                -- A sum over runs that did not all say is not a sum.
                'prompt_tokens': if(
                    quants.prompt_token_runs = quants.valid_runs, quants.prompt_tokens, NULL
                ),
                'completion_tokens': if(
                    quants.completion_token_runs = quants.valid_runs,
                    quants.completion_tokens,
                    NULL
                ),
                'status_counts': [
                    {'key': 'OK', 'value': quants.status_ok_runs},
                    {
                        'key': 'TIMING_UNAVAILABLE',
                        'value': quants.status_timing_unavailable_runs
                    },
                    {
                        'key': 'TOKEN_AND_TIMING_UNAVAILABLE',
                        'value': quants.status_token_and_timing_unavailable_runs
                    },
                    {
                        'key': 'TOKEN_COUNT_UNAVAILABLE',
                        'value': quants.status_token_count_unavailable_runs
                    }
                ]
            },
            'run_quality_status': quants.run_quality_status,
            'run_quality_reasons': quants.run_quality_reasons,
            'run_quality_reason_counts': list_transform(
                quants.run_quality_reason_counts,
                lambda entry: {'key': entry.reason, 'value': entry.runs}
            ),
            'determinism_rate_micro': quants.determinism_micro,
            'vibe': {
                'vibe_delta_micro': comparison.vibe_delta_micro,
                'vibe_delta_status': comparison.vibe_delta_status,
                'latency_variance_ns2': quants.latency_variance_ns2,
                'code_density_micro': quants.code_density_micro,
                'gen_retries': quants.generation_retries
            },
            'baseline_comparison': {
                'status': CASE
                    WHEN baseline.matched_tests = baseline.total_tests THEN 'MATCHED'
                    WHEN baseline.matched_tests > 0 THEN 'PARTIAL'
                    ELSE 'MISSING_BASELINE'
                END,
                'reason': baseline_reason_lists.reason,
                'reason_counts': coalesce(baseline_reason_lists.reason_counts, []),
                'verdict': coalesce(baseline.verdict, 'MISSING_BASELINE'),
                'matched_tests': coalesce(baseline.matched_tests, 0),
                'total_tests': coalesce(baseline.total_tests, 0),
                'baseline_runs': coalesce(baseline.baseline_runs, []),
                'adherence_delta_micro': baseline.adherence_delta_micro,
                'latency_delta_ns': baseline.latency_delta_ns,
                'latency_status': baseline.latency_status,
                'nearest': baseline.nearest
            },
            'eligible': frontier.is_eligible,
            'ineligible_reasons': frontier.ineligible_reasons,
            'pareto_optimal': frontier.is_pareto_optimal,
            'utility_micro': frontier.utility_micro,
            'hardware_sidecar': {
                'status': sidecar.status,
                'gates': sidecar.gates,
                'tool': sidecar.tool,
                'tool_version': sidecar.tool_version,
                'profile': sidecar.profile,
                'prefill_tps_milli': sidecar.prefill_tps_milli,
                'prefill_samples': sidecar.prefill_samples,
                'decode_tps_milli': sidecar.decode_tps_milli,
                'decode_samples': sidecar.decode_samples,
                'error_message': sidecar.error_message
            }
        } AS entry
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.frontier AS frontier
        ON frontier.sweep_id = quants.sweep_id
        AND frontier.model_id = quants.model_id
        AND frontier.quant_tag = quants.quant_tag
    INNER JOIN v1.quant_comparison AS comparison
        ON comparison.sweep_id = quants.sweep_id
        AND comparison.model_id = quants.model_id
        AND comparison.quant_tag = quants.quant_tag
    INNER JOIN v1.sidecar AS sidecar
        ON sidecar.sweep_id = quants.sweep_id
        AND sidecar.model_id = quants.model_id
        AND sidecar.quant_tag = quants.quant_tag
    LEFT JOIN baseline_folds AS baseline
        ON baseline.sweep_id = quants.sweep_id
        AND baseline.model_id = quants.model_id
        AND baseline.quant_tag = quants.quant_tag
    LEFT JOIN baseline_reason_lists
        ON baseline_reason_lists.sweep_id = quants.sweep_id
        AND baseline_reason_lists.model_id = quants.model_id
        AND baseline_reason_lists.quant_tag = quants.quant_tag
    LEFT JOIN intervals
        ON intervals.sweep_id = quants.sweep_id
        AND intervals.model_id = quants.model_id
        AND intervals.quant_tag = quants.quant_tag
),

quant_lists AS (
    SELECT
        quant_rows.sweep_id,
        quant_rows.model_id,
        list(entry ORDER BY quant_rank DESC NULLS LAST, quant_tag) AS per_quant,
        list(quant_tag ORDER BY quant_rank DESC NULLS LAST, quant_tag) AS quant_tags,
        list(quant_tag ORDER BY quant_rank DESC NULLS LAST, quant_tag)
            FILTER (WHERE entry.pareto_optimal) AS pareto_quant_tags
    FROM quant_rows
    GROUP BY quant_rows.sweep_id, quant_rows.model_id
),

session_facts AS (
    SELECT
        frontier.sweep_id,
        frontier.model_id,
        any_value(frontier.baseline_quant_tag) AS baseline_quant,
        any_value(frontier.pareto_axes) AS pareto_axes
    FROM v1.frontier AS frontier
    GROUP BY frontier.sweep_id, frontier.model_id
),

session_rows AS (
    SELECT
        session.sweep_id,
        session.model_id,
        quant_lists.quant_tags,
        policy AS policy_row,
        {
            'seed': session.controls.seed,
            'threads': session.controls.threads,
            'affinity': session.controls.affinity,
            'warmup': session.controls.warmup,
            'temperature_milli': session.controls.temperature_milli,
            'context_tokens': session.controls.context_tokens,
            'batch_tokens': session.controls.batch_tokens,
            'thinking': session.controls.thinking,
            'control_profile': session.control_profile
        } AS experimental_controls,
        coalesce(
            effective.controls,
            {
                'seed': CAST(NULL AS BIGINT),
                'threads': CAST(NULL AS VARCHAR),
                'affinity': CAST(NULL AS VARCHAR),
                'warmup': CAST(NULL AS VARCHAR),
                'temperature_milli': CAST(NULL AS BIGINT),
                'context_tokens': CAST(NULL AS BIGINT),
                'batch_tokens': CAST(NULL AS BIGINT),
                'thinking': CAST(NULL AS BOOLEAN)
            }
        ) AS effective_controls,
        {
            'name': session.provider,
            'version': session.provider_version,
            'endpoint': session.endpoint,
            'streaming': session.streaming,
            'locality': session.locality,
            'tls_verified': session.tls_verified
        } AS provider,
        {
            'verdict': canary.verdict,
            'runs': canary.runs,
            'quant_tag': canary.quant_tag,
            'test_id': canary.test_id,
            'adherence_variance_micro': CAST(
                v1.scaled(canary.adherence_variance_nano, 1000, 1) AS BIGINT
            ),
            'internal_latency_cv_micro': canary.latency_cv_micro,
            'max_latency_cv_ppm': canary.latency_cv_limit_ppm,
            'latency_basis': canary.latency_basis,
            'control_profile': canary.control_profile,
            'passing_profile': canary.passing_profile,
            'missing_telemetry_rate_micro': canary.missing_telemetry_micro,
            'failed_reasons': canary.failed_reasons
        } AS canary,
        coalesce(quant_lists.per_quant, []) AS per_quant,
        session_facts.baseline_quant,
        recommendation.*
        EXCLUDE (sweep_id, model_id, pareto_quant_tags),
        coalesce(quant_lists.pareto_quant_tags, []) AS pareto_quant_tags,
        coalesce(session_facts.pareto_axes, []) AS pareto_axes,
        if_polluted.minimum_viable_quant AS polluted_minimum_viable,
        if_polluted.best_value_quant AS polluted_best_value,
        if_polluted.model_id IS NOT NULL AND recommendation.quants_out_by_pollution > 0
            AS has_if_polluted
    FROM v1.session AS session
    INNER JOIN v1.policy AS policy
        ON policy.sweep_id = session.sweep_id
        AND policy.model_id = session.model_id
    INNER JOIN v1.canary AS canary
        ON canary.sweep_id = session.sweep_id
        AND canary.model_id = session.model_id
    INNER JOIN v1.recommendation AS recommendation
        ON recommendation.sweep_id = session.sweep_id
        AND recommendation.model_id = session.model_id
    LEFT JOIN effective
        ON effective.sweep_id = session.sweep_id
        AND effective.model_id = session.model_id
    LEFT JOIN quant_lists
        ON quant_lists.sweep_id = session.sweep_id
        AND quant_lists.model_id = session.model_id
    LEFT JOIN session_facts
        ON session_facts.sweep_id = session.sweep_id
        AND session_facts.model_id = session.model_id
    LEFT JOIN raw.recommendation_if_polluted AS if_polluted
        ON if_polluted.sweep_id = session.sweep_id
        AND if_polluted.model_id = session.model_id
),

sessions AS (
    SELECT
        sweep_id,
        list(model_id ORDER BY model_id) AS models,
        list({'key': model_id, 'value': coalesce(quant_tags, [])} ORDER BY model_id)
            AS quants,
        if(count(DISTINCT experimental_controls) = 1, any_value(experimental_controls), NULL)
            AS experimental_controls,
        if(count(DISTINCT effective_controls) = 1, any_value(effective_controls), NULL)
            AS effective_controls,
        if(count(DISTINCT provider) = 1, any_value(provider), NULL) AS provider,
        if(
            count(DISTINCT policy_row.adherence_threshold_ppm) = 1,
            min(policy_row.adherence_threshold_ppm),
            NULL
        ) AS adherence_threshold_ppm,
        if(
            count(DISTINCT policy_row.latency_ceiling_ns) = 1,
            min(policy_row.latency_ceiling_ns),
            NULL
        ) AS latency_ceiling_ns,
        -- The policies differ only in these two, or in all that follows.
        first(policy_row ORDER BY model_id) AS first_policy,
        max(policy_row.include_polluted) AS include_polluted,
        bool_or(policy_row.allow_unobserved) AS allow_unobserved,
        count(DISTINCT row(
            policy_row.include_polluted,
            policy_row.allow_unobserved,
            policy_row.max_load_ns,
            policy_row.max_foreign_cpu_ppm,
            policy_row.foreign_cpu_excess_ns,
            policy_row.counter_window_ns,
            policy_row.max_steal_ppm,
            policy_row.max_load_per_cpu_milli,
            policy_row.max_quota_throttle_ppm,
            policy_row.max_thermal_throttle_ppm,
            policy_row.max_swap_bytes_per_second,
            policy_row.max_overhead_ppm,
            policy_row.overhead_floor_ns,
            policy_row.clock_slack_ns,
            policy_row.clock_slack_ppm,
            policy_row.max_clock_jump_ns,
            policy_row.max_cached_tokens,
            policy_row.max_cached_ppm,
            policy_row.stalled_ppm,
            policy_row.stalled_advisory_ppm,
            policy_row.max_memory_pressure_ppm,
            policy_row.max_major_faults_per_second,
            policy_row.max_gpu_foreign_bytes
        )) = 1 AS same_quality_policy,
        count(DISTINCT row(
            policy_row.canary_repetitions,
            policy_row.canary_drop_first,
            policy_row.canary_max_latency_cv_ppm,
            policy_row.canary_max_missing_ppm,
            policy_row.anchor_max_drift_ppm
        )) = 1 AS same_canary_policy,
        -- With several models the worst canary speaks for the sweep.
        first(
            canary
            ORDER BY
                CASE canary.verdict
                    WHEN 'FAILED' THEN 1
                    WHEN 'NOT_RUN' THEN 2
                    ELSE 3
                END,
                canary.internal_latency_cv_micro DESC NULLS LAST,
                model_id
        ) AS canary,
        list(
            {
                'model_id': model_id,
                'baseline_quant': baseline_quant,
                'thresholds': policy_row,
                'experimental_controls': experimental_controls,
                'effective_controls': effective_controls,
                'provider': provider,
                'canary': canary,
                'per_quant': per_quant,
                'efficiency_frontier': {
                    'minimum_viable_quant_tag': minimum_viable_quant,
                    'best_value_quant_tag': best_value_quant,
                    'optimal_quant_tag': best_value_quant,
                    'pareto_quant_tags': pareto_quant_tags,
                    'pareto_axes': pareto_axes,
                    'reason': if(minimum_viable_quant IS NULL, reason, NULL)
                },
                'recommendation_detail': {
                    'minimum_viable_quant': minimum_viable_quant,
                    'best_value_quant': best_value_quant,
                    'best_value_status': best_value_status,
                    'rivals': rivals,
                    'confidence': confidence,
                    'tasks': evidence_tasks,
                    'tasks_needed': tasks_needed,
                    'ineligible_reason_counts': list_transform(
                        ineligible_reason_counts,
                        lambda entry: {'key': entry.reason, 'value': entry.quants}
                    ),
                    'adherence_threshold_to_pass_ppm': passing_threshold_ppm,
                    'latency_ceiling_to_pass_ns': passing_ceiling_ns,
                    'if_polluted_included': CASE
                        WHEN has_if_polluted
                            THEN {
                                'minimum_viable_quant': polluted_minimum_viable,
                                'best_value_quant': polluted_best_value
                            }
                    END
                },
                'recommendation': recommendation
            }
            ORDER BY model_id
        ) AS sessions
    FROM session_rows
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
            WHEN ends.reason = 'CANARY_FAILED' THEN 'CANARY_FAILED'
            WHEN manifest.kind = 'INGEST' THEN 'COMPLETED'
            ELSE 'INTERRUPTED'
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
            'run_quality_policy': if(
                sessions.same_quality_policy, sessions.first_policy, NULL
            ),
            'canary_policy': if(
                sessions.same_canary_policy, sessions.first_policy, NULL
            ),
            'runtime_target': manifest.runtime_target,
            'execution_mode': manifest.execution_mode,
            'provider': sessions.provider
        },
        'canary': sessions.canary,
        'sessions': sessions.sessions,
        'stability_kpis': {
            'attempts': kpi.attempts,
            'determinism_rate_micro': kpi.determinism_rate_micro,
            'determinism_groups': kpi.determinism_groups,
            'deterministic_groups': kpi.deterministic_groups,
            'missing_telemetry_rate_micro': kpi.missing_telemetry_rate_micro,
            'missing_telemetry_runs': kpi.missing_telemetry_runs,
            'polluted_run_rate_micro': kpi.polluted_run_rate_micro,
            'polluted_runs': kpi.polluted_runs,
            'failed_run_rate_micro': kpi.failed_run_rate_micro,
            'failed_runs': kpi.failed_runs,
            'frontier_success_rate_micro': kpi.frontier_success_rate_micro,
            'sessions': kpi.sessions,
            'recommended_sessions': kpi.recommended_sessions,
            'slo': kpi.slo
        }
    } AS summary
FROM v1.manifest AS manifest
INNER JOIN sessions
    ON sessions.sweep_id = manifest.sweep_id
INNER JOIN v1.stability_kpi AS kpi
    ON kpi.sweep_id = manifest.sweep_id
CROSS JOIN what_ifs
LEFT JOIN newest
    ON newest.sweep_id = manifest.sweep_id
LEFT JOIN ends
    ON ends.sweep_id = manifest.sweep_id;

COMMENT ON VIEW v1.summary IS 'The document of a sweep. One row per sweep.';
COMMENT ON COLUMN v1.summary.sweep_id IS 'Sweep';
COMMENT ON COLUMN v1.summary.summary IS 'What sweep_summary.json is written from; see docs/summary.md';

-- Grain: sweep x model.
-- Inputs: v1.session, v1.policy, v1.policy_step, v1.canary, v1.frontier, v1.recommendation, v1.choice_fact,
-- v1.quant_entry, v1.attempts, v1.manifest, v1.next_round, v1.stop, raw.events,
-- raw.recommendation_if_polluted.
-- Rules: all that the summary says of one model, as the struct it is written from. A
-- control is effective when every answered run of the model verified the same value.

CREATE VIEW v1.session_entry AS
WITH answered AS (
    SELECT sweep_id, model_id, effective
    FROM v1.attempts
    WHERE outcome = 'OK' AND phase = 'matrix'
),

effective AS (
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
            'kv_cache': v1.agreed(effective.kv_cache),
            'thinking': v1.agreed(effective.thinking)
        } AS controls
    FROM v1.session
    LEFT JOIN answered USING (sweep_id, model_id)
    GROUP BY ALL
),

quants AS (
    SELECT
        sweep_id,
        model_id,
        list(entry ORDER BY quant_rank DESC NULLS LAST, quant_tag) AS per_quant,
        list(quant_tag ORDER BY quant_rank DESC NULLS LAST, quant_tag) AS quant_tags,
        list(quant_tag ORDER BY quant_rank DESC NULLS LAST, quant_tag)
            FILTER (WHERE entry.pareto_optimal) AS pareto_quant_tags
    FROM v1.quant_entry
    GROUP BY ALL
),

yardsticks AS (
    SELECT
        sweep_id,
        model_id,
        any_value(baseline_quant_tag) AS baseline_quant,
        any_value(pareto_axes) AS pareto_axes
    FROM v1.frontier
    GROUP BY ALL
),

starts AS (
    SELECT
        sweep_id,
        model_id,
        first(reason ORDER BY recorded_at, event_id) AS named_by
    FROM raw.events
    WHERE event = 'START_FIXED'
    GROUP BY ALL
),

answers AS (
    SELECT
        sweep_id,
        model_id,
        count(*) FILTER (WHERE streamed) AS streamed,
        count(*) FILTER (WHERE NOT streamed) AS whole
    FROM v1.attempts
    WHERE outcome = 'OK'
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    coalesce(quants.quant_tags, []) AS quant_tags,
    {
        'model_id': model_id,
        'baseline_quant': yardsticks.baseline_quant,
        'thresholds': policy,
        'run_quality_policy': raw.run_quality_policy(policy),
        'canary_policy': raw.canary_policy(policy),
        'experimental_controls':
            struct_insert(session.controls, control_profile := session.control_profile),
        'effective_controls': effective.controls,
        'provider': {
            'name': session.provider,
            'version': session.provider_version,
            'endpoint': session.endpoint,
            'streaming': session.streaming,
            'can_stream': session.capabilities.streaming,
            'locality': session.locality,
            'tls_verified': session.tls_verified
        },
        'canary': {
            'verdict': canary.verdict,
            'runs': canary.runs,
            'quant_tag': canary.quant_tag,
            'test_id': canary.test_id,
            'adherence_variance_micro': TRY_CAST(
                v1.scaled(canary.adherence_variance_nano, 1000, 1) AS BIGINT
            ),
            'internal_latency_cv_micro': canary.latency_cv_micro,
            'latency_cv_upper_micro': canary.latency_cv_upper_micro,
            'max_latency_cv_ppm': canary.latency_cv_limit_ppm,
            'latency_basis': canary.latency_basis,
            'latency_judged': canary.is_latency_judged,
            'disturbed_runs': canary.disturbed_runs,
            'mostly_disturbed': canary.is_mostly_disturbed,
            'yielded_because': step.reasons,
            'control_profile': canary.control_profile,
            'passing_profile': canary.passing_profile,
            'missing_telemetry_rate_micro': canary.missing_telemetry_micro,
            'failed_reasons': canary.failed_reasons
        },
        'answers': {
            'streamed': coalesce(answers.streamed, 0),
            'whole': coalesce(answers.whole, 0)
        },
        'per_quant': coalesce(quants.per_quant, []),
        'rounds': CASE
            WHEN round.sweep_id IS NOT NULL
                THEN {
                    'until': coalesce(manifest.until, 'proof'),
                    'stop_reason': stop.code,
                    'start_quant_tag': round.start_quant,
                    'start_named_by': starts.named_by,
                    'proven_quant_tag': round.proven_quant,
                    'next_proof_quant_tag': round.proof_quant
                }
        END,
        'efficiency_frontier': {
            'minimum_viable_quant_tag': recommendation.minimum_viable_quant,
            'best_value_quant_tag': recommendation.best_value_quant,
            'smallest_supported_quant_tag': recommendation.smallest_supported_quant,
            'advised_quant_tag': recommendation.advised_quant,
            'optimal_quant_tag': recommendation.minimum_viable_quant,
            'pareto_quant_tags': coalesce(quants.pareto_quant_tags, []),
            'pareto_axes': coalesce(yardsticks.pareto_axes, []),
            'reason': if(
                recommendation.minimum_viable_quant IS NULL, recommendation.reason, NULL
            )
        },
        'recommendation_detail': {
            'minimum_viable_quant': recommendation.minimum_viable_quant,
            'best_value_quant': recommendation.best_value_quant,
            'smallest_supported_quant': recommendation.smallest_supported_quant,
            'advised_quant': recommendation.advised_quant,
            'tells_speed': coalesce(facts.tells_speed, false),
            'best_value_status': recommendation.best_value_status,
            'rivals': recommendation.rivals,
            'repetitions_needed': recommendation.repetitions_needed,
            'confidence': recommendation.confidence,
            'best_value_confidence': recommendation.best_value_confidence,
            'tasks': recommendation.evidence_tasks,
            'tasks_needed': recommendation.tasks_needed,
            'tasks_likely': recommendation.tasks_likely,
            'families': recommendation.evidence_families,
            'families_needed': recommendation.families_needed,
            'design_effect_micro': recommendation.design_effect_micro,
            'advisories': recommendation.advisories,
            'ineligible_reason_counts': list_transform(
                recommendation.ineligible_reason_counts,
                lambda counted: {'key': counted.reason, 'value': counted.quants}
            ),
            'adherence_threshold_to_pass_ppm': recommendation.passing_threshold_ppm,
            'latency_ceiling_to_pass_ns': recommendation.passing_ceiling_ns,
            'if_polluted_included': if(
                if_polluted.model_id IS NOT NULL
                AND recommendation.quants_out_by_pollution > 0,
                {
                    'minimum_viable_quant': if_polluted.minimum_viable_quant,
                    'best_value_quant': if_polluted.best_value_quant
                },
                NULL
            )
        },
        'recommendation': recommendation.recommendation,
        'recommendation_lines': recommendation.recommendation_lines
    } AS entry
FROM v1.session AS session
INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
-- Its own policy would take the name of the row of v1.policy, which a what-if has changed.
INNER JOIN (SELECT sweep_id, model_id, reasons FROM v1.policy_step) AS step
    USING (sweep_id, model_id)
INNER JOIN v1.canary AS canary USING (sweep_id, model_id)
INNER JOIN v1.recommendation AS recommendation USING (sweep_id, model_id)
INNER JOIN v1.choice_fact AS facts USING (sweep_id, model_id)
INNER JOIN v1.manifest AS manifest USING (sweep_id)
LEFT JOIN v1.next_round AS round USING (sweep_id, model_id)
LEFT JOIN v1.stop AS stop USING (sweep_id, model_id)
LEFT JOIN starts USING (sweep_id, model_id)
LEFT JOIN effective USING (sweep_id, model_id)
LEFT JOIN answers USING (sweep_id, model_id)
LEFT JOIN quants USING (sweep_id, model_id)
LEFT JOIN yardsticks USING (sweep_id, model_id)
LEFT JOIN raw.recommendation_if_polluted AS if_polluted USING (sweep_id, model_id);

COMMENT ON VIEW v1.session_entry IS 'One model as the summary shows it. One row per sweep and model.';
COMMENT ON COLUMN v1.session_entry.quant_tags IS 'Its quants, most precise first';
COMMENT ON COLUMN v1.session_entry.entry IS 'An entry of sessions; see docs/summary.md';

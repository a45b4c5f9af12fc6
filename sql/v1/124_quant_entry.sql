-- Grain: sweep x model x quant.
-- Inputs: v1.quant, v1.quant_aggregate, v1.frontier, v1.quant_comparison, v1.support,
-- v1.quant_sidecar, v1.fidelity, v1.disagreement, v1.proof, v1.baseline_comparison,
-- v1.quant_standing, v1.quant_cost, v1.quant_lack.
-- Rules: all that the summary says of one quant, as the struct it is written from.

CREATE VIEW v1.quant_entry AS
SELECT
    sweep_id,
    model_id,
    quant_tag,
    quants.quant_rank,
    {
        'quant_tag': quants.quant_tag,
        'quant_rank': quants.quant_rank,
        'bits_per_weight_milli': TRY_CAST(
            v1.scaled(quants.bits_per_weight_micro, 1000, 1) AS BIGINT
        ),
        'bits_per_weight_source': quants.bits_per_weight_source,
        'model_bytes': quants.model_bytes,
        'kv_cache': weights.kv_cache,
        'context_tokens': weights.context_tokens,
        'kv_cache_bytes': weights.kv_cache_bytes,
        'serve_command': weights.serve_command,
        'model_digest': weights.model_digest,
        'tensor_types': list_transform(
            weights.tensor_types, lambda entry: {'key': entry.type, 'value': entry.tensors}
        ),
        'publisher': weights.publisher,
        'reported_quant': weights.reported_quant,
        'peak_memory_bytes': quants.peak_memory_bytes,
        'memory_source': quants.memory_source,
        'runs': {
            'planned': quants.planned_runs,
            'attempts': quants.attempts,
            'valid': quants.valid_runs,
            'polluted': quants.polluted_runs,
            'polluted_used': quants.polluted_used,
            'failed': quants.failed_runs,
            'answered': quants.answered_runs,
            'truncated': quants.truncated_runs,
            'slow': quants.straggler_runs
        },
        'tasks': {
            'planned': quants.planned_tasks,
            'covered': quants.covered_tasks,
            'left_out': quants.failed_everywhere_tasks,
            'unsupported': quants.unsupported_tasks
        },
        'advisories': frontier.advisories,
        'unobserved_reasons': quants.unobserved_reasons,
        'pairs': CASE
            WHEN comparison.baseline_quant_tag IS NOT NULL
                THEN {
                    'n': comparison.pairs,
                    'baseline_passes': comparison.baseline_passes,
                    'flips_lost': comparison.flips_lost,
                    'flips_gained': comparison.flips_gained,
                    'response_agreement_micro': comparison.response_agreement_micro
                }
        END,
        'proven': support.is_proven,
        'separable': support.is_separable,
        'adherence_score_micro': standing.adherence_score_micro,
        'adherence_interval_micro': standing.adherence_interval_micro,
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
            'prompt_rate_reason': quants.prompt_rate_reason,
            'generation_rate_reason': quants.generation_rate_reason,
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
        'failures': quants.failures,
        'determinism_rate_micro': quants.determinism_micro,
        'vibe': {
            'vibe_delta_micro': comparison.vibe_delta_micro,
            'vibe_delta_status': comparison.vibe_delta_status,
            'latency_variance_ns2': quants.latency_variance_ns2,
            'code_density_micro': quants.code_density_micro,
            'gen_retries': quants.generation_retries
        },
        'baseline_comparison': baseline,
        'fidelity': struct_insert(
            fidelity, disagreement := differing.disagreement
        ),
        'proof': CASE
            WHEN proof.quant_tag IS NOT NULL
                THEN {
                    'state': proof.state,
                    'planned_tasks': proof.planned_tasks,
                    'asked_tasks': proof.asked_tasks,
                    'baseline_passes': proof.passes,
                    'losses': proof.losses,
                    'gains': proof.gains,
                    'disturbed_tasks': proof.disturbed_tasks,
                    'passes_needed': if(proof.place > 0, proof.passes_needed, NULL)
                }
        END,
        'cost': {
            'passed_runs': cost.passed_runs,
            'time_status': cost.time_status,
            'wall_per_pass_ns': cost.wall_per_pass_ns,
            'wall_per_pass_low_ns': cost.wall_per_pass_low_ns,
            'wall_per_pass_high_ns': cost.wall_per_pass_high_ns,
            'cpu_energy_status': cost.cpu_energy_status,
            'cpu_energy_per_pass_uj': cost.cpu_energy_per_pass_uj,
            'gpu_energy_status': cost.gpu_energy_status,
            'gpu_energy_per_pass_uj': cost.gpu_energy_per_pass_uj,
            'context_status': cost.context_status,
            'trained_context_tokens': cost.trained_context_tokens,
            'context_left_limit': cost.context_left_limit,
            'context_left_tokens': cost.context_left_tokens
        },
        'eligible': frontier.is_eligible,
        'ineligible_reasons': frontier.ineligible_reasons,
        'ineligible_words': coalesce(lacks.words, []),
        'pareto_optimal': frontier.is_pareto_optimal,
        'utility_micro': frontier.utility_micro,
        'hardware_sidecar': sidecar
    } AS entry
FROM v1.quant_aggregate AS quants
INNER JOIN v1.quant AS weights USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_standing AS standing USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.support AS support USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_sidecar AS sidecar USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.fidelity AS fidelity USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.disagreement AS differing USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_cost AS cost USING (sweep_id, model_id, quant_tag)
LEFT JOIN (
    SELECT sweep_id, model_id, quant_tag, list(why ORDER BY code) AS words
    FROM v1.quant_lack
    GROUP BY ALL
) AS lacks USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.proof AS proof USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.baseline_comparison AS baseline USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_entry IS 'One quant as the summary shows it. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_entry.entry IS 'An entry of per_quant; see docs/summary.md';

-- Grain: sweep x model x quant, from the plan: a quant without a row appears with zeros.
-- Inputs: v1.quant, v1.quant_tasks, v1.quant_runs, v1.quant_notes.
-- Rules: all that is known of one quant by itself: over its tasks, over its runs, and the
-- notes. Nothing here compares it with another.

CREATE VIEW v1.quant_aggregate AS
SELECT
    sweep_id, model_id, quant_tag, quant_rank, rank_known, bits_per_weight_micro,
    bits_per_weight_source, model_bytes, planned_tasks, asked_tasks, failed_everywhere_tasks, tasks,
    covered_tasks, fillable_tasks, unsolved_tasks, is_covered, is_fillable,
    planned_runs, attempts, missing_runs, clean_runs, valid_runs, polluted_runs,
    polluted_used, failed_runs, outlier_runs, straggler_runs,
    -- What was never run was disturbed by nothing.
    CASE
        WHEN asked_runs > 0 AND clean_runs = asked_runs THEN 'CLEAN'
        WHEN attempts = 0 THEN 'NOT_RUN'
        WHEN
            missing_runs + cancelled_runs > 0
            AND clean_runs + missing_runs + cancelled_runs = asked_runs
            THEN 'UNFINISHED'
        ELSE 'POLLUTED'
    END AS run_quality_status,
    run_quality_reasons, run_quality_reason_counts, failures, advisories,
    unobserved_reasons, adherence_tasks, passed_tasks, distinct_answers,
    checks_unsupported, adherence_sum_nano, adherence_nano, latency_tasks,
    latency_sum_ns, typical_latency_sum_ns, total_latency_ns, latency_p50_ns, latency_p95_ns, latency_cv_micro,
    latency_variance_ns2, internal_ns, ttft_ns, length_tasks, length_sum_milli,
    prompt_tokens_per_second_milli, prompt_rate_runs,
    generation_tokens_per_second_milli, generation_rate_runs, prompt_tokens,
    prompt_token_runs, completion_tokens, completion_token_runs,
    orchestration_overhead_micro, overhead_runs, token_metrics_status, status_ok_runs,
    status_token_count_unavailable_runs, status_timing_unavailable_runs,
    status_token_and_timing_unavailable_runs, peak_memory_bytes, memory_source,
    code_density_micro, generation_retries, repeated_groups, deterministic_groups,
    determinism_micro, unsupported_tasks, answered_runs, truncated_runs,
    prompt_rate_reason, generation_rate_reason
FROM v1.quant AS quant
INNER JOIN v1.quant_tasks AS tasks USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_runs AS runs USING (sweep_id, model_id, quant_tag)
INNER JOIN v1.quant_notes AS notes USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.quant_aggregate IS 'One quant over all tasks. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_aggregate.run_quality_status IS 'CLEAN when every planned run that was to be made by now has a clean attempt; NOT_RUN without any run, UNFINISHED when all that it lacks was not run, or broken off by the user, else POLLUTED';

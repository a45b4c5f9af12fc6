-- Grain: scope x code: the catalogue of every reason and advisory.
-- Inputs: none.
-- Rules: a code is spelled here and nowhere else. A view names the signal, a fact of its
-- own, and takes the code from here; so do the executor, the terminal and the docs. A run
-- is polluted by a reason of kind `polluting`; an `advisory` is worth a note. A reason that
-- another attempt on the same server cannot heal is not curable; one that makes a run wrong
-- rather than disturbed is not admissible, whatever include_polluted says.

CREATE VIEW v1.reason AS
SELECT *
FROM (
    VALUES
    ('run', 'clock_inconsistent', 'CLOCK_INCONSISTENT', 'polluting', true, false, 'server', NULL,
        'the server''s times cannot be true', 'update the server, or report it'),
    ('run', 'clock_jump', 'CLOCK_JUMP', 'polluting', true, false, 'machine', NULL,
        'the clock jumped or the machine slept', 'keep it awake, run again'),
    ('run', 'control_not_honoured', 'CONTROL_NOT_HONOURED', 'polluting', false, false, 'server', NULL,
        'the server did not use a control it was given', 'see effective_controls in the summary'),
    ('run', 'control_unsupported', 'CONTROL_UNSUPPORTED', 'advisory', false, true, 'server', NULL,
        'the server has no such control', 'see capabilities in v1.session'),
    ('run', 'counts_not_offered', 'COUNTS_NOT_OFFERED', 'advisory', false, true, 'server', NULL,
        'the server offers no token counts', 'nothing; there are no rates'),
    ('run', 'cpu_quota_throttled', 'CPU_QUOTA_THROTTLED', 'polluting', true, true, 'machine', NULL,
        'a CPU quota held the server back', 'raise the container''s limit, or use fewer threads'),
    ('run', 'cpu_steal', 'CPU_STEAL', 'polluting', true, true, 'machine', NULL,
        'the hypervisor gave CPU time to others', 'use a dedicated machine, or try at a quieter hour'),
    ('run', 'has_drifted', 'DRIFT_SINCE_ANCHOR', 'polluting', true, true, 'machine', NULL,
        'the machine became slower or faster during the sweep', 'let it cool, run again'),
    ('run', 'environment_unobserved', 'ENVIRONMENT_UNOBSERVED', 'polluting', false, true, 'machine', NULL,
        'the server''s CPU time could not be read',
        'run Orket beside the server, or accept it with --allow-unobserved'),
    ('run', 'gpu_foreign_process', 'GPU_FOREIGN_PROCESS', 'polluting', true, true, 'machine', NULL,
        'another program used the GPU', 'close it'),
    ('run', 'gpu_throttled', 'GPU_THROTTLED', 'polluting', true, true, 'machine', NULL,
        'the GPU was held back by heat or power', 'improve its cooling, or lower its clocks'),
    ('run', 'high_foreign_cpu', 'HIGH_FOREIGN_CPU', 'polluting', true, true, 'machine', NULL,
        'other programs used the CPU', 'close them, or {way_out}'),
    ('run', 'high_overhead', 'HIGH_ORCHESTRATION_OVERHEAD', 'polluting', true, true, 'machine', NULL,
        'much of the time was spent outside the model', 'look for a proxy or a queue before the server'),
    ('run', 'high_system_load', 'HIGH_SYSTEM_LOAD', 'polluting', true, true, 'machine', NULL,
        'the machine was loaded before the first call', 'wait until it is idle'),
    ('run', 'memory_pressure', 'MEMORY_PRESSURE', 'polluting', true, true, 'machine', NULL,
        'memory ran short', 'close programs, or choose a smaller model'),
    ('run', 'controls_missing', 'MISSING_EXPERIMENTAL_CONTROLS', 'polluting', false, true, 'preset', NULL,
        'seed, threads, affinity or warm-up has no value', 'set it in the preset'),
    ('run', 'promised_timings_missing', 'MISSING_TIMINGS', 'polluting', false, true, 'server', NULL,
        'the server left out timings it offers', 'update it'),
    ('run', 'promised_counts_missing', 'MISSING_TOKEN_COUNTS', 'polluting', false, true, 'server', NULL,
        'the server left out token counts it offers', 'update it'),
    ('run', 'model_loaded_in_run', 'MODEL_LOADED_IN_RUN', 'polluting', true, true, 'server', NULL,
        'the model was loaded inside a timed run', 'keep it resident'),
    ('run', 'not_run', 'NOT_RUN', 'polluting', true, false, 'preset', NULL,
        'planned and never made: the sweep stopped early', 'go on with --resume'),
    ('run', 'battery_power', 'ON_BATTERY', 'advisory', true, true, 'machine', NULL,
        'the machine ran on battery', 'plug it in'),
    ('run', 'other_model_resident', 'OTHER_MODEL_RESIDENT', 'polluting', true, true, 'server', NULL,
        'another model was loaded in the same server', 'unload it'),
    ('run', 'output_truncated', 'OUTPUT_TRUNCATED', 'advisory', false, true, 'preset', NULL,
        'the answer was cut at its budget', 'give the task more max_tokens'),
    ('run', 'partially_observed', 'PARTIALLY_OBSERVED', 'advisory', false, true, 'machine', NULL,
        'a counter of the machine could not be read', 'see unobserved_reasons and orket doctor'),
    ('run', 'cache_hit', 'PROMPT_CACHE_HIT', 'polluting', true, false, 'server', NULL,
        'the server answered from its prompt cache', 'switch it off'),
    ('run', 'run_failed', 'RUN_FAILED', 'polluting', true, false, 'server', NULL,
        'the call failed', 'see error_class and error_message in v1.runs'),
    ('run', 'server_shared', 'SERVER_SHARED', 'polluting', true, true, 'server', NULL,
        'someone else used the server', 'have it to yourself'),
    ('run', 'server_stalled', 'SERVER_STALLED', 'polluting', true, true, 'machine', NULL,
        'the server stood still', 'look for a stopped or starved process'),
    ('run', 'swap_activity', 'SWAP_ACTIVITY', 'polluting', true, true, 'machine', NULL,
        'the machine was swapping', 'close programs, or choose a smaller model'),
    ('run', 'thermal_throttle', 'THERMAL_THROTTLE', 'polluting', true, true, 'machine', NULL,
        'the CPU was too hot', 'improve its cooling, or use fewer threads'),
    ('run', 'timings_not_offered', 'TIMINGS_NOT_OFFERED', 'advisory', false, true, 'server', NULL,
        'the server offers no timings', 'nothing; the wall time is judged'),

    ('canary', 'adherence_varies', 'ADHERENCE_VARIANCE_NON_ZERO', 'failing', NULL, NULL, 'server', NULL,
        'equal requests were answered differently',
        'fix the seed, set temperature to 0, and see orket determinism'),
    ('canary', 'run_failed', 'CANARY_RUN_FAILED', 'failing', NULL, NULL, 'server', NULL,
        'calls failed', 'look at the server''s log, then run again'),
    ('canary', 'latency_varies', 'LATENCY_VARIANCE_THRESHOLD_EXCEEDED', 'failing', NULL, NULL, 'machine', NULL,
        'the machine is not steady', 'close programs (orket doctor shows the top consumers)'),
    ('canary', 'latency_unknown', 'LATENCY_VARIANCE_UNAVAILABLE', 'failing', NULL, NULL, 'server', NULL,
        'too few timed runs', 'the server gave no times'),
    ('canary', 'telemetry_missing', 'MISSING_TELEMETRY_RATE_EXCEEDED', 'failing', NULL, NULL, 'server', NULL,
        'the server left out counts or timings that it offers', 'update it'),
    ('canary', 'too_few_runs', 'TOO_FEW_CANARY_RUNS', 'failing', NULL, NULL, 'machine', NULL,
        'the gate was not run in full', 'run it again'),

    ('quant', 'adherence_below', 'ADHERENCE_BELOW_THRESHOLD', 'failing', NULL, NULL, 'model', 'adherence',
        'it keeps less of the baseline quant''s adherence than the threshold', 'that is an answer too'),
    ('quant', 'uncovered', 'INSUFFICIENT_VALID_RUNS', 'failing', NULL, NULL, 'machine', 'too few runs',
        'a task has too few valid runs', 'see what polluted or failed them, and run again'),
    ('quant', 'latency_above', 'LATENCY_ABOVE_CEILING', 'failing', NULL, NULL, 'preset', 'latency',
        'the ceiling is too low for this model on this machine',
        'orket show latest --latency-ceiling 30 judges the same runs again'),
    ('quant', 'no_baseline_adherence', 'NO_BASELINE_ADHERENCE', 'failing', NULL, NULL, 'model', 'no baseline',
        'the baseline quant itself solves nothing', 'read some answers: is the chat template right?'),
    ('quant', 'run_failures', 'RUN_FAILURES', 'failing', NULL, NULL, 'server', 'failures',
        'every run of a task failed that another quant solved', 'see error_message in v1.attempts'),
    ('quant', 'unknown_quant', 'UNKNOWN_QUANT', 'failing', NULL, NULL, 'preset', NULL,
        'neither the catalogue nor the file says how precise it is', 'add it to the catalogue of quants'),
    ('quant', 'baseline_shifted', 'BASELINE_QUANT_SHIFTED', 'advisory', NULL, NULL, 'machine', NULL,
        'the most precise quant could not be judged', 'run it again: another quant serves as the baseline'),
    ('quant', 'has_drift', 'DRIFT', 'advisory', NULL, NULL, 'machine', NULL,
        'it became slower during the sweep', 'let the machine cool'),
    ('quant', 'non_monotone', 'NON_MONOTONE', 'advisory', NULL, NULL, 'model', NULL,
        'a more precise quant fails adherence', 'ask more tasks'),
    ('quant', 'has_outliers', 'OUTLIER', 'advisory', NULL, NULL, 'machine', NULL,
        'runs lie far from the median of their cell', 'nothing; they are not dropped'),
    ('quant', 'output_length_differs', 'OUTPUT_LENGTH_DIFFERS', 'advisory', NULL, NULL, 'model', NULL,
        'it writes much more or less than the baseline quant', 'do not compare its latency alone'),
    ('quant', 'reference_fails', 'REFERENCE_FAILS', 'advisory', NULL, NULL, 'model', NULL,
        'the baseline quant passes so few tasks that it is no yardstick',
        'ask tasks that this model can do'),
    ('quant', 'reference_guesses', 'REFERENCE_GUESSES', 'advisory', NULL, NULL, 'model', NULL,
        'the baseline quant passes no more tasks than guessing does',
        'read some answers: is the chat template right?'),
    ('quant', 'failed_everywhere', 'TASK_FAILED_EVERYWHERE', 'advisory', NULL, NULL, 'server', NULL,
        'a task without an OK run of any quant is left out for all', 'see error_message in v1.attempts'),

    ('baseline', 'pinned_run_missing', 'PINNED_RUN_MISSING', 'failing', NULL, NULL, NULL, NULL,
        'a pin rules, and its baseline is not there', 'unpin it, or append its sweep'),
    ('baseline', 'no_baseline', 'NO_BASELINE', 'failing', NULL, NULL, NULL, NULL,
        'none was appended for this test', 'orket baseline append'),
    ('baseline', 'hw_mismatch', 'HW_MISMATCH', 'failing', NULL, NULL, NULL, NULL,
        'all are of another machine', 'append one of this machine'),
    ('baseline', 'rev_mismatch', 'REV_MISMATCH', 'failing', NULL, NULL, NULL, NULL,
        'all are of another revision of the task', 'append one of this revision'),
    ('baseline', 'model_mismatch', 'MODEL_MISMATCH', 'failing', NULL, NULL, NULL, NULL,
        'all are of another model, or of other weights', 'append one of these weights'),
    ('baseline', 'quant_mismatch', 'QUANT_MISMATCH', 'failing', NULL, NULL, NULL, NULL,
        'all are of another quant', 'append one of this quant'),
    ('baseline', 'polluted_baseline', 'POLLUTED_BASELINE', 'failing', NULL, NULL, NULL, NULL,
        'all were not CLEAN', 'append a clean one'),
    ('baseline', 'stale_baseline', 'STALE_BASELINE', 'failing', NULL, NULL, NULL, NULL,
        'all are too old', 'append a new one, or pin an old one')
) AS reasons (
    scope, signal, code, kind, is_curable, is_admissible, fault, short, meaning, remedy
);

COMMENT ON VIEW v1.reason IS 'The catalogue of reasons and advisories. One row per scope and code.';
COMMENT ON COLUMN v1.reason.scope IS 'What it is said of: run, canary, quant or baseline';
COMMENT ON COLUMN v1.reason.signal IS 'The fact that it stands for';
COMMENT ON COLUMN v1.reason.code IS 'The word that views and documents show';
COMMENT ON COLUMN v1.reason.kind IS 'polluting, failing or advisory';
COMMENT ON COLUMN v1.reason.is_curable IS 'Another attempt on the same server could be free of it; runs only';
COMMENT ON COLUMN v1.reason.is_admissible IS 'A run with it may count where polluted runs may; runs only';
COMMENT ON COLUMN v1.reason.fault IS 'Whose it is: machine, server, preset or model';
COMMENT ON COLUMN v1.reason.short IS 'A word or two for a narrow table';
COMMENT ON COLUMN v1.reason.meaning IS 'What it says';
COMMENT ON COLUMN v1.reason.remedy IS 'What to do';

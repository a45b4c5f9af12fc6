-- Grain: sweep x task. What all runs of a task agree on, or the most that one says.

SELECT
    sweep_id,
    test_id,
    min(bucket) AS bucket,
    min(task_revision) AS task_revision,
    max(checks.checks_total) AS checks_total,
    max(max_tokens) AS max_tokens,
    min(checks.checker_version) AS checker_version
FROM raw.runs
GROUP BY sweep_id, test_id
ORDER BY sweep_id, test_id

-- Grain: sweep x model.
-- Inputs: v1.manifest, v1.policy, v1.family_table.
-- Rules: what the planned tasks say at most: as many tasks that fail by themselves would say
-- as much, if the reference passed all of them. A task without a family is its own.
-- Lists of proofs are made once: tasks that were added later do not change them.

CREATE VIEW v1.bank_worth AS
WITH families AS (
    SELECT
        manifest.sweep_id,
        coalesce(task.entry.family, task.entry.test_id) AS family,
        count(*) AS tasks
    FROM v1.manifest AS manifest
    CROSS JOIN unnest(manifest.start_tasks) AS task (entry)
    GROUP BY ALL
)

SELECT
    policy.sweep_id,
    policy.model_id,
    policy.adherence_threshold_ppm,
    policy.evidence_level_ppm,
    CAST(sum(families.tasks) AS BIGINT) AS tasks,
    count(*) AS families,
    CAST(coalesce(sum(worth.worth_micro), 0) // 1000000 AS BIGINT) AS worth_tasks
FROM v1.policy AS policy
INNER JOIN families USING (sweep_id)
LEFT JOIN v1.family_table AS worth
    ON worth.adherence_threshold_ppm = policy.adherence_threshold_ppm
    AND worth.family_correlation_ppm = policy.family_correlation_ppm
    AND worth.tasks = families.tasks
GROUP BY ALL;

COMMENT ON VIEW v1.bank_worth IS 'What the tasks planned at the start say at most. One row per sweep and model.';
COMMENT ON COLUMN v1.bank_worth.evidence_level_ppm IS 'Chance of error, ppm';
COMMENT ON COLUMN v1.bank_worth.tasks IS 'Tasks planned at the start';
COMMENT ON COLUMN v1.bank_worth.families IS 'Their families';
COMMENT ON COLUMN v1.bank_worth.worth_tasks IS 'Tasks of their own that say as much, rounded down; 0 at a threshold of 0 or 1';

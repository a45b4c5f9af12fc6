-- A row for each thing that a manifest names and does not tell of, or tells of twice.
-- A manifest that was appended twice is one, as it is to the views.
WITH planned AS (
    SELECT manifest_id, quants, tasks, models, unnest(plan) AS run
    FROM (SELECT DISTINCT manifest_id, quants, tasks, models, plan FROM whole)
)
SELECT manifest_id, 'planned runs without a name' AS fault
FROM planned
WHERE run.run_id IS NULL
UNION
SELECT manifest_id, 'a run that is planned twice'
FROM planned
GROUP BY manifest_id, run.run_id
HAVING count(*) > 1 AND run.run_id IS NOT NULL
UNION
SELECT manifest_id, 'planned runs of a model that it does not tell of'
FROM planned
WHERE
    run.run_id IS NOT NULL
    AND NOT list_contains(list_transform(models, lambda m : m.model_id), run.model_id)
UNION
SELECT manifest_id, 'planned runs of a quant that it does not tell of'
FROM planned
WHERE
    run.run_id IS NOT NULL
    AND NOT list_contains(
        list_transform(quants, lambda q : q.model_id || ' ' || q.quant_tag),
        run.model_id || ' ' || run.quant_tag
    )
UNION
SELECT manifest_id, 'planned runs of a task that it does not tell of'
FROM planned
WHERE
    run.run_id IS NOT NULL
    AND NOT list_contains(list_transform(tasks, lambda t : t.test_id), run.test_id)
ORDER BY ALL

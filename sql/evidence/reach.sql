-- What the reference of an adaptive sweep may have to reach: with how many tasks, at what level.

SELECT DISTINCT
    adherence_threshold_ppm,
    evidence_level_ppm,
    worth_tasks,
    bank.tasks
FROM v1.bank_worth AS bank
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE manifest."order" = 'adaptive'
ORDER BY ALL

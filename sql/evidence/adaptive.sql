-- What the rounds of adaptive sweeps may have to prove: with how many tasks, at what level.

SELECT DISTINCT
    adherence_threshold_ppm,
    evidence_level_ppm,
    worth_tasks
FROM v1.bank_worth
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE manifest."order" = 'adaptive'
ORDER BY ALL

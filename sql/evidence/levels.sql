-- The levels of evidence in force.

SELECT DISTINCT evidence_level_ppm
FROM v1.policy
ORDER BY ALL

-- What is asked of adherence, and how alike the tasks of one family are taken to be.

SELECT DISTINCT
    adherence_threshold_ppm,
    family_correlation_ppm
FROM v1.policy
ORDER BY ALL

-- What adaptive sweeps ask of adherence.

SELECT DISTINCT adherence_threshold_ppm
FROM v1.policy
INNER JOIN v1.manifest AS manifest USING (sweep_id)
WHERE manifest."order" = 'adaptive'
ORDER BY ALL

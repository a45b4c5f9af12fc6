-- The thresholds and levels in force, with the most quants that one sweep asks of.

SELECT DISTINCT
    adherence_threshold_ppm,
    evidence_level_ppm,
    max(len(manifest.quants))
FROM v1.policy
INNER JOIN v1.manifest AS manifest USING (sweep_id)
GROUP BY ALL
ORDER BY ALL

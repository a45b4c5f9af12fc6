-- How many stored baselines there are, and how many fail each check.

SELECT
    count(*) FILTER (kind = 'RECORD') AS records,
    count(*) FILTER (is_stale) AS stale,
    count(*) FILTER (is_incompatible) AS incompatible,
    count(*) FILTER (is_orphaned) AS orphaned,
    count(*) FILTER (is_duplicate) AS duplicate
FROM v1.baseline_health

-- The most tasks that any sweep has.

SELECT coalesce(max(len(tasks)), 0)
FROM v1.manifest

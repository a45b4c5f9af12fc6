-- Groups of equal requests of one sweep, how many gave one answer, and is that enough.
-- Parameters: the share required, ppm; the sweep.
SELECT
    count(is_deterministic) AS groups,
    count(*) FILTER (WHERE is_deterministic) AS deterministic,
    v1.micro(
        count(*) FILTER (WHERE is_deterministic), nullif(count(is_deterministic), 0)
    ) AS rate_micro,
    CASE
        WHEN count(is_deterministic) > 0
            THEN count(*) FILTER (WHERE is_deterministic) * 1000000
                >= count(is_deterministic) * CAST(? AS BIGINT)
    END AS is_met
FROM v1.determinism
WHERE sweep_id = ?

-- Every stored baseline that is meant, with the reason why it stays; NULL is none.

WITH referenced AS (
    SELECT DISTINCT event_id
    FROM v1.baseline_candidate
    WHERE chosen
)

SELECT
    record.*,
    CASE
        WHEN record.pinned THEN 'PINNED'
        WHEN referenced.event_id IS NOT NULL THEN 'REFERENCED'
        WHEN
            NOT $all_machines
            AND NOT coalesce(record.hardware_fingerprint = $fingerprint, false)
            THEN 'OTHER_MACHINE'
        WHEN record.key_rank <= $keep_last THEN 'AMONG_NEWEST'
        WHEN
            $older_than_us IS NOT NULL
            AND NOT coalesce(record.age_us > $older_than_us, false)
            THEN 'YOUNG_ENOUGH'
    END AS kept_because
FROM v1.baseline_record AS record
LEFT JOIN referenced USING (event_id)
WHERE
    ($test_id IS NULL OR record.test_id = $test_id)
    AND ($model_id IS NULL OR record.model_id = $model_id)
    AND ($quant_tag IS NULL OR record.quant_tag = $quant_tag)
    AND NOT record.pruned
ORDER BY
    record.test_id, record.model_id, record.quant_tag, record.hardware_fingerprint,
    record.key_rank, record.event_id

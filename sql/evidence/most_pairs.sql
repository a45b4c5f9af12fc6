-- The most pairs of runs that any sweep can have. A manifest may say any number of
-- repetitions: there are no more pairs than runs. An adaptive sweep compares speed over few
-- tasks, some of them several times.

SELECT
    coalesce(
        max(
            least(
                greatest(len(tasks) * repetitions, if("order" = 'adaptive', 200, 0)),
                greatest(1000, made)
            )
        ),
        0
    )
FROM v1.manifest
LEFT JOIN (SELECT sweep_id, count(*) AS made FROM raw.runs GROUP BY sweep_id)
    USING (sweep_id)

-- The plan of each sweep, as its rows show it, put together where it may be long.

CREATE TABLE plans AS
WITH planned AS (
    -- All attempts at a run agree on what was planned, but for their own order.
    SELECT
        sweep_id,
        run_id,
        min(order_index) AS order_index,
        min(phase) AS phase,
        min(model_id) AS model_id,
        min(quant_tag) AS quant_tag,
        min(test_id) AS test_id,
        min(repetition) AS repetition,
        min(block_index) AS block_index
    FROM raw.runs
    WHERE phase IN ('warmup', 'canary', 'matrix')
    GROUP BY sweep_id, run_id
),

listed AS (
    SELECT
        sweep_id,
        list(
            struct_pack(
                run_id := run_id,
                order_index := order_index,
                phase := phase,
                model_id := model_id,
                quant_tag := quant_tag,
                test_id := test_id,
                repetition := repetition,
                block_index := block_index
            )
            ORDER BY order_index, run_id
        ) AS plan,
        max(repetition) AS repetitions,
        bool_or(phase = 'canary') AS canary_planned
    FROM planned
    GROUP BY sweep_id
)

SELECT
    *,
    sha256(array_to_string(list_transform(plan, lambda run: run.run_id), ','))
        AS plan_hash
FROM listed

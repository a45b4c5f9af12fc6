-- Grain: sweep x model x quant x planned task of the matrix.
-- Inputs: v1.task_aggregate, v1.task_standing, v1.task_pair, v1.planned_run, v1.runs,
-- v1.attempts.
-- Rules: what a quant said to a task, beside what the reference said. The answer that
-- is shown is that of the first run which counts and whose own verdict is the task's; where
-- none counts, that of the first run with an answer. A task is LEFT_OUT where it counts for
-- no quant, NOT_JUDGED where this quant has too few valid runs or no check, else PASSED or
-- FAILED. It is LOST where the reference passes it and this one does not, GAINED where
-- it is the other way round. An answer that fails has its form damaged where its format
-- is (FORMAT), else the wrong content (CONTENT). The first difference is the first
-- character, from 1, in which the two answers differ; one that goes on where the other
-- ends differs there.

CREATE VIEW v1.task_answer AS
WITH candidates AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        runs.run_id,
        runs.attempt_id,
        runs.is_valid,
        runs.outcome,
        runs.answer_text,
        runs.stop_reason,
        runs.format_damage,
        row_number() OVER (
            PARTITION BY sweep_id, model_id, quant_tag, test_id
            ORDER BY
                runs.is_valid DESC NULLS LAST,
                (runs.checks_total > 0 AND runs.checks_passed = runs.checks_total)
                IS NOT DISTINCT FROM tasks.is_passed DESC,
                runs.answer_text IS NULL,
                runs.repetition,
                runs.run_id
        ) AS place
    FROM v1.runs AS runs
    INNER JOIN v1.task_aggregate AS tasks USING (sweep_id, model_id, quant_tag, test_id)
    WHERE runs.phase = 'matrix'
),

chosen AS (
    SELECT candidates.*, attempts.check_details
    FROM candidates
    LEFT JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
    WHERE candidates.place = 1
),

places AS (
    SELECT DISTINCT sweep_id, test_id, family FROM v1.planned_run
),

yardsticks AS (
    SELECT DISTINCT sweep_id, model_id, baseline_quant_tag FROM v1.task_pair
),

standings AS (
    SELECT
        tasks.*,
        places.family,
        yardsticks.baseline_quant_tag,
        pairs.baseline_passed,
        pairs.is_paired AND tasks.quant_tag <> yardsticks.baseline_quant_tag AS is_compared,
        CASE
            WHEN tasks.failed_everywhere OR standing.is_unsupported THEN 'LEFT_OUT'
            WHEN pairs.own_passed THEN 'PASSED'
            WHEN NOT pairs.own_passed THEN 'FAILED'
            ELSE 'NOT_JUDGED'
        END AS standing
    FROM v1.task_aggregate AS tasks
    INNER JOIN v1.task_standing AS standing USING (sweep_id, model_id, test_id)
    LEFT JOIN places USING (sweep_id, test_id)
    LEFT JOIN yardsticks USING (sweep_id, model_id)
    LEFT JOIN v1.task_pair AS pairs USING (sweep_id, model_id, quant_tag, test_id)
),

texts AS (
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        own.test_id,
        own.answer_text,
        other.answer_text AS baseline_answer_text,
        other.run_id AS baseline_run_id,
        own.answer_text = other.answer_text AS is_same_answer
    FROM chosen AS own
    INNER JOIN yardsticks USING (sweep_id, model_id)
    INNER JOIN chosen AS other
        ON other.sweep_id = own.sweep_id
        AND other.model_id = own.model_id
        AND other.quant_tag = yardsticks.baseline_quant_tag
        AND other.test_id = own.test_id
),

characters AS (
    SELECT
        *,
        string_split(answer_text, '') AS own_characters,
        string_split(baseline_answer_text, '') AS other_characters
    FROM texts
    WHERE NOT is_same_answer
),

differences AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        test_id,
        -- A character may be several code points, which is what a text is counted in.
        length(
            array_to_string(
                own_characters[
                    :list_position(
                        list_transform(
                            list_zip(own_characters, other_characters),
                            lambda pair: pair[1] IS NOT DISTINCT FROM pair[2]
                        ),
                        false
                    ) - 1
                ],
                ''
            )
        ) + 1 AS first_difference
    FROM characters
)

SELECT
    standings.sweep_id,
    standings.model_id,
    standings.quant_tag,
    standings.test_id,
    standings.bucket,
    standings.tier,
    standings.family,
    standings.first_order_index,
    standings.baseline_quant_tag,
    standings.standing,
    CASE
        WHEN NOT coalesce(standings.is_compared, false) THEN NULL
        WHEN standings.baseline_passed AND standings.standing = 'FAILED' THEN 'LOST'
        WHEN NOT standings.baseline_passed AND standings.standing = 'PASSED' THEN 'GAINED'
        ELSE 'SAME'
    END AS change,
    CASE
        WHEN standings.standing <> 'FAILED' THEN NULL
        WHEN chosen.format_damage IS NOT NULL THEN 'FORMAT'
        ELSE 'CONTENT'
    END AS damage_kind,
    if(standings.standing = 'FAILED', chosen.format_damage, NULL) AS format_damage,
    standings.valid_runs,
    standings.passing_runs,
    standings.adherence_nano,
    standings.checks_unsupported,
    standings.mean_wall_ns,
    standings.mean_completion_tokens_milli,
    chosen.run_id,
    chosen.attempt_id,
    chosen.outcome,
    chosen.stop_reason,
    chosen.check_details,
    chosen.answer_text,
    texts.baseline_run_id,
    texts.baseline_answer_text,
    texts.is_same_answer,
    differences.first_difference
FROM standings
LEFT JOIN chosen USING (sweep_id, model_id, quant_tag, test_id)
LEFT JOIN texts USING (sweep_id, model_id, quant_tag, test_id)
LEFT JOIN differences USING (sweep_id, model_id, quant_tag, test_id);

COMMENT ON VIEW v1.task_answer IS 'What each quant said to each task, beside the reference. One row per sweep, model, quant and planned task.';
COMMENT ON COLUMN v1.task_answer.family IS 'Family of the task, NULL where none is declared';
COMMENT ON COLUMN v1.task_answer.standing IS 'PASSED, FAILED, NOT_JUDGED or LEFT_OUT';
COMMENT ON COLUMN v1.task_answer.change IS 'LOST, GAINED or SAME against the reference; NULL of that one, and where one of the two has no verdict';
COMMENT ON COLUMN v1.task_answer.damage_kind IS 'FORMAT or CONTENT of an answer that fails';
COMMENT ON COLUMN v1.task_answer.format_damage IS 'EMPTY, UNPARSEABLE, TRUNCATED, LOOPING or WRONG_LANGUAGE, of an answer that fails';
COMMENT ON COLUMN v1.task_answer.run_id IS 'The run whose answer is shown';
COMMENT ON COLUMN v1.task_answer.attempt_id IS 'Its attempt';
COMMENT ON COLUMN v1.task_answer.baseline_run_id IS 'The run of the reference beside it';
COMMENT ON COLUMN v1.task_answer.baseline_answer_text IS 'What that quant answered: untrusted text';
COMMENT ON COLUMN v1.task_answer.is_same_answer IS 'The two answers are equal, to the character';
COMMENT ON COLUMN v1.task_answer.first_difference IS 'First character, from 1, in which they differ; NULL if they do not';

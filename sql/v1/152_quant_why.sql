-- Grain: sweep x model x quant.
-- Inputs: v1.quant_rule, v1.quant_picture, v1.quant_comparison, v1.quant_aggregate,
-- v1.frontier, v1.support, v1.choice, v1.task_answer, v1.stop.
-- Rules: why a quant is recommended or not, in words, and what would change that; nothing
-- is decided here. The headline is the first gate that is not met, else what it is chosen
-- for as the recommendation says it, else what another has the better value by. A threshold that would let it
-- pass is cut, a ceiling rounded up. The length drift is over tasks that both have counted.

CREATE VIEW v1.quant_why AS
WITH unmet AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        arg_min(rule, place) AS rule,
        arg_min(words, place) AS words,
        any_value(words) FILTER (WHERE rule = 'VALUE') AS value_words
    FROM v1.quant_rule
    WHERE state = 'NOT_MET'
    GROUP BY ALL
),

damages AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        list({'damage': format_damage, 'tasks': tasks} ORDER BY tasks DESC, format_damage)
            AS format_damages
    FROM (
        SELECT sweep_id, model_id, quant_tag, format_damage, count(*) AS tasks
        FROM v1.task_answer
        WHERE format_damage IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY ALL
),

lengths AS (
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        count(*) AS length_tasks,
        sum(own.mean_completion_tokens_milli) AS own_sum_milli,
        sum(other.mean_completion_tokens_milli) AS reference_sum_milli
    FROM v1.task_answer AS own
    INNER JOIN v1.task_answer AS other
        ON other.sweep_id = own.sweep_id
        AND other.model_id = own.model_id
        AND other.test_id = own.test_id
        AND other.quant_tag = own.baseline_quant_tag
    WHERE
        own.mean_completion_tokens_milli IS NOT NULL
        AND other.mean_completion_tokens_milli IS NOT NULL
        AND own.standing <> 'LEFT_OUT'
    GROUP BY ALL
),

memories AS (
    SELECT sweep_id, model_id, quant_tag, peak_memory_bytes, memory_source
    FROM v1.quant_aggregate
),

facts AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        picture.mark,
        picture.is_best_value,
        picture.quant_rank,
        picture.is_baseline_quant,
        comparison.baseline_quant_tag,
        comparison.pairs,
        comparison.baseline_passes,
        comparison.flips_lost,
        comparison.flips_gained,
        comparison.output_length_differs,
        frontier.is_eligible,
        frontier.is_judged,
        frontier.is_covered,
        frontier.is_fillable,
        frontier.ineligible_reasons,
        frontier.kept_adherence_ppm,
        frontier.keeps_adherence,
        frontier.within_ceiling,
        frontier.total_latency_ns,
        support.is_proven,
        support.tasks_needed,
        support.tasks_likely,
        support.families_needed,
        choice.best_value_quant,
        choice.best_value_status,
        choice.eligible_quants,
        choice.repetitions_needed,
        choice.rivals,
        own.peak_memory_bytes,
        best.peak_memory_bytes AS best_memory_bytes,
        own.memory_source = best.memory_source AS is_same_source,
        stop.stop_code,
        unmet.rule AS unmet_rule,
        unmet.words AS unmet_words,
        unmet.value_words,
        coalesce(damages.format_damages, []) AS format_damages,
        lengths.length_tasks,
        TRY_CAST(v1.scaled(lengths.own_sum_milli, lengths.length_tasks, 1) AS BIGINT)
            AS mean_tokens_milli,
        TRY_CAST(v1.scaled(lengths.reference_sum_milli, lengths.length_tasks, 1) AS BIGINT)
            AS reference_tokens_milli,
        v1.micro(
            lengths.own_sum_milli - lengths.reference_sum_milli, lengths.reference_sum_milli
        ) AS length_change_micro
    FROM v1.quant_picture AS picture
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.support AS support USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
    LEFT JOIN (SELECT sweep_id, model_id, code AS stop_code FROM v1.stop) AS stop
        USING (sweep_id, model_id)
    INNER JOIN memories AS own USING (sweep_id, model_id, quant_tag)
    LEFT JOIN memories AS best
        ON best.sweep_id = choice.sweep_id
        AND best.model_id = choice.model_id
        AND best.quant_tag = choice.best_value_quant
    LEFT JOIN unmet USING (sweep_id, model_id, quant_tag)
    LEFT JOIN damages USING (sweep_id, model_id, quant_tag)
    LEFT JOIN lengths USING (sweep_id, model_id, quant_tag)
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    quant_rank,
    mark,
    baseline_quant_tag,
    unmet_rule,
    CASE
        WHEN mark = 'OUT' THEN quant_tag || ' is out: ' || coalesce(unmet_words, 'not judged')
        WHEN is_best_value AND eligible_quants = 1
            THEN quant_tag || ' is the only one that passes'
        -- As the recommendation says it: what is advised, and only then what else it is.
        WHEN mark = 'ADVISED' AND is_best_value AND best_value_status = 'CLEAR'
            THEN quant_tag || ' is advised: it '
            || if(is_baseline_quant, 'passes', 'is shown to pass')
            || ', and clearly does more per second than any other that does'
        WHEN mark = 'ADVISED' AND is_baseline_quant
            THEN quant_tag || ' is the safe choice: the others are held against it, and no smaller one is shown to pass'
        WHEN mark = 'ADVISED'
            THEN quant_tag || ' is advised: it is the smallest that is shown to pass'
        WHEN is_best_value AND best_value_status = 'CLEAR'
            THEN quant_tag || ' is the best value: it clearly does more per second than any other '
            || 'that passes; that it passes itself is not shown yet'
        WHEN is_best_value AND best_value_status = 'WITHIN_NOISE'
            THEN quant_tag || ' has the best value so far: it passes, and cannot be told for sure from '
            || array_to_string(list_transform(rivals, lambda rival: rival.quant_tag), ', ')
        WHEN is_best_value
            THEN quant_tag || ' passes, and no other that does is better by its answers'
        WHEN mark = 'SMALLEST_SHOWN'
            THEN quant_tag || ' is the smallest that is shown to pass'
        WHEN mark = 'MINIMUM_VIABLE'
            THEN quant_tag || ' is the smallest that passes, which is not shown yet'
        WHEN is_baseline_quant
            THEN quant_tag || ' is what the others are held against'
            || coalesce('; ' || value_words, '')
        ELSE quant_tag || ' passes, and is not chosen: '
            || coalesce(value_words, unmet_words, 'others are')
    END AS headline,
    list_filter(
        [
            if(
                is_judged AND keeps_adherence IS FALSE AND kept_adherence_ppm >= 1000,
                'An adherence threshold of ' || v1.exact_text(kept_adherence_ppm // 1000, 3)
                || ' or less lets it pass: --adherence-threshold '
                || v1.exact_text(kept_adherence_ppm // 1000, 3),
                NULL
            ),
            if(
                is_judged AND within_ceiling IS FALSE,
                'A latency ceiling of ' || v1.decimal_text(total_latency_ns // 1000000 + 1, 3, 3)
                || ' s or more lets it pass: --latency-ceiling '
                || v1.decimal_text(total_latency_ns // 1000000 + 1, 3, 3),
                NULL
            ),
            CASE
                WHEN is_judged THEN NULL
                WHEN is_covered
                    THEN 'It takes tasks that the reference has answered too: go on with --resume'
                WHEN is_fillable
                    THEN 'With its polluted runs it can be judged: --include-polluted fill'
                ELSE 'It takes valid runs of more of its tasks: run it again, or go on with --resume'
            END,
            CASE
                WHEN NOT is_eligible OR is_proven THEN NULL
                WHEN tasks_needed IS NOT NULL
                    THEN v1.count_text(tasks_needed, 'task')
                    || ' show at least that it passes, if no further one is lost'
                    || if(
                        tasks_likely > tasks_needed,
                        '; ' || tasks_likely || ' do in four of five cases, if it goes on losing so',
                        ''
                    )
                    || coalesce('; of ' || families_needed || ' families', '')
                ELSE 'No practicable number of tasks would show that it passes: it loses too many'
            END,
            if(
                is_eligible AND repetitions_needed IS NOT NULL,
                repetitions_needed || ' repetitions would tell ' || best_value_quant
                || ' from those that may be as good: --runs ' || repetitions_needed,
                NULL
            ),
            if(
                quant_tag <> best_value_quant AND is_same_source
                AND peak_memory_bytes < best_memory_bytes,
                'Memory: at its peak it takes ' || v1.size_text(peak_memory_bytes) || ', '
                || best_value_quant || ' ' || v1.size_text(best_memory_bytes),
                NULL
            )
        ],
        lambda change: change IS NOT NULL
    ) AS changes,
    stop_code,
    pairs,
    baseline_passes,
    flips_lost,
    flips_gained,
    format_damages,
    length_tasks,
    mean_tokens_milli,
    reference_tokens_milli,
    length_change_micro,
    output_length_differs
FROM facts;

COMMENT ON VIEW v1.quant_why IS 'Why a quant is recommended or not, and what would change that. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.quant_why.unmet_rule IS 'The first rule that it does not meet; see v1.quant_rule';
COMMENT ON COLUMN v1.quant_why.headline IS 'Why it is recommended or not, in a sentence';
COMMENT ON COLUMN v1.quant_why.changes IS 'What would change that, a sentence each';
COMMENT ON COLUMN v1.quant_why.stop_code IS 'Why the sweep asked no more, of one by rounds that finished; see v1.stop';
COMMENT ON COLUMN v1.quant_why.format_damages IS 'Failed tasks whose answer is damaged in its form, by damage, most frequent first';
COMMENT ON COLUMN v1.quant_why.length_tasks IS 'Tasks of which both have counted their tokens';
COMMENT ON COLUMN v1.quant_why.mean_tokens_milli IS 'Tokens generated a task, over these, 1/1000';
COMMENT ON COLUMN v1.quant_why.reference_tokens_milli IS 'The same of the reference, 1/1000';
COMMENT ON COLUMN v1.quant_why.length_change_micro IS 'By how much it writes more than the reference, 1e-6';

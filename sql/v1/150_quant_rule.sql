-- Grain: sweep x model x quant x rule.
-- Inputs: v1.quant_aggregate, v1.quant_comparison, v1.frontier, v1.support, v1.choice,
-- v1.duel, v1.policy, v1.reason.
-- Rules: each rule that a quant is held against, in the order in which it is asked, with
-- its numbers in words; nothing is decided here. A gate that is NOT_MET makes the quant
-- ineligible; its code is the reason. What a gate before it left unknown is NOT_JUDGED. The
-- rules after the gates say whether a passing quant is shown to pass, whether a smaller
-- one passes too, and whether another has the better value. A share is cut, so that what
-- misses its limit is never shown as reaching it.

CREATE VIEW v1.quant_rule AS
WITH codes AS (
    SELECT signal, code FROM v1.reason WHERE scope = 'quant' AND kind = 'failing'
),

smaller AS (
    -- The next eligible quant below.
    SELECT
        own.sweep_id,
        own.model_id,
        own.quant_tag,
        arg_max(other.quant_tag, (other.quant_rank, other.quant_tag)) AS smaller_quant_tag
    FROM v1.frontier AS own
    INNER JOIN v1.frontier AS other USING (sweep_id, model_id)
    WHERE other.is_eligible AND other.quant_rank < own.quant_rank
    GROUP BY ALL
),

facts AS (
    SELECT
        quants.*,
        frontier.is_eligible,
        frontier.ineligible_reasons,
        frontier.is_baseline_quant,
        frontier.is_judged,
        frontier.kept_adherence_ppm,
        frontier.utility_rank,
        best.kept_adherence_ppm AS best_kept_ppm,
        list_contains(frontier.ineligible_reasons, yardstick.code) AS lacks_yardstick,
        comparison.baseline_quant_tag,
        coalesce(comparison.baseline_quant_tag, 'the reference') AS reference,
        comparison.pairs,
        comparison.baseline_adherence_tasks,
        choice.reference_passes,
        choice.reference_tasks,
        choice.best_value_quant,
        support.passes,
        support.losses,
        support.is_proven,
        support.tasks_needed,
        smaller.smaller_quant_tag,
        duel.gap_ppm,
        duel.is_clear,
        policy.adherence_threshold_ppm,
        policy.latency_ceiling_ns,
        policy.min_pair_ppm,
        policy.evidence_level_ppm,
        policy.quality_only
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.frontier AS frontier USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.support AS support USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.choice AS choice USING (sweep_id, model_id)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    CROSS JOIN (SELECT code FROM codes WHERE signal = 'no_baseline_adherence') AS yardstick
    LEFT JOIN v1.frontier AS best
        ON best.sweep_id = quants.sweep_id
        AND best.model_id = quants.model_id
        AND best.quant_tag = choice.best_value_quant
    LEFT JOIN smaller USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.duel AS duel USING (sweep_id, model_id, quant_tag)
),

rules AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        ineligible_reasons,
        quality_only,
        unnest([
            {
                'place': 1,
                'rule': 'PRECISION',
                'signal': 'unknown_quant',
                'applies': true,
                'holds': NULL,
                'words': if(
                    rank_known,
                    coalesce(
                        -- By the three digits that the summary has, like every screen.
                        'it has '
                        || v1.decimal_text(v1.scaled(bits_per_weight_micro, 1000, 1), 3, 2)
                        || ' bits per weight (' || bits_per_weight_source || ')',
                        'its place is known from the catalogue'
                    ),
                    'neither the catalogue nor the file says how precise it is'
                )
            },
            {
                'place': 2,
                'rule': 'YARDSTICK',
                'signal': 'no_baseline_adherence',
                'applies': true,
                'holds': NULL,
                'words': CASE
                    WHEN baseline_quant_tag IS NULL
                        THEN 'no quant has a verdict on enough tasks to be the reference'
                    WHEN coalesce(reference_passes, 0) = 0
                        THEN reference || ' itself passes none of '
                        || v1.count_text(reference_tasks, 'task')
                    ELSE
                        reference || ' passes ' || reference_passes || ' of '
                        || v1.count_text(reference_tasks, 'task')
                END
            },
            {
                'place': 3,
                'rule': 'ANSWERED',
                'signal': 'run_failures',
                'applies': true,
                'holds': NULL,
                'words': if(
                    unsolved_tasks > 0,
                    'every run failed of ' || v1.count_text(unsolved_tasks, 'task')
                    || ' that another quant answered',
                    'it answered every task that another quant did'
                )
            },
            {
                'place': 4,
                'rule': 'COVERED',
                'signal': 'uncovered',
                'applies': true,
                'holds': NULL,
                'words': 'it can be compared with ' || reference || ' on '
                || coalesce(pairs, 0) || ' of ' || v1.count_text(tasks, 'task') || '; '
                || v1.percent_text(min_pair_ppm) || ' are asked'
            },
            {
                'place': 5,
                'rule': 'CHECKED',
                'signal': 'adherence_unknown',
                'applies': is_covered OR adherence_tasks > 0,
                'holds': NULL,
                'words': if(
                    adherence_tasks > 0,
                    'its answers to ' || v1.count_text(adherence_tasks, 'task')
                    || ' were checked',
                    'its answers were not checked'
                )
            },
            {
                'place': 6,
                'rule': 'ADHERENCE',
                'signal': 'adherence_below',
                'applies': is_judged AND kept_adherence_ppm IS NOT NULL AND NOT lacks_yardstick,
                'holds': NULL,
                'words': coalesce(
                    'it keeps ' || v1.cut_percent_text(kept_adherence_ppm) || ' of '
                    || reference || '''s adherence; ' || v1.percent_text(adherence_threshold_ppm)
                    || ' are asked',
                    'its adherence cannot be compared'
                )
            },
            {
                'place': 7,
                'rule': 'TIMED',
                'signal': 'latency_unknown',
                'applies': is_judged AND NOT quality_only,
                'holds': NULL,
                'words': if(
                    quality_only,
                    'answers alone are judged',
                    'it has times of ' || v1.count_text(latency_tasks, 'task')
                )
            },
            {
                'place': 8,
                'rule': 'LATENCY',
                'signal': 'latency_above',
                'applies': is_judged AND NOT quality_only AND total_latency_ns IS NOT NULL,
                'holds': NULL,
                'words': coalesce(
                    if(quality_only, 'answers alone are judged', NULL),
                    'it takes ' || v1.time_text(total_latency_ns)
                    || ' a run on average; the ceiling is '
                    || v1.time_limit_text(latency_ceiling_ns),
                    'its time is not known'
                )
            },
            {
                'place': 9,
                'rule': 'SHOWN',
                'signal': NULL,
                'applies': is_eligible,
                'holds': is_proven,
                'words': CASE
                    WHEN is_baseline_quant THEN 'it keeps its own score by definition'
                    ELSE
                        'it loses ' || losses || ' of the '
                        || v1.count_text(passes, 'task') || ' that ' || reference || ' passes'
                        || CASE
                            WHEN is_proven
                                THEN ': proof, with a chance of error of '
                                || v1.percent_text(evidence_level_ppm)
                            WHEN tasks_needed IS NOT NULL
                                THEN ': no proof yet, which takes '
                                || v1.count_text(tasks_needed, 'task')
                            ELSE ': no proof'
                        END
                END
            },
            {
                'place': 10,
                'rule': 'SMALLEST',
                'signal': NULL,
                'applies': is_eligible,
                'holds': smaller_quant_tag IS NULL,
                'words': coalesce(
                    smaller_quant_tag || ' is smaller, and passes too',
                    'nothing smaller passes'
                )
            },
            {
                'place': 11,
                'rule': 'VALUE',
                'signal': NULL,
                'applies': is_eligible AND best_value_quant IS NOT NULL,
                'holds': utility_rank = 1,
                'words': CASE
                    WHEN quality_only AND utility_rank = 1
                        THEN 'no other that passes is better by its answers'
                    WHEN quality_only
                        THEN best_value_quant || if(
                            best_kept_ppm > kept_adherence_ppm,
                            ' is better by its answers',
                            ' does no worse by its answers'
                        )
                    WHEN utility_rank = 1 THEN 'no other that passes does more per second'
                    ELSE
                        best_value_quant || ' does '
                        || if(
                            gap_ppm >= 1000,
                            v1.cut_percent_text(gap_ppm) || ' more per second'
                            || if(is_clear, '', ', which may be chance'),
                            'as much per second, and comes first by precision'
                        )
                END
            }
        ], recursive := true)
    FROM facts
)

SELECT
    rules.sweep_id,
    rules.model_id,
    rules.quant_tag,
    CAST(rules.place AS BIGINT) AS place,
    rules.rule,
    rules.signal IS NOT NULL AS is_gate,
    codes.code AS reason,
    CASE
        WHEN list_contains(rules.ineligible_reasons, codes.code) THEN 'NOT_MET'
        WHEN NOT coalesce(rules.applies, false) THEN 'NOT_JUDGED'
        WHEN rules.signal IS NOT NULL OR rules.holds THEN 'MET'
        WHEN rules.holds IS NULL THEN 'NOT_JUDGED'
        ELSE 'NOT_MET'
    END AS state,
    CASE
        WHEN
            NOT coalesce(rules.applies, false)
            AND NOT (rules.quality_only AND rules.rule IN ('TIMED', 'LATENCY'))
            THEN 'a rule before it is not met'
        ELSE coalesce(rules.words, 'not known')
    END AS words
FROM rules
LEFT JOIN codes USING (signal);

COMMENT ON VIEW v1.quant_rule IS 'Each rule that a quant is held against, with its numbers. One row per sweep, model, quant and rule.';
COMMENT ON COLUMN v1.quant_rule.place IS 'Order in which the rules are asked, from 1';
COMMENT ON COLUMN v1.quant_rule.rule IS 'PRECISION, YARDSTICK, ANSWERED, COVERED, CHECKED, ADHERENCE, TIMED, LATENCY, then SHOWN, SMALLEST, VALUE';
COMMENT ON COLUMN v1.quant_rule.is_gate IS 'A quant that does not meet it is out';
COMMENT ON COLUMN v1.quant_rule.reason IS 'The reason why a quant is out that does not meet it';
COMMENT ON COLUMN v1.quant_rule.state IS 'MET, NOT_MET or NOT_JUDGED';
COMMENT ON COLUMN v1.quant_rule.words IS 'How the quant stands to it, with the numbers';

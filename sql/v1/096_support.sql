-- Grain: sweep x model x quant.
-- Inputs: v1.task_evidence, v1.family_evidence, v1.evidence_count, v1.quant_comparison,
-- v1.quant, v1.policy, v1.proof, v1.retention_table, v1.family_table, v1.evidence_level,
-- v1.bet_table, v1.sign_table.
-- Rules: how far tasks, never repetitions, prove that a quant keeps the threshold. Of the
-- tasks that the reference passes some are lost; a task that one of the two has no
-- verdict on counts as lost. What passes and losses count, v1.evidence_count says. Under
-- evidence_rule = bet the proof is a bet that may be looked at any number of times, over
-- tasks and over the means of families, and the weaker answer counts. is_proven holds for all quants of a session at once: a walk from the most precise quant down stops at the
-- first without proof; beside it half the chance of error goes to the quants in the order of
-- their evidence (Holm), for ladders that are not monotone. The reference keeps its own
-- score by definition. What an adaptive sweep proves, which is looked at after every round,
-- v1.proof says.

CREATE VIEW v1.support AS
WITH tasks AS (
    SELECT
        evidence.*,
        policy.adherence_threshold_ppm,
        if(
            is_paired,
            own_adherence_nano
            - (CAST(baseline_adherence_nano AS HUGEINT) * policy.adherence_threshold_ppm + 999999)
            // 1000000,
            -CAST(policy.adherence_threshold_ppm AS HUGEINT) * 1000
        ) AS payoff_nano
    FROM v1.task_evidence AS evidence
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
),

units AS (
    -- Tasks, and families of tasks: the same bet at two sizes.
    SELECT
        sweep_id, model_id, quant_tag, 'task' AS unit, adherence_threshold_ppm, payoff_nano
    FROM tasks
    UNION ALL
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        'family' AS unit,
        any_value(adherence_threshold_ppm) AS adherence_threshold_ppm,
        -- The mean of its tasks, rounded down.
        CAST(floor(sum(payoff_nano) / count(*)) AS HUGEINT) AS payoff_nano
    FROM tasks
    GROUP BY sweep_id, model_id, quant_tag, family
),

stakes AS (
    SELECT
        units.sweep_id,
        units.model_id,
        units.quant_tag,
        units.unit,
        bet.stake_ppm,
        -- On the chord between the ends of the stretch, rounded down.
        sum(
            bet.from_log_nano
            + (CAST(bet.to_log_nano - bet.from_log_nano AS HUGEINT) * (units.payoff_nano - bet.from_nano))
            // (bet.to_nano - bet.from_nano)
        ) AS log_nano
    FROM units
    INNER JOIN v1.bet_table AS bet
        ON bet.adherence_threshold_ppm = units.adherence_threshold_ppm
        AND units.payoff_nano >= bet.from_nano
        AND (
            units.payoff_nano < bet.to_nano
            OR (units.payoff_nano = bet.to_nano AND bet.to_nano = 1000000000)
        )
    GROUP BY ALL
),

bets AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        max(log_nano) FILTER (WHERE unit = 'task') AS bet_log_nano,
        least(
            max(log_nano) FILTER (WHERE unit = 'task'),
            max(log_nano) FILTER (WHERE unit = 'family')
        ) AS weaker_log_nano
    FROM stakes
    GROUP BY ALL
),

-- How much more the losses scatter than those of tasks that fail on their own would:
-- sum over families of (N lost - n L)^2, over N L (N - L).
clusters AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        v1.micro(
            sum(
                CAST(total * losses - passes * lost AS HUGEINT)
                * (total * losses - passes * lost)
            ),
            any_value(total * lost * (total - lost))
        ) AS design_effect_micro
    FROM (
        SELECT
            *,
            TRY_CAST(sum(passes) OVER quant AS HUGEINT) AS total,
            TRY_CAST(sum(losses) OVER quant AS HUGEINT) AS lost
        FROM v1.family_evidence
        WINDOW quant AS (PARTITION BY sweep_id, model_id, quant_tag)
    )
    GROUP BY ALL
),

strengths AS (
    -- Into how many claims the chance of error may be divided; 0 without any proof.
    SELECT
        counted.*,
        bets.bet_log_nano,
        coalesce(
            max(level.claims) FILTER (
                WHERE
                CASE policy.evidence_rule
                    WHEN 'bet' THEN bets.weaker_log_nano >= level.bet_needed_nano
                    ELSE counted.proof_passes >= proof.least_passes
                END
            ),
            0
        ) AS strength
    FROM v1.evidence_count AS counted
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.evidence_level AS level USING (evidence_level_ppm)
    LEFT JOIN v1.retention_table AS proof
        ON proof.adherence_threshold_ppm = policy.adherence_threshold_ppm
        AND proof.evidence_level_ppm = policy.evidence_level_ppm
        AND proof.claims = level.claims
        AND proof.losses = counted.proof_losses
    LEFT JOIN bets USING (sweep_id, model_id, quant_tag)
    GROUP BY ALL
),

joined AS (
    SELECT
        quant.sweep_id,
        quant.model_id,
        quant.quant_tag,
        quant.quant_rank,
        coalesce(comparison.is_baseline_quant, false) AS is_baseline_quant,
        policy.adherence_threshold_ppm,
        policy.evidence_level_ppm,
        policy.family_correlation_ppm,
        own.tasks AS evidence_tasks,
        own.passes,
        own.losses,
        own.proof_passes,
        own.proof_losses,
        own.worth_micro,
        own.families,
        own.family_passes,
        own.family_losses,
        own.bet_log_nano,
        comparison.flips_gained AS gains,
        CASE
            WHEN NOT comparison.is_baseline_quant
                THEN coalesce(
                    greatest(comparison.flips_lost, comparison.flips_gained)
                    >= signs.least_wins,
                    false
                )
        END AS is_separable,
        if(comparison.is_judged AND quant.rank_known, own.strength, 0) AS strength,
        v1.scaled(comparison.loss_sum_nano, comparison.pairs, 1) AS mean_loss_nano,
        v1.scaled(
            (1000000 - policy.adherence_threshold_ppm)
            * comparison.paired_baseline_adherence_sum_nano,
            comparison.pairs,
            1
        ) // 1000000 AS margin_nano
    FROM v1.quant AS quant
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    LEFT JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    LEFT JOIN v1.sign_table AS signs
        ON signs.evidence_level_ppm = policy.evidence_level_ppm
        AND signs.pairs = comparison.flips_lost + comparison.flips_gained
    LEFT JOIN strengths AS own USING (sweep_id, model_id, quant_tag)
),

contested AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        bool_and(strength >= 1) OVER (
            PARTITION BY sweep_id, model_id
            ORDER BY quant_rank DESC NULLS LAST
            ROWS UNBOUNDED PRECEDING
        ) AS is_walked,
        strength,
        count(*) OVER (PARTITION BY sweep_id, model_id) AS rivals,
        row_number() OVER (
            PARTITION BY sweep_id, model_id ORDER BY strength DESC, quant_tag
        ) AS place
    FROM (
        SELECT
            *,
            max(quant_rank) FILTER (WHERE is_baseline_quant) OVER (
                PARTITION BY sweep_id, model_id
            ) AS baseline_rank
        FROM joined
    )
    WHERE quant_rank < baseline_rank
),

-- What more evidence would do: a quant below one without proof has to be as strong as all
-- claims at once ask for.
asked AS (
    SELECT
        joined.sweep_id,
        joined.model_id,
        joined.quant_tag,
        min(proof.least_passes) FILTER (WHERE proof.losses = joined.proof_losses)
            AS proving_passes,
        min(proof.least_passes) FILTER (
            WHERE
            CAST(joined.proof_losses AS HUGEINT) * 1000000
            <= CAST(joined.proof_passes AS HUGEINT) * proof.powered_loss_ppm
        ) AS powered_passes
    FROM joined
    INNER JOIN contested USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.retention_table AS proof
        ON proof.adherence_threshold_ppm = joined.adherence_threshold_ppm
        AND proof.evidence_level_ppm = joined.evidence_level_ppm
        AND proof.claims = if(joined.strength > 0, 2 * contested.rivals, 1)
    GROUP BY ALL
),

-- Of the same families, if they grow alike: where they do not, it takes more.
grown AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        min(worth.tasks * joined.family_passes) FILTER (
            WHERE
            CAST(worth.worth_micro AS HUGEINT) * joined.family_passes
            >= CAST(asked.proving_passes AS HUGEINT) * 1000000
        ) AS proving_passes,
        min(worth.tasks * joined.family_passes) FILTER (
            WHERE
            CAST(worth.worth_micro AS HUGEINT) * joined.family_passes
            >= CAST(asked.powered_passes AS HUGEINT) * 1000000
        ) AS powered_passes
    FROM asked
    INNER JOIN joined USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.family_table AS worth
        USING (adherence_threshold_ppm, family_correlation_ppm)
    WHERE worth.tasks * joined.family_passes <= (SELECT max(tasks) FROM v1.family_table)
    GROUP BY ALL
),

ahead AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        -- NULL where no practicable number would do.
        CASE
            WHEN asked.proving_passes <= joined.proof_passes THEN 0
            WHEN joined.families = joined.evidence_tasks
                THEN asked.proving_passes - joined.proof_passes
            WHEN grown.proving_passes IS NOT NULL
                THEN greatest(grown.proving_passes - joined.passes, 1)
        END AS missing_tasks,
        CASE
            WHEN asked.powered_passes <= joined.proof_passes THEN 0
            WHEN joined.families = joined.evidence_tasks
                THEN asked.powered_passes - joined.proof_passes
            WHEN grown.powered_passes IS NOT NULL
                THEN greatest(grown.powered_passes - joined.passes, 1)
        END AS likely_missing_tasks,
        -- Further families of the size that they have.
        CASE
            WHEN joined.families = joined.evidence_tasks OR joined.worth_micro = 0 THEN NULL
            WHEN asked.proving_passes IS NOT NULL
                THEN greatest(
                    CAST(
                        (
                            CAST(asked.proving_passes AS HUGEINT) * 1000000
                            * joined.family_passes + joined.worth_micro - 1
                        ) // joined.worth_micro AS BIGINT
                    ) - joined.family_passes,
                    0
                )
        END AS missing_families
    FROM joined
    INNER JOIN asked USING (sweep_id, model_id, quant_tag)
    LEFT JOIN grown USING (sweep_id, model_id, quant_tag)
),

proven AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        is_walked
        OR bool_and(strength >= 2 * (rivals - place + 1)) OVER (
            PARTITION BY sweep_id, model_id ORDER BY place ROWS UNBOUNDED PRECEDING
        ) AS is_proven
    FROM contested
)

SELECT
    joined.sweep_id,
    joined.model_id,
    joined.quant_tag,
    joined.evidence_tasks,
    joined.passes,
    joined.losses,
    joined.gains,
    joined.proof_passes,
    joined.proof_losses,
    joined.families,
    joined.family_passes,
    joined.family_losses,
    if(joined.families < joined.evidence_tasks, clusters.design_effect_micro, NULL)
        AS design_effect_micro,
    joined.bet_log_nano,
    TRY_CAST(joined.mean_loss_nano AS BIGINT) AS mean_loss_nano,
    TRY_CAST(joined.margin_nano AS BIGINT) AS margin_nano,
    joined.is_separable,
    coalesce(adaptive.is_proven, joined.strength > 0) AS is_supported,
    joined.is_baseline_quant OR coalesce(adaptive.is_proven, proven.is_proven, false) AS is_proven,
    if(
        joined.is_baseline_quant OR coalesce(adaptive.is_proven, proven.is_proven, false),
        NULL,
        -- What an adaptive sweep cannot prove any more, more rounds of it cannot either.
        if(
            adaptive.state IS NOT NULL,
            if(
                adaptive.state IN ('OPEN', 'NOT_ASKED'),
                joined.evidence_tasks + greatest(adaptive.passes_needed - joined.passes, 0),
                NULL
            ),
            joined.evidence_tasks + ahead.missing_tasks
        )
    ) AS tasks_needed,
    if(
        joined.is_baseline_quant OR coalesce(adaptive.is_proven, proven.is_proven, false)
        OR adaptive.state IS NOT NULL,
        NULL,
        joined.evidence_tasks + ahead.likely_missing_tasks
    ) AS tasks_likely,
    if(
        joined.is_baseline_quant OR coalesce(adaptive.is_proven, proven.is_proven, false)
        OR adaptive.state IS NOT NULL,
        NULL,
        joined.families + ahead.missing_families
    ) AS families_needed
FROM joined
LEFT JOIN ahead USING (sweep_id, model_id, quant_tag)
LEFT JOIN proven USING (sweep_id, model_id, quant_tag)
LEFT JOIN clusters USING (sweep_id, model_id, quant_tag)
LEFT JOIN v1.proof AS adaptive USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.support IS 'How far the tasks prove that a quant keeps the threshold. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.support.evidence_tasks IS 'Distinct tasks behind it';
COMMENT ON COLUMN v1.support.passes IS 'Of these, passed by the reference or without its verdict';
COMMENT ON COLUMN v1.support.losses IS 'Of these, lost by this quant or without a verdict on both sides';
COMMENT ON COLUMN v1.support.proof_passes IS 'Passes that the proof counts: no more than the adherence of the reference sums up to, nor than these tasks of few families are worth';
COMMENT ON COLUMN v1.support.gains IS 'Tasks that only this quant passes';
COMMENT ON COLUMN v1.support.design_effect_micro IS 'Scatter of the losses between families against that of tasks that fail on their own, 1e-6; NULL where no family is declared or nothing is lost';
COMMENT ON COLUMN v1.support.bet_log_nano IS 'Logarithm that the best stake of a bet on this quant has gained, 1e-9';
COMMENT ON COLUMN v1.support.mean_loss_nano IS 'Mean over the pairs of max(0, baseline task mean - own), 1e-9';
COMMENT ON COLUMN v1.support.margin_nano IS '(1 - threshold) x baseline adherence, 1e-9';
COMMENT ON COLUMN v1.support.is_separable IS 'More tasks flip one way than chance does: the tasks tell it from the reference; NULL for that one';
COMMENT ON COLUMN v1.support.is_supported IS 'Proven, were it the only claim of the sweep';
COMMENT ON COLUMN v1.support.is_proven IS 'Proven, with all claims of the sweep sharing the chance of error';
COMMENT ON COLUMN v1.support.tasks_needed IS 'Tasks that would prove it at least, if no further one is lost; NULL if it is proven, or if no practicable number would';
COMMENT ON COLUMN v1.support.tasks_likely IS 'Tasks that would prove it in four of five cases, if it goes on losing as it does; NULL likewise';
COMMENT ON COLUMN v1.support.families_needed IS 'Families that would prove it at least, if no further one is lost; NULL likewise, or where no family is declared';

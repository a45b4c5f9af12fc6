-- Grain: sweep x model x quant with evidence.
-- Inputs: v1.task_evidence, v1.family_evidence.
-- Rules: the passes and losses that a proof counts, by a grid (v1.support) and by rounds
-- (v1.proof) alike. Work that is lost in part counts too: of tasks, and of their adherence,
-- the fewer passes and the more losses are taken, in whole tasks, rounded against the claim.
-- Passes are counted by what tasks of their families are worth.

CREATE VIEW v1.evidence_count AS
WITH tasks AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS tasks,
        count(*) FILTER (WHERE counts) AS passes,
        count(*) FILTER (WHERE is_lost) AS losses,
        count(*) FILTER (WHERE is_lost AND is_disturbed) AS disturbed_losses,
        sum(CAST(reached_nano AS HUGEINT)) AS reached_nano,
        sum(CAST(lost_nano AS HUGEINT)) AS lost_nano,
        coalesce(sum(CAST(lost_nano AS HUGEINT)) FILTER (WHERE is_disturbed), 0)
            AS disturbed_nano
    FROM v1.task_evidence
    GROUP BY ALL
),

families AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        count(*) AS families,
        count(*) FILTER (WHERE passes > 0) AS family_passes,
        count(*) FILTER (WHERE is_lost) AS family_losses,
        CAST(sum(worth_micro) AS BIGINT) AS worth_micro
    FROM v1.family_evidence
    GROUP BY ALL
)

SELECT
    sweep_id,
    model_id,
    quant_tag,
    tasks.tasks,
    tasks.passes,
    tasks.losses,
    families.families,
    families.family_passes,
    families.family_losses,
    families.worth_micro,
    CAST(
        least(families.worth_micro // 1000000, tasks.reached_nano // 1000000000) AS BIGINT
    ) AS proof_passes,
    CAST(
        greatest(tasks.losses, (tasks.lost_nano + 999999999) // 1000000000) AS BIGINT
    ) AS proof_losses,
    CAST(
        greatest(
            tasks.losses - tasks.disturbed_losses,
            (tasks.lost_nano - tasks.disturbed_nano + 999999999) // 1000000000
        ) AS BIGINT
    ) AS sure_losses
FROM tasks
INNER JOIN families USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.evidence_count IS 'The passes and losses that a proof counts. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.evidence_count.tasks IS 'Distinct tasks behind them';
COMMENT ON COLUMN v1.evidence_count.passes IS 'Of these, passed by the reference or without its verdict';
COMMENT ON COLUMN v1.evidence_count.losses IS 'Of these, lost by this quant or without a verdict on both sides';
COMMENT ON COLUMN v1.evidence_count.families IS 'Families of tasks';
COMMENT ON COLUMN v1.evidence_count.family_passes IS 'Of these, with a task that the reference passes';
COMMENT ON COLUMN v1.evidence_count.family_losses IS 'Of these, where more tasks are lost than the threshold allows';
COMMENT ON COLUMN v1.evidence_count.worth_micro IS 'Tasks of their own that say as much as the passes, 1e-6';
COMMENT ON COLUMN v1.evidence_count.proof_passes IS 'Passes that a proof counts: no more than the adherence of the reference sums up to, nor than these tasks of few families are worth';
COMMENT ON COLUMN v1.evidence_count.proof_losses IS 'Losses that a proof counts: no fewer than the adherence lost sums up to';
COMMENT ON COLUMN v1.evidence_count.sure_losses IS 'Those losses without the tasks whose run was only disturbed';

-- Grain: sweep x model x quant x family of tasks that is evidence on this quant.
-- Inputs: v1.task_evidence, v1.policy, v1.family_table.
-- Rules: tasks of one family are worth fewer tasks of their own (v1.family_table).

CREATE VIEW v1.family_evidence AS
WITH families AS (
    SELECT
        evidence.sweep_id,
        evidence.model_id,
        evidence.quant_tag,
        evidence.family,
        policy.adherence_threshold_ppm,
        policy.family_correlation_ppm,
        count(*) FILTER (WHERE evidence.counts) AS passes,
        count(*) FILTER (WHERE evidence.is_lost) AS losses
    FROM v1.task_evidence AS evidence
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    GROUP BY ALL
)

SELECT
    families.sweep_id,
    families.model_id,
    families.quant_tag,
    families.family,
    families.passes,
    families.losses,
    v1.exceeds_ppm(
        families.losses, families.passes, 1000000 - families.adherence_threshold_ppm
    ) AS is_lost,
    coalesce(worth.worth_micro, 0) AS worth_micro
FROM families
LEFT JOIN v1.family_table AS worth
    ON worth.adherence_threshold_ppm = families.adherence_threshold_ppm
    AND worth.family_correlation_ppm = families.family_correlation_ppm
    AND worth.tasks = families.passes;

COMMENT ON VIEW v1.family_evidence IS 'What each family of tasks says of whether a quant keeps the threshold. One row per sweep, model, quant and family.';
COMMENT ON COLUMN v1.family_evidence.family IS 'Family; the task itself where none is declared';
COMMENT ON COLUMN v1.family_evidence.passes IS 'Tasks of it that the reference passes, or may have passed';
COMMENT ON COLUMN v1.family_evidence.losses IS 'Of these, lost by this quant';
COMMENT ON COLUMN v1.family_evidence.is_lost IS 'More of them are lost than the threshold allows';
COMMENT ON COLUMN v1.family_evidence.worth_micro IS 'Tasks of their own that say as much as these passes, 1e-6';

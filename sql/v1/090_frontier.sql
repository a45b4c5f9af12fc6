-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.quant_comparison, v1.policy, v1.reason.
-- Rules: adherence is the gate. A quant is eligible when it is covered, its rank is known,
-- its adherence keeps adherence_threshold of the baseline quant's, and its mean wall time
-- stays within the ceiling. Quants that are not covered are not compared: they did other
-- work. Pareto-optimal over adherence, latency and memory among covered quants; exact ties
-- all stay. All comparisons are exact: fractions are cross-multiplied.

CREATE VIEW v1.frontier AS
WITH quants AS (
    SELECT
        quants.*,
        comparison.baseline_quant_tag,
        comparison.is_baseline_quant,
        comparison.baseline_shifted,
        comparison.output_length_differs,
        policy.adherence_threshold_ppm,
        policy.latency_ceiling_ns,
        policy.utility_formula,
        coalesce(comparison.baseline_adherence_sum_nano, 0) > 0 AS has_baseline_adherence,
        -- own / baseline >= threshold
        CAST(quants.adherence_sum_nano AS HUGEINT) * comparison.baseline_adherence_tasks
        * 1000000
        >= comparison.baseline_adherence_sum_nano * quants.adherence_tasks
        * policy.adherence_threshold_ppm AS keeps_adherence,
        quants.latency_sum_ns
        <= CAST(policy.latency_ceiling_ns AS HUGEINT) * quants.latency_tasks
            AS within_ceiling,
        CAST(
            (CAST(quants.adherence_sum_nano AS HUGEINT)
            * comparison.baseline_adherence_tasks * 1000000)
            // nullif(comparison.baseline_adherence_sum_nano * quants.adherence_tasks, 0)
            AS BIGINT
        ) AS kept_adherence_ppm
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
),

signals AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest([
            {
                'signal': 'adherence_below',
                'holds': is_covered AND has_baseline_adherence
                AND NOT coalesce(keeps_adherence, false)
            },
            {
                'signal': 'latency_above',
                'holds': is_covered AND NOT coalesce(within_ceiling, false)
            },
            {'signal': 'no_baseline_adherence', 'holds': NOT has_baseline_adherence},
            {'signal': 'run_failures', 'holds': unsolved_tasks > 0},
            {'signal': 'uncovered', 'holds': NOT is_covered},
            {'signal': 'unknown_quant', 'holds': NOT rank_known}
        ], recursive := true)
    FROM quants
),

reasons AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        coalesce(list(code ORDER BY code) FILTER (WHERE holds), []) AS ineligible_reasons
    FROM signals
    INNER JOIN v1.reason AS reason USING (signal)
    WHERE reason.scope = 'quant'
    GROUP BY ALL
),

gated AS (
    SELECT quants.*, reasons.ineligible_reasons
    FROM quants
    INNER JOIN reasons USING (sweep_id, model_id, quant_tag)
),

axes AS (
    -- Memory is an axis only where all covered quants have it from one source.
    SELECT
        *,
        CASE
            WHEN
                bool_and(peak_memory_bytes IS NOT NULL) FILTER (WHERE is_covered) OVER session
                AND count(DISTINCT memory_source) FILTER (WHERE is_covered) OVER session = 1
                THEN 'peak_memory'
            WHEN bool_and(model_bytes IS NOT NULL) FILTER (WHERE is_covered) OVER session
                THEN 'model_bytes'
        END AS memory_axis
    FROM gated
    WINDOW session AS (PARTITION BY sweep_id, model_id)
),

points AS (
    SELECT
        *,
        is_covered AND adherence_sum_nano IS NOT NULL AND latency_sum_ns IS NOT NULL
            AS has_point,
        CASE
            WHEN memory_axis = 'peak_memory' THEN peak_memory_bytes
            WHEN memory_axis = 'model_bytes' THEN model_bytes
            ELSE 0
        END AS point_bytes
    FROM axes
),

dominated AS (
    SELECT DISTINCT sweep_id, model_id, own.quant_tag
    FROM points AS own
    INNER JOIN points AS other USING (sweep_id, model_id)
    WHERE
        other.quant_tag <> own.quant_tag
        AND own.has_point AND other.has_point
        AND other.adherence_sum_nano * own.adherence_tasks
        >= own.adherence_sum_nano * other.adherence_tasks
        AND other.latency_sum_ns * own.latency_tasks
        <= own.latency_sum_ns * other.latency_tasks
        AND other.point_bytes <= own.point_bytes
        AND (
            other.adherence_sum_nano * own.adherence_tasks
            > own.adherence_sum_nano * other.adherence_tasks
            OR other.latency_sum_ns * own.latency_tasks
            < own.latency_sum_ns * other.latency_tasks
            OR other.point_bytes < own.point_bytes
        )
),

non_monotone AS (
    SELECT DISTINCT sweep_id, model_id, own.quant_tag
    FROM points AS own
    INNER JOIN points AS other USING (sweep_id, model_id)
    WHERE
        other.quant_rank > own.quant_rank
        AND own.is_covered AND own.has_baseline_adherence AND own.keeps_adherence
        AND other.is_covered AND NOT coalesce(other.keeps_adherence, false)
),

-- Fractions are compared as products of integers. The first difference decides: utility
-- (adherence / latency), adherence, latency, precision, name.
better AS (
    SELECT
        sweep_id,
        model_id,
        own.quant_tag,
        count(*) FILTER (
            WHERE
            row(
                other.adherence_sum_nano * own.adherence_tasks
                * (own.latency_sum_ns * other.latency_tasks),
                other.adherence_sum_nano * own.adherence_tasks,
                -other.latency_sum_ns * own.latency_tasks,
                other.quant_rank,
                own.quant_tag
            ) > row(
                own.adherence_sum_nano * other.adherence_tasks
                * (other.latency_sum_ns * own.latency_tasks),
                own.adherence_sum_nano * other.adherence_tasks,
                -own.latency_sum_ns * other.latency_tasks,
                own.quant_rank,
                other.quant_tag
            )
        ) AS better_quants
    FROM points AS own
    INNER JOIN points AS other USING (sweep_id, model_id)
    WHERE len(own.ineligible_reasons) = 0 AND len(other.ineligible_reasons) = 0
    GROUP BY ALL
),

noted AS (
    SELECT
        sweep_id,
        model_id,
        points.quant_tag,
        unnest([
            {'signal': 'baseline_shifted', 'holds': points.baseline_shifted},
            {'signal': 'non_monotone', 'holds': non_monotone.quant_tag IS NOT NULL},
            {'signal': 'output_length_differs', 'holds': points.output_length_differs}
        ], recursive := true)
    FROM points
    LEFT JOIN non_monotone USING (sweep_id, model_id, quant_tag)
),

notes AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        coalesce(list(code) FILTER (WHERE holds), []) AS advisories
    FROM noted
    INNER JOIN v1.reason AS reason USING (signal)
    WHERE reason.scope = 'quant'
    GROUP BY ALL
)

SELECT
    points.sweep_id,
    points.model_id,
    points.quant_tag,
    points.quant_rank,
    points.baseline_quant_tag,
    points.is_baseline_quant,
    len(points.ineligible_reasons) = 0 AS is_eligible,
    points.ineligible_reasons,
    list_sort(list_concat(points.advisories, notes.advisories)) AS advisories,
    points.is_covered,
    points.is_fillable,
    points.keeps_adherence,
    points.within_ceiling,
    points.kept_adherence_ppm,
    points.adherence_sum_nano,
    points.adherence_tasks,
    points.adherence_nano,
    points.latency_sum_ns,
    points.latency_tasks,
    points.total_latency_ns,
    points.has_point AND dominated.quant_tag IS NULL AS is_pareto_optimal,
    CASE
        WHEN points.memory_axis IS NULL THEN ['adherence', 'latency']
        ELSE ['adherence', 'latency', points.memory_axis]
    END AS pareto_axes,
    points.utility_formula,
    -- nano adherence per ns = adherence per second; to 1e-6.
    CAST(
        v1.scaled(
            points.adherence_sum_nano * points.latency_tasks,
            points.latency_sum_ns * points.adherence_tasks,
            1000000
        ) AS BIGINT
    ) AS utility_micro,
    better.better_quants + 1 AS utility_rank
FROM points
INNER JOIN notes USING (sweep_id, model_id, quant_tag)
LEFT JOIN dominated USING (sweep_id, model_id, quant_tag)
LEFT JOIN better USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.frontier IS 'Which quants are eligible, which are Pareto-optimal, and what each is worth. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.frontier.quant_rank IS 'Precision rank, 1 = least precise';
COMMENT ON COLUMN v1.frontier.baseline_quant_tag IS 'Baseline quant of the sweep';
COMMENT ON COLUMN v1.frontier.is_baseline_quant IS 'This quant is it';
COMMENT ON COLUMN v1.frontier.is_eligible IS 'Passes the gate';
COMMENT ON COLUMN v1.frontier.ineligible_reasons IS 'Why not, sorted';
COMMENT ON COLUMN v1.frontier.is_covered IS 'Every task has enough valid runs';
COMMENT ON COLUMN v1.frontier.keeps_adherence IS 'Keeps adherence_threshold of the baseline quant''s adherence';
COMMENT ON COLUMN v1.frontier.within_ceiling IS 'Mean wall time within the ceiling';
COMMENT ON COLUMN v1.frontier.kept_adherence_ppm IS 'Own adherence / the baseline quant''s, rounded down, ppm';
COMMENT ON COLUMN v1.frontier.adherence_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.frontier.latency_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.frontier.total_latency_ns IS 'Mean wall time, ns';
COMMENT ON COLUMN v1.frontier.is_pareto_optimal IS 'No covered quant is at least as good on every axis and better on one';
COMMENT ON COLUMN v1.frontier.pareto_axes IS 'The axes: memory is dropped where it is not known for all from one source';
COMMENT ON COLUMN v1.frontier.utility_formula IS 'The formula of the utility';
COMMENT ON COLUMN v1.frontier.utility_micro IS 'Adherence per second, 1e-6';
COMMENT ON COLUMN v1.frontier.utility_rank IS '1 = best value among eligible quants, ties broken to the last; NULL if not eligible';

-- Grain: sweep x model x quant.
-- Inputs: v1.quant_aggregate, v1.quant_comparison, v1.quant, v1.policy, v1.reason.
-- Rules: adherence is the gate. A quant is eligible when it is judged on enough of the
-- reference's tasks, its rank is known, its adherence over these keeps
-- adherence_threshold of the reference's, and its mean wall time stays within the
-- ceiling. Under quality_only no time is judged. Pareto-optimal over adherence, latency
-- and memory among judged quants; exact ties all stay. Utility is relative to the reference
-- over the tasks of both, by the median wall time of each task, so that a straggler
-- decides nothing. All comparisons are exact: fractions are cross-multiplied.

CREATE VIEW v1.frontier AS
WITH quants AS (
    SELECT
        quants.*,
        identity.size_rank,
        identity.planned_bytes,
        identity.has_levels,
        comparison.baseline_quant_tag,
        comparison.is_baseline_quant,
        comparison.baseline_shifted,
        comparison.output_length_differs,
        comparison.is_judged,
        comparison.paired_adherence_sum_nano,
        comparison.paired_baseline_adherence_sum_nano,
        policy.adherence_threshold_ppm,
        policy.latency_ceiling_ns,
        policy.utility_formula,
        policy.quality_only,
        -- One that does no task in full is no yardstick: half a check is no work to keep.
        coalesce(comparison.baseline_passed_tasks, 0) > 0 AS has_baseline_adherence,
        -- own / baseline >= threshold
        CAST(comparison.paired_adherence_sum_nano AS HUGEINT) * 1000000
        >= comparison.paired_baseline_adherence_sum_nano * policy.adherence_threshold_ppm
            AS keeps_adherence,
        quants.adherence_tasks > 0 AS has_adherence,
        -- Over fewer tasks than those that were run it would be another figure.
        quants.latency_tasks > 0 AND quants.latency_tasks >= quants.covered_tasks
            AS has_latency,
        if(
            quants.latency_tasks >= quants.covered_tasks,
            quants.latency_sum_ns
            <= CAST(policy.latency_ceiling_ns AS HUGEINT) * quants.latency_tasks,
            NULL
        ) AS within_ceiling,
        CAST(
            (comparison.paired_adherence_sum_nano * 1000000)
            // nullif(comparison.paired_baseline_adherence_sum_nano, 0) AS BIGINT
        ) AS kept_adherence_ppm,
        -- To 1e-9 of the reference: a closer race is a tie.
        v1.scaled(
            comparison.paired_adherence_sum_nano,
            comparison.paired_baseline_adherence_sum_nano,
            1000000000
        ) AS relative_adherence,
        v1.scaled(
            comparison.paired_typical_sum_ns,
            comparison.paired_baseline_typical_sum_ns,
            1000000000
        ) AS relative_latency
    FROM v1.quant_aggregate AS quants
    INNER JOIN v1.quant_comparison AS comparison USING (sweep_id, model_id, quant_tag)
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.quant AS identity USING (sweep_id, model_id, quant_tag)
),

signals AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        unnest([
            {
                'signal': 'adherence_below',
                'holds': is_judged AND has_baseline_adherence AND keeps_adherence IS FALSE
            },
            {'signal': 'adherence_unknown', 'holds': is_covered AND NOT has_adherence},
            {
                'signal': 'latency_above',
                'holds': is_judged AND NOT quality_only AND within_ceiling IS FALSE
            },
            {
                'signal': 'latency_unknown',
                'holds': is_judged AND NOT quality_only AND NOT has_latency
            },
            {'signal': 'no_baseline_adherence', 'holds': NOT has_baseline_adherence},
            {'signal': 'run_failures', 'holds': unsolved_tasks > 0},
            {
                'signal': 'uncovered',
                'holds': NOT is_judged AND (has_adherence OR NOT is_covered)
            },
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
    -- Memory is an axis only where all judged quants have it from one source.
    SELECT
        *,
        CASE
            WHEN
                bool_and(peak_memory_bytes IS NOT NULL) FILTER (WHERE is_judged) OVER session
                AND count(DISTINCT memory_source) FILTER (WHERE is_judged) OVER session = 1
                THEN 'peak_memory'
            -- Where levels differ, weights alone are not the memory.
            WHEN has_levels THEN if(
                bool_and(planned_bytes IS NOT NULL) FILTER (WHERE is_judged) OVER session,
                'planned_memory',
                NULL
            )
            WHEN bool_and(model_bytes IS NOT NULL) FILTER (WHERE is_judged) OVER session
                THEN 'model_bytes'
        END AS memory_axis
    FROM gated
    WINDOW session AS (PARTITION BY sweep_id, model_id)
),

points AS (
    SELECT
        *,
        is_judged AND has_adherence AND has_latency AS has_point,
        CASE
            WHEN memory_axis = 'peak_memory' THEN peak_memory_bytes
            WHEN memory_axis = 'planned_memory' THEN planned_bytes
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
        AND own.is_judged AND own.has_baseline_adherence AND own.keeps_adherence
        AND other.is_judged AND other.keeps_adherence IS FALSE
),

-- Utility = adherence / latency; without times it is the adherence, then the smaller.
ranked AS (
    SELECT
        sweep_id,
        model_id,
        quant_tag,
        row_number() OVER (
            PARTITION BY sweep_id, model_id
            ORDER BY
                if(
                    quality_only,
                    NULL,
                    v1.scaled(relative_adherence, relative_latency, 1000000000)
                ) DESC,
                relative_adherence DESC,
                if(quality_only, NULL, relative_latency),
                if(quality_only, -size_rank, size_rank) DESC,
                quant_tag
        ) AS utility_rank
    FROM points
    WHERE len(ineligible_reasons) = 0
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
    points.size_rank,
    points.baseline_quant_tag,
    points.is_baseline_quant,
    len(points.ineligible_reasons) = 0 AS is_eligible,
    points.ineligible_reasons,
    list_sort(list_concat(points.advisories, notes.advisories)) AS advisories,
    points.is_covered,
    points.is_judged,
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
    if(points.has_point, dominated.quant_tag IS NULL, NULL) AS is_pareto_optimal,
    CASE
        WHEN points.memory_axis IS NULL THEN ['adherence', 'latency']
        ELSE ['adherence', 'latency', points.memory_axis]
    END AS pareto_axes,
    points.utility_formula,
    -- nano adherence per ns = adherence per second; to 1e-6.
    TRY_CAST(
        v1.scaled(
            points.adherence_sum_nano * points.latency_tasks,
            points.typical_latency_sum_ns * points.adherence_tasks,
            1000000
        ) AS BIGINT
    ) AS utility_micro,
    ranked.utility_rank
FROM points
INNER JOIN notes USING (sweep_id, model_id, quant_tag)
LEFT JOIN dominated USING (sweep_id, model_id, quant_tag)
LEFT JOIN ranked USING (sweep_id, model_id, quant_tag);

COMMENT ON VIEW v1.frontier IS 'Which quants are eligible, which are Pareto-optimal, and what each is worth. One row per sweep, model and quant.';
COMMENT ON COLUMN v1.frontier.quant_rank IS 'Precision rank, 1 = least precise';
COMMENT ON COLUMN v1.frontier.size_rank IS 'Place by memory, 1 = smallest: the precision rank unless levels differ';
COMMENT ON COLUMN v1.frontier.baseline_quant_tag IS 'Baseline quant of the sweep';
COMMENT ON COLUMN v1.frontier.is_baseline_quant IS 'This quant is it';
COMMENT ON COLUMN v1.frontier.is_eligible IS 'Passes the gate';
COMMENT ON COLUMN v1.frontier.ineligible_reasons IS 'Why not, sorted';
COMMENT ON COLUMN v1.frontier.is_covered IS 'Every task has enough valid runs';
COMMENT ON COLUMN v1.frontier.is_judged IS 'Enough tasks with a verdict here and under the reference';
COMMENT ON COLUMN v1.frontier.keeps_adherence IS 'Keeps adherence_threshold of the reference''s adherence';
COMMENT ON COLUMN v1.frontier.within_ceiling IS 'Mean wall time within the ceiling';
COMMENT ON COLUMN v1.frontier.kept_adherence_ppm IS 'Own adherence / the reference''s over the tasks of both, rounded down, ppm';
COMMENT ON COLUMN v1.frontier.adherence_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.frontier.latency_tasks IS 'Tasks behind it';
COMMENT ON COLUMN v1.frontier.total_latency_ns IS 'Mean wall time, ns';
COMMENT ON COLUMN v1.frontier.is_pareto_optimal IS 'No judged quant is at least as good on every axis and better on one; NULL where it was not compared';
COMMENT ON COLUMN v1.frontier.pareto_axes IS 'The axes: memory is dropped where it is not known for all from one source';
COMMENT ON COLUMN v1.frontier.utility_formula IS 'The formula of the utility';
COMMENT ON COLUMN v1.frontier.utility_micro IS 'Adherence per second of median wall time, 1e-6';
COMMENT ON COLUMN v1.frontier.utility_rank IS '1 = best value among eligible quants, ties broken to the last; NULL if not eligible';

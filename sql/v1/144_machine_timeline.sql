-- Grain: sweep x slot of time x model x quant x phase.
-- Inputs: v1.attempts, v1.run_quality, v1.reason.
-- Rules: what the machine did while the sweep ran. Executors of a resumed sweep stand one
-- after the other, without the time between them; each reads its own monotonic clock, so
-- that a call without a clock has no place. The time is cut into 240 slots of equal length
-- (as many as a picture can show); a call belongs to the slot of its start. Of several
-- readings in a slot the worst is shown. A counter that nobody read is NULL.

CREATE VIEW v1.machine_timeline AS
WITH calls AS (
    SELECT
        attempts.*,
        quality.run_quality_status,
        quality.foreign_cpu_micro,
        quality.steal_micro,
        quality.memory_pressure_micro,
        quality.thermal_throttled_micro,
        list_contains(quality.run_quality_reasons, reason.code) AS has_stalled
    FROM v1.attempts AS attempts
    INNER JOIN v1.run_quality AS quality USING (sweep_id, attempt_id)
    CROSS JOIN (
        SELECT code FROM v1.reason WHERE scope = 'run' AND signal = 'server_stalled'
    ) AS reason
    WHERE attempts.started_ns IS NOT NULL AND attempts.ended_ns >= attempts.started_ns
),

executors AS (
    SELECT
        sweep_id,
        executor_started_at,
        min(started_ns) AS first_ns,
        CAST(max(ended_ns) AS HUGEINT) - min(started_ns) AS span_ns
    FROM calls
    GROUP BY ALL
),

clocks AS (
    SELECT
        *,
        sum(span_ns) OVER (PARTITION BY sweep_id ORDER BY executor_started_at) - span_ns
            AS offset_ns,
        sum(span_ns) OVER (PARTITION BY sweep_id) AS total_ns
    FROM executors
),

placed AS (
    SELECT
        calls.*,
        clocks.total_ns,
        clocks.offset_ns + calls.started_ns - clocks.first_ns AS from_ns,
        clocks.offset_ns + calls.ended_ns - clocks.first_ns AS to_ns
    FROM calls
    INNER JOIN clocks USING (sweep_id, executor_started_at)
)

SELECT
    sweep_id,
    CAST(least(from_ns * 240 // greatest(total_ns, 1), 239) AS BIGINT) AS slot,
    model_id,
    quant_tag,
    phase,
    CAST(min(from_ns) AS BIGINT) AS from_ns,
    CAST(max(to_ns) AS BIGINT) AS to_ns,
    count(*) AS calls,
    count(*) FILTER (WHERE run_quality_status = 'POLLUTED') AS polluted_calls,
    count(*) FILTER (WHERE has_stalled) AS stalled_calls,
    max(foreign_cpu_micro) AS foreign_cpu_micro,
    max(steal_micro) AS steal_micro,
    max(memory_pressure_micro) AS memory_pressure_micro,
    max(thermal_throttled_micro) AS thermal_throttled_micro,
    max(greatest(before.load1_milli, after.load1_milli)) AS load1_milli,
    max(greatest(before.gpu_temperature_milli_c, after.gpu_temperature_milli_c))
        AS gpu_temperature_milli_c,
    min(least(before.cpu_frequency_khz, after.cpu_frequency_khz)) AS cpu_frequency_khz
FROM placed
GROUP BY ALL;

COMMENT ON VIEW v1.machine_timeline IS 'What the machine did while the sweep ran. One row per sweep, slot of time, model, quant and phase.';
COMMENT ON COLUMN v1.machine_timeline.slot IS 'Place in the sweep, from 0 to 239';
COMMENT ON COLUMN v1.machine_timeline.phase IS 'warmup, canary, matrix or anchor';
COMMENT ON COLUMN v1.machine_timeline.from_ns IS 'First start of a call since the start of the sweep, ns';
COMMENT ON COLUMN v1.machine_timeline.to_ns IS 'Last end of these, ns';
COMMENT ON COLUMN v1.machine_timeline.calls IS 'Calls';
COMMENT ON COLUMN v1.machine_timeline.polluted_calls IS 'Of these, polluted';
COMMENT ON COLUMN v1.machine_timeline.stalled_calls IS 'Of these, with a server that stood still';
COMMENT ON COLUMN v1.machine_timeline.load1_milli IS 'Load average of one minute, the highest, 1/1000';
COMMENT ON COLUMN v1.machine_timeline.gpu_temperature_milli_c IS 'Temperature of the GPU, the highest, 1/1000 degrees Celsius';
COMMENT ON COLUMN v1.machine_timeline.cpu_frequency_khz IS 'Mean frequency of the CPUs, the lowest, kHz';

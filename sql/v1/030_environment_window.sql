-- Grain: attempt.
-- Inputs: v1.attempts, v1.policy, v1.telemetry.
-- Rules: CPU clocks tick at 10 ms, so a run of at least counter_window_ns is its own
-- window. Shorter ones share a window of their block: the slots of that length from the
-- block's first start, and an incomplete last slot joins the one before. A window spans
-- from its first start to its last end; its deltas are the last reading after minus the
-- first reading before. A run without a clock (an import) is a window of its own, of
-- unknown length. A counter that is missing or ran backwards gives NULL: that is
-- an error of the sensor, not of the run.

CREATE VIEW v1.environment_window AS
WITH timed AS (
    SELECT
        attempts.sweep_id,
        attempts.attempt_id,
        attempts.executor_started_at,
        attempts.retry_pass,
        attempts.block_index,
        attempts.order_index,
        attempts.started_ns,
        attempts.ended_ns,
        telemetry.internal_ns,
        policy.counter_window_ns,
        coalesce(
            CAST(attempts.ended_ns AS HUGEINT) - attempts.started_ns >= policy.counter_window_ns, true
        ) AS is_own
    FROM v1.attempts AS attempts
    INNER JOIN v1.policy AS policy USING (sweep_id, model_id)
    INNER JOIN v1.telemetry AS telemetry USING (sweep_id, attempt_id)
),

-- Of blocks with a shared window. Grouped: windows of SQL would sort every run.
blocks AS (
    SELECT
        sweep_id,
        executor_started_at,
        retry_pass,
        block_index,
        min(started_ns) AS block_start_ns,
        max(ended_ns) FILTER (WHERE NOT is_own) AS block_end_ns
    FROM timed
    GROUP BY ALL
    HAVING NOT bool_and(is_own)
),

slots AS (
    SELECT
        timed.*,
        blocks.block_start_ns,
        blocks.block_end_ns,
        (CAST(timed.started_ns AS HUGEINT) - blocks.block_start_ns)
        // nullif(timed.counter_window_ns, 0) AS slot
    FROM timed
    INNER JOIN blocks USING (sweep_id, executor_started_at, retry_pass, block_index)
    WHERE NOT timed.is_own
),

lasts AS (
    SELECT
        sweep_id,
        executor_started_at,
        retry_pass,
        block_index,
        list_reverse_sort(list(DISTINCT slot)) AS slots_from_last
    FROM slots
    WHERE slot IS NOT NULL
    GROUP BY ALL
),

named AS (
    SELECT
        slots.*,
        'block:'
        || CAST(block_index AS VARCHAR)
        || '/'
        || CAST(retry_pass AS VARCHAR)
        || ':'
        || CAST(
            CASE
                WHEN
                    slot = slots_from_last[1]
                    AND slots_from_last[2] IS NOT NULL
                    AND block_end_ns
                    < block_start_ns + (CAST(slot AS HUGEINT) + 1) * counter_window_ns
                    THEN slots_from_last[2]
                ELSE slot
            END AS VARCHAR
        ) AS window_id
    FROM slots
    INNER JOIN lasts USING (sweep_id, executor_started_at, retry_pass, block_index)
),

spans AS (
    SELECT
        sweep_id,
        executor_started_at,
        window_id,
        count(*) AS window_runs,
        CAST(max(ended_ns) AS HUGEINT) - min(started_ns) AS window_ns,
        first(attempt_id ORDER BY started_ns, order_index, attempt_id) AS opened_by,
        first(attempt_id ORDER BY ended_ns DESC, order_index DESC, attempt_id DESC)
            AS closed_by,
        -- One unknown internal time makes the sum unknown.
        CASE WHEN count(internal_ns) = count(*) THEN sum(internal_ns) END
            AS window_internal_ns
    FROM named
    GROUP BY sweep_id, executor_started_at, window_id
),

-- Joined by the run: to carry all its counters through the groups costs more.
read AS (
    SELECT
        spans.* EXCLUDE (opened_by, closed_by),
        opening.before AS opened,
        closing.after AS closed
    FROM spans
    INNER JOIN v1.attempts AS opening
        ON opening.sweep_id = spans.sweep_id AND opening.attempt_id = spans.opened_by
    INNER JOIN v1.attempts AS closing
        ON closing.sweep_id = spans.sweep_id AND closing.attempt_id = spans.closed_by
),

windows AS (
    SELECT
        timed.sweep_id,
        timed.attempt_id,
        timed.counter_window_ns,
        'run:' || timed.attempt_id AS window_id,
        CAST(1 AS BIGINT) AS window_runs,
        CAST(timed.ended_ns AS HUGEINT) - timed.started_ns AS window_ns,
        attempts.before AS opened,
        attempts.after AS closed,
        timed.internal_ns AS window_internal_ns
    FROM timed
    INNER JOIN v1.attempts AS attempts USING (sweep_id, attempt_id)
    WHERE timed.is_own
    UNION ALL BY NAME
    SELECT
        named.sweep_id,
        named.attempt_id,
        named.counter_window_ns,
        read.* EXCLUDE (sweep_id, executor_started_at)
    FROM named
    INNER JOIN read USING (sweep_id, executor_started_at, window_id)
),

deltas AS (
    SELECT
        sweep_id,
        attempt_id,
        counter_window_ns,
        window_id,
        window_runs,
        window_ns,
        window_internal_ns,
        CAST(closed.host_total_ns AS HUGEINT) - opened.host_total_ns AS host_total_ns,
        CAST(closed.host_busy_ns AS HUGEINT) - opened.host_busy_ns AS host_busy_ns,
        CAST(closed.host_steal_ns AS HUGEINT) - opened.host_steal_ns AS host_steal_ns,
        CAST(closed.server_cpu_ns AS HUGEINT) - opened.server_cpu_ns AS server_cpu_ns,
        CAST(closed.client_cpu_ns AS HUGEINT) - opened.client_cpu_ns AS client_cpu_ns,
        CAST(closed.psi_memory_full_us AS HUGEINT) - opened.psi_memory_full_us AS psi_memory_full_us,
        CAST(closed.cgroup_throttled_ns AS HUGEINT) - opened.cgroup_throttled_ns AS quota_throttled_ns,
        CAST(closed.swap_in_bytes AS HUGEINT) - opened.swap_in_bytes AS swap_in_bytes,
        CAST(closed.swap_out_bytes AS HUGEINT) - opened.swap_out_bytes AS swap_out_bytes,
        CAST(closed.server_major_faults AS HUGEINT) - opened.server_major_faults AS major_faults,
        CAST(closed.thermal_throttle_count AS HUGEINT) - opened.thermal_throttle_count AS thermal_count,
        CAST(closed.thermal_throttled_ns AS HUGEINT) - opened.thermal_throttled_ns AS thermal_ns
    FROM windows
)

SELECT
    sweep_id,
    attempt_id,
    window_id,
    window_runs,
    window_ns,
    window_ns < counter_window_ns AS is_short,
    TRY_CAST(window_internal_ns AS BIGINT) AS window_internal_ns,
    if(host_total_ns >= 0, host_total_ns, NULL) AS host_total_ns,
    if(host_busy_ns >= 0, host_busy_ns, NULL) AS host_busy_ns,
    if(host_steal_ns >= 0, host_steal_ns, NULL) AS host_steal_ns,
    if(server_cpu_ns >= 0, server_cpu_ns, NULL) AS server_cpu_ns,
    if(client_cpu_ns >= 0, client_cpu_ns, NULL) AS client_cpu_ns,
    if(psi_memory_full_us >= 0, psi_memory_full_us, NULL)
        AS psi_memory_full_us,
    if(quota_throttled_ns >= 0, quota_throttled_ns, NULL)
        AS quota_throttled_ns,
    if(
        swap_in_bytes >= 0 AND swap_out_bytes >= 0,
        swap_in_bytes + swap_out_bytes,
        NULL
    ) AS swap_bytes,
    if(major_faults >= 0, major_faults, NULL) AS major_faults,
    if(thermal_count >= 0, thermal_count, NULL) AS thermal_count,
    if(thermal_ns >= 0, thermal_ns, NULL) AS thermal_ns
FROM deltas;

COMMENT ON VIEW v1.environment_window IS 'Counter deltas of the window in which each run is judged. One row per attempt.';
COMMENT ON COLUMN v1.environment_window.window_id IS 'The window: run:<attempt>, or block:<block>/<retry pass>:<slot>';
COMMENT ON COLUMN v1.environment_window.window_runs IS 'Runs judged by this window';
COMMENT ON COLUMN v1.environment_window.window_ns IS 'First start to last end, ns';
COMMENT ON COLUMN v1.environment_window.is_short IS 'Shorter than counter_window_ns: a CPU share also needs an excess of CPU time';
COMMENT ON COLUMN v1.environment_window.window_internal_ns IS 'Model-internal time of all its runs, NULL if one is unknown, ns';
COMMENT ON COLUMN v1.environment_window.host_total_ns IS 'CPU time of all CPUs, ns';
COMMENT ON COLUMN v1.environment_window.host_busy_ns IS 'Of these, busy, ns';
COMMENT ON COLUMN v1.environment_window.host_steal_ns IS 'Of these, stolen by the hypervisor, ns';
COMMENT ON COLUMN v1.environment_window.server_cpu_ns IS 'CPU time of the server''s process tree, ns';
COMMENT ON COLUMN v1.environment_window.client_cpu_ns IS 'CPU time of the client''s process tree, ns';
COMMENT ON COLUMN v1.environment_window.psi_memory_full_us IS 'Time in which all tasks waited for memory, us';
COMMENT ON COLUMN v1.environment_window.quota_throttled_ns IS 'Time held back by a CPU quota, ns';
COMMENT ON COLUMN v1.environment_window.swap_bytes IS 'Swap traffic, bytes';
COMMENT ON COLUMN v1.environment_window.major_faults IS 'Major faults of the server';
COMMENT ON COLUMN v1.environment_window.thermal_count IS 'Thermal throttle events';
COMMENT ON COLUMN v1.environment_window.thermal_ns IS 'Time throttled for heat, ns';

-- Grain: sweep x model, of adaptive sweeps that finished.
-- Inputs: v1.next_round, raw.sweeps, raw.events.
-- Rules: why a sweep by rounds asked no more, as a code of v1.stop_reason: the
-- word of v1.next_round, and where that would go on, what the executor ended by. A sweep
-- that goes on, or was taken up and broken off since, has no row.

CREATE VIEW v1.stop AS
WITH ends AS (
    SELECT
        sweep_id,
        first(event ORDER BY recorded_at DESC, event_id DESC) AS event,
        first(reason ORDER BY recorded_at DESC, event_id DESC) AS reason,
        max(recorded_at) AS recorded_at
    FROM raw.events
    WHERE event IN ('SWEEP_FINISHED', 'SWEEP_ABORTED')
    GROUP BY sweep_id
),

begun AS (
    SELECT sweep_id, max(started_at) AS started_at
    FROM raw.sweeps
    GROUP BY sweep_id
)

SELECT
    sweep_id,
    model_id,
    if(round.answer = 'ASK', ends.reason, round.answer) AS code
FROM v1.next_round AS round
INNER JOIN ends USING (sweep_id)
INNER JOIN begun USING (sweep_id)
WHERE ends.event = 'SWEEP_FINISHED' AND ends.recorded_at >= begun.started_at;

COMMENT ON VIEW v1.stop IS 'Why an adaptive sweep asked no more. One row per sweep that finished and model.';
COMMENT ON COLUMN v1.stop.code IS 'A code of v1.stop_reason; NULL where what ended it is not recorded';

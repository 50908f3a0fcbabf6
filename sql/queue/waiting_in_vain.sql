-- Visits that wait in runs of the queue, and are to end unread: because the time of the run is over, or because their
-- hosts said nothing and nothing else is left of the run. One that begins or ends at this moment is left alone: whoever
-- ends several must not wait for whoever ends one, which waits for the run.
SELECT visit.fleet_run_id AS fleet_run, visit.member, visit.reason, visit.mend
FROM pgwatch_wed_history.fleet_visits visit
JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
WHERE run.ended_at IS NULL
    AND run.settings ->> 'engine' = 'queue'
    AND visit.ending IS NULL
    AND visit.began_at IS NULL
    AND CASE %(because)s
        WHEN 'time' THEN
            run.began_at + (run.settings ->> 'budget_s')::double precision * interval '1 second' < clock_timestamp()
        WHEN 'silence' THEN
            visit.reason ~* %(silence)s
            AND NOT EXISTS (
                SELECT
                FROM pgwatch_wed_history.fleet_visits other
                WHERE other.fleet_run_id = visit.fleet_run_id
                    AND other.ending IS NULL
                    AND (other.began_at IS NOT NULL OR other.reason !~* %(silence)s)
            )
    END
ORDER BY visit.fleet_run_id, visit.member
FOR UPDATE OF visit SKIP LOCKED

-- Visits that wait in runs of the queue whose time is over. One that begins or ends at this moment is left to the next
-- round: whoever ends several must not wait for whoever ends one, which waits for the run.
SELECT visit.fleet_run_id AS fleet_run, visit.member, visit.reason
FROM pgwatch_wed_history.fleet_visits visit
JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
WHERE run.ended_at IS NULL
    AND run.settings ->> 'engine' = 'queue'
    AND visit.ending IS NULL
    AND visit.began_at IS NULL
    AND run.began_at + (run.settings ->> 'budget_s')::double precision * interval '1 second' < clock_timestamp()
FOR UPDATE OF visit SKIP LOCKED

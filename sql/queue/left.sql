-- Visits of the queue's runs that have not ended.
SELECT count(*) AS visits
FROM pgwatch_wed_history.fleet_visits visit
JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
WHERE run.ended_at IS NULL AND run.settings ->> 'engine' = 'queue' AND visit.ending IS NULL

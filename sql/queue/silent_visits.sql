-- Visits under way of which nothing has been heard for too long, with the seconds since then.
SELECT
    visit.fleet_run_id AS fleet_run,
    visit.member,
    visit.worker,
    visit.attempts,
    extract(epoch FROM clock_timestamp() - visit.heartbeat_at)::double precision AS silent_s
FROM pgwatch_wed_history.fleet_visits visit
JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
WHERE run.ended_at IS NULL
    AND visit.ending IS NULL
    AND visit.began_at IS NOT NULL
    AND visit.heartbeat_at < clock_timestamp() - %(lost_after)s
ORDER BY visit.fleet_run_id, visit.member

-- Visits that have not ended, that nobody makes, and for which no job waits: the queue lost them.
SELECT visit.fleet_run_id AS fleet_run, visit.member
FROM pgwatch_wed_history.fleet_visits visit
JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
WHERE run.ended_at IS NULL
    AND run.settings ->> 'engine' = 'queue'
    AND visit.ending IS NULL
    AND (visit.began_at IS NULL OR visit.heartbeat_at < clock_timestamp() - %(lost_after)s)
    AND NOT EXISTS (
        SELECT
        FROM procrastinate_jobs job
        WHERE job.task_name = 'visit'
            AND job.status IN ('todo', 'doing')
            AND (job.args ->> 'fleet_run')::bigint = visit.fleet_run_id
            AND (job.args ->> 'member' = visit.member OR job.args -> 'others' ? visit.member)
    )
ORDER BY visit.fleet_run_id, visit.member

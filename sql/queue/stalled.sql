-- Jobs of which nothing has been heard for too long: neither their beginning nor a heartbeat of their visit is recent.
-- Whether the worker is alive is not asked: one that lost its connection for a moment leaves jobs behind, too.
SELECT
    job.id,
    (job.args ->> 'fleet_run')::bigint AS fleet_run,
    job.args ->> 'member' AS member,
    visit.member IS NULL OR visit.ending IS NOT NULL AS has_ended,
    coalesce(visit.attempts, 0) AS attempts,
    coalesce(visit.worker, '') AS worker
FROM procrastinate_jobs job
CROSS JOIN LATERAL (
    SELECT max(event.at) AS at FROM procrastinate_events event WHERE event.job_id = job.id AND event.type = 'started'
) started
LEFT JOIN pgwatch_wed_history.fleet_visits visit
    ON visit.fleet_run_id = (job.args ->> 'fleet_run')::bigint AND visit.member = job.args ->> 'member'
WHERE job.task_name = 'visit'
    AND job.status = 'doing'
    AND greatest(visit.heartbeat_at, started.at) < clock_timestamp() - %(lost_after)s
ORDER BY job.id
FOR UPDATE OF job SKIP LOCKED

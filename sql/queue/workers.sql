-- Workers, with the age of their last heartbeat in seconds and how many visits they make.
SELECT
    worker.name,
    worker.began_at,
    worker.concurrency,
    jsonb_array_length(worker.members) AS members,
    extract(epoch FROM clock_timestamp() - alive.last_heartbeat)::double precision AS silent_s,
    (
        SELECT count(*)
        FROM pgwatch_wed_history.fleet_visits visit
        JOIN pgwatch_wed_history.fleet_runs run ON run.id = visit.fleet_run_id
        WHERE run.ended_at IS NULL AND visit.worker = worker.name AND visit.ending IS NULL
    ) AS under_way
FROM fleet_workers worker
JOIN procrastinate_workers alive ON alive.id = worker.worker_id
ORDER BY worker.name, worker.worker_id

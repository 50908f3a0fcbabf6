-- Whether a worker that lives has a member in its inventory.
SELECT EXISTS (
    SELECT
    FROM fleet_workers worker
    JOIN procrastinate_workers alive ON alive.id = worker.worker_id
    WHERE worker.members ? %(member)s AND alive.last_heartbeat >= clock_timestamp() - %(lost_after)s
) AS has

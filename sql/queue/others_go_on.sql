-- A row says whether a run has visits besides a member's that are under way, or whose turn has yet to come.
SELECT EXISTS (
    SELECT
    FROM pgwatch_wed_history.fleet_visits visit
    WHERE visit.fleet_run_id = %(fleet_run)s
        AND visit.member <> %(member)s
        AND visit.ending IS NULL
        AND (
            visit.began_at IS NOT NULL
            OR visit.attempts = 0 AND EXISTS (
                SELECT
                FROM procrastinate_jobs job
                WHERE job.task_name = 'visit'
                    AND job.status = 'todo'
                    AND (job.args ->> 'fleet_run')::bigint = visit.fleet_run_id
                    AND job.args ->> 'member' = visit.member
            )
        )
) AS go_on

-- The newest runs, with how many visits wait, are under way, and ended in which way.
SELECT
    run.id,
    run.began_at,
    run.ended_at,
    coalesce(run.settings ->> 'engine', '') AS engine,
    run.members,
    count(visit.member) FILTER (WHERE visit.ending IS NULL AND visit.began_at IS NULL) AS waiting,
    count(visit.member) FILTER (WHERE visit.ending IS NULL AND visit.began_at IS NOT NULL) AS under_way,
    array_agg(visit.ending) FILTER (WHERE visit.ending IS NOT NULL) AS endings
FROM pgwatch_wed_history.fleet_runs run
LEFT JOIN pgwatch_wed_history.fleet_visits visit ON visit.fleet_run_id = run.id
WHERE run.id IN (SELECT id FROM pgwatch_wed_history.fleet_runs ORDER BY began_at DESC, id DESC LIMIT %(limit)s)
GROUP BY run.id
ORDER BY run.began_at DESC, run.id DESC

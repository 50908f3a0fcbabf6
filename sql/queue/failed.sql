-- Jobs that ended otherwise than they should: what they were for stands in the visit log.
DELETE FROM procrastinate_jobs
WHERE task_name = 'visit' AND status NOT IN ('todo', 'doing')

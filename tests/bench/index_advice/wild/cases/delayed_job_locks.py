from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="delayed_job_locks",
    about=(
        "Delayed Job's reservation with a worker's own name in the OR, over a table of failed and future jobs"
        " (after collectiveidea/delayed_job issue 581): the literal of a worker must not get into an index."
    ),
    schema="""
CREATE TABLE delayed_jobs (
  id bigserial PRIMARY KEY,
  priority integer NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  handler text NOT NULL,
  last_error text,
  run_at timestamp,
  locked_at timestamp,
  failed_at timestamp,
  locked_by varchar(255),
  queue varchar(255),
  created_at timestamp
);
CREATE INDEX delayed_jobs_priority ON delayed_jobs (priority, run_at);
""",
    load="""
SELECT setseed(0.13);
INSERT INTO delayed_jobs (priority, attempts, handler, last_error, run_at, failed_at, locked_at, locked_by, queue, created_at)
SELECT CASE WHEN s.failed THEN 0 ELSE (random() * 20)::int END,
       CASE WHEN s.failed THEN 25 ELSE 0 END,
       '--- !ruby/object:Delayed::PerformableMethod object: !ruby/ActiveRecord:User ' || md5(g::text),
       CASE WHEN s.failed THEN repeat('undefined method for nil:NilClass ', 4) END,
       CASE WHEN s.failed OR g % 40 = 0 THEN timestamp '2025-05-01' + g * interval '8 seconds'
            ELSE timestamp '2025-06-15' + random() * interval '60 days' END,
       CASE WHEN s.failed THEN timestamp '2025-05-02' + g * interval '8 seconds' END,
       CASE WHEN NOT s.failed AND g % 40 = 0 AND g % 3 = 0 THEN timestamp '2025-05-20 10:00' END,
       CASE WHEN NOT s.failed AND g % 40 = 0 AND g % 3 = 0 THEN 'host:web-' || (g / 120) % 5 || ' pid:' || 4000 + (g / 120) % 40 END,
       (ARRAY['default', 'mailers', 'imports'])[1 + floor(random() * 2.2)::int],
       timestamp '2025-05-01' + g * interval '8 seconds'
FROM (SELECT g, random() < 0.75 AS failed FROM generate_series(1, 200000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "reserve",
            "UPDATE delayed_jobs SET locked_at = {now}, locked_by = {me} WHERE id IN (SELECT id FROM delayed_jobs"
            " WHERE ((run_at <= {now} AND (locked_at IS NULL OR locked_at < {stale})) OR locked_by = {me})"
            " AND failed_at IS NULL ORDER BY priority ASC, run_at ASC LIMIT 1 FOR UPDATE) RETURNING *",
            (
                {
                    "now": "2025-05-20 12:00:00",
                    "stale": "2025-05-20 08:00:00",
                    "me": "host:web-3 pid:4011",
                },
                {
                    "now": "2025-05-20 12:00:05",
                    "stale": "2025-05-20 08:00:05",
                    "me": "host:web-1 pid:4022",
                },
                {
                    "now": "2025-05-20 12:00:10",
                    "stale": "2025-05-20 08:00:10",
                    "me": "host:new-9 pid:1",
                },
            ),
            1000,
        ),
        Called(
            "clear_locks",
            "UPDATE delayed_jobs SET locked_by = NULL, locked_at = NULL WHERE (locked_by = {me})",
            ({"me": "host:web-2 pid:4002"}, {"me": "host:web-0 pid:4035"}),
            100,
        ),
        Called(
            "failed_by_queue",
            "SELECT queue, count(*) FROM delayed_jobs WHERE failed_at IS NOT NULL AND failed_at >= {since} GROUP BY queue",
            ({"since": "2025-05-20 06:00:00"}, {"since": "2025-05-20 11:00:00"}),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON delayed_jobs (priority, run_at) WHERE failed_at IS NULL",
        "CREATE INDEX ON delayed_jobs (locked_by) WHERE locked_by IS NOT NULL",
        "CREATE INDEX ON delayed_jobs (failed_at)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="oban_stager",
    about=(
        "A job table with most jobs scheduled for the far future or completed, and a stager, a fetcher and a"
        " pruner (after oban-bg/oban issues 1161, 1362 and 1462): IN of states beside an index that is nearly right."
    ),
    schema="""
CREATE TYPE oban_job_state AS ENUM
  ('available', 'scheduled', 'executing', 'retryable', 'completed', 'discarded', 'cancelled');
CREATE TABLE oban_jobs (
  id bigserial PRIMARY KEY,
  state oban_job_state NOT NULL DEFAULT 'available',
  queue text NOT NULL DEFAULT 'default',
  worker text NOT NULL,
  args jsonb NOT NULL DEFAULT '{}',
  meta jsonb NOT NULL DEFAULT '{}',
  attempt integer NOT NULL DEFAULT 0,
  max_attempts integer NOT NULL DEFAULT 20,
  priority integer NOT NULL DEFAULT 0,
  inserted_at timestamp NOT NULL,
  scheduled_at timestamp NOT NULL,
  attempted_at timestamp,
  completed_at timestamp
) WITH (fillfactor = 90);
CREATE INDEX oban_jobs_state_queue_priority_scheduled_at_id_index
  ON oban_jobs (state, queue, priority, scheduled_at, id);
""",
    load="""
SELECT setseed(0.11);
INSERT INTO oban_jobs (state, queue, worker, args, attempt, priority, inserted_at, scheduled_at, attempted_at, completed_at)
SELECT s.state, s.queue, 'App.Worker' || (random() * 20)::int,
       jsonb_build_object('user_id', (random() * 40000)::int, 'ref', md5(g::text)),
       CASE WHEN s.state = 'scheduled' THEN 0 ELSE 1 END, (random() * 3)::int,
       timestamp '2025-05-01' + g * interval '12 seconds',
       CASE s.state WHEN 'scheduled' THEN timestamp '2025-06-11 12:00' + s.r * s.r * interval '300 days'
                    ELSE timestamp '2025-05-01' + g * interval '12 seconds' END,
       CASE WHEN s.state = 'scheduled' THEN NULL ELSE timestamp '2025-05-01' + g * interval '12 seconds' END,
       CASE WHEN s.state = 'completed' THEN timestamp '2025-05-01' + g * interval '12 seconds' + interval '3 seconds' END
FROM (SELECT g, random() AS r,
             CASE WHEN g > 299900 THEN 'available'
                  WHEN random() < 0.60 THEN 'scheduled'
                  WHEN random() < 0.97 THEN 'completed'
                  WHEN random() < 0.3 THEN 'retryable'
                  WHEN random() < 0.5 THEN 'discarded' ELSE 'cancelled' END::oban_job_state AS state,
             CASE WHEN random() < 0.8 THEN 'reminders' WHEN random() < 0.7 THEN 'default' ELSE 'mailers' END AS queue
      FROM generate_series(1, 300000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "stage",
            "UPDATE oban_jobs AS o0 SET state = 'available' FROM (SELECT so0.id AS id, so0.state AS state"
            " FROM oban_jobs AS so0 WHERE (so0.state IN ('scheduled','retryable'))"
            " AND (NOT (so0.queue IS NULL)) AND (so0.scheduled_at <= {now}) ORDER BY so0.scheduled_at, so0.id LIMIT 50) AS s1"
            " WHERE (o0.id = s1.id) RETURNING o0.id, o0.queue, s1.state",
            (
                {"now": "2025-05-01 08:00:00"},
                {"now": "2025-06-11 12:00:01"},
                {"now": "2025-05-02 00:00:00"},
            ),
            300,
        ),
        Called(
            "fetch",
            "UPDATE oban_jobs AS o0 SET state = 'executing', attempted_at = {now}, attempt = o0.attempt + 1"
            " FROM (SELECT id FROM oban_jobs WHERE state = 'available' AND queue = {queue} AND attempt < max_attempts"
            " ORDER BY priority, scheduled_at, id LIMIT 5 FOR UPDATE SKIP LOCKED) AS f WHERE o0.id = f.id RETURNING o0.id",
            (
                {"now": "2025-06-11 12:00:01", "queue": "reminders"},
                {"now": "2025-06-11 12:00:02", "queue": "mailers"},
            ),
            300,
        ),
        Called(
            "prune",
            "DELETE FROM oban_jobs WHERE id IN (SELECT id FROM oban_jobs WHERE state = 'completed'"
            " AND attempted_at < {before} ORDER BY id LIMIT 100)",
            ({"before": "2025-05-01 00:10:00"}, {"before": "2025-05-01 02:00:00"}),
            5,
        ),
    ),
    expert=(
        "CREATE INDEX ON oban_jobs (scheduled_at, id) WHERE state IN ('scheduled', 'retryable')",
        "CREATE INDEX ON oban_jobs (attempted_at) WHERE state = 'completed'",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="pgboss_fetch",
    about=(
        "A queue whose finished and failed jobs stay in the table (after timgit/pg-boss issue 228):"
        " state < 'active', ORDER BY … LIMIT … SKIP LOCKED, ON CONFLICT with the predicate of a partial unique index."
    ),
    schema="""
CREATE TYPE job_state AS ENUM ('created', 'retry', 'active', 'completed', 'expired', 'cancelled', 'failed');
CREATE TABLE job (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  priority integer NOT NULL DEFAULT 0,
  data jsonb,
  state job_state NOT NULL DEFAULT 'created',
  retrylimit integer NOT NULL DEFAULT 0,
  startafter timestamptz NOT NULL DEFAULT now(),
  startedon timestamptz,
  singletonkey text,
  singletonon timestamp,
  createdon timestamptz NOT NULL DEFAULT now(),
  completedon timestamptz
);
CREATE UNIQUE INDEX job_singletonkey ON job (name, singletonkey)
  WHERE state < 'completed' AND singletonon IS NULL;
CREATE INDEX job_name ON job (name text_pattern_ops);
""",
    load="""
SELECT setseed(0.12);
INSERT INTO job (id, name, priority, data, state, startafter, createdon, completedon, singletonkey)
SELECT md5(g::text)::uuid, s.name, CASE WHEN random() < 0.95 THEN 0 ELSE 10 END,
       jsonb_build_object('n', g, 'payload', repeat(md5(g::text), 3)),
       (CASE WHEN g % 100 = 0 AND g > 200000 THEN CASE WHEN s.name = 'send-email' THEN 'created' ELSE 'retry' END
             WHEN random() < 0.02 THEN 'failed' ELSE 'completed' END)::job_state,
       timestamptz '2025-05-01 00:00+00' + g * interval '10 seconds'
         + CASE WHEN random() < 0.1 THEN interval '20 days' ELSE interval '0' END,
       timestamptz '2025-05-01 00:00+00' + g * interval '10 seconds',
       timestamptz '2025-05-01 00:01+00' + g * interval '10 seconds',
       CASE WHEN g % 100 = 0 THEN 'k' || g END
FROM (SELECT g, (ARRAY['send-email', 'send-email', 'send-email', 'reindex', 'webhook', 'webhook', 'thumbnail',
                       'nightly'])[1 + floor(random() * random() * 8)::int] AS name
      FROM generate_series(1, 260000) AS g OFFSET 0) AS s;
UPDATE job SET state = 'active', startedon = createdon WHERE state = 'created' AND get_byte(uuid_send(id), 3) < 30;
""",
    statements=(
        Called(
            "fetch",
            "WITH next AS (SELECT id FROM job WHERE state < 'active' AND name LIKE {name} AND startafter < {now}"
            " ORDER BY priority DESC, createdon, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " UPDATE job j SET state = 'active', startedon = {now} FROM next WHERE j.id = next.id RETURNING j.id, j.data",
            (
                {"name": "send-email", "now": "2025-06-02 00:00+00"},
                {"name": "webhook", "now": "2025-06-02 00:00+00"},
                {"name": "nightly", "now": "2025-06-02 00:00+00"},
            ),
            500,
        ),
        Called(
            "send_singleton",
            "INSERT INTO job (id, name, singletonkey, data) VALUES ({id}, {name}, {key}, '{}')"
            " ON CONFLICT (name, singletonkey) WHERE state < 'completed' AND singletonon IS NULL DO NOTHING",
            (
                {
                    "id": "00000000-0000-0000-0000-000000000001",
                    "name": "send-email",
                    "key": "k250000",
                },
                {"id": "00000000-0000-0000-0000-000000000002", "name": "reindex", "key": "k900001"},
            ),
            200,
        ),
        Called(
            "count_states",
            "SELECT name, state, count(*) FROM job WHERE state < 'completed' GROUP BY name, state",
            calls=10,
        ),
        Called(
            "expire",
            "UPDATE job SET state = 'expired', completedon = {now} WHERE state = 'active' AND startedon < {before}",
            ({"now": "2025-06-02 00:00+00", "before": "2025-05-25 00:00+00"},),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON job (priority DESC, createdon, id) WHERE state < 'active'",
        "CREATE INDEX ON job (name, state) WHERE state < 'completed'",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="hasura_events",
    about=(
        "Events to deliver are one in thousands: three booleans, a lock that is NULL or old, a retry that is NULL or due; failed events"
        " stay undelivered (after hasura/graphql-engine issues 7028 and 6460, yugabyte/yugabyte-db issue 7768)."
    ),
    schema="""
CREATE SCHEMA hdb_catalog;
CREATE TABLE hdb_catalog.event_log (
  id text PRIMARY KEY,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  trigger_name text NOT NULL,
  payload jsonb NOT NULL,
  delivered boolean NOT NULL DEFAULT false,
  error boolean NOT NULL DEFAULT false,
  tries integer NOT NULL DEFAULT 0,
  created_at timestamp NOT NULL,
  locked timestamptz,
  next_retry_at timestamp,
  archived boolean NOT NULL DEFAULT false
) WITH (fillfactor = 85);
CREATE INDEX event_log_trigger_name_idx ON hdb_catalog.event_log (trigger_name);
CREATE TABLE hdb_catalog.event_invocation_logs (
  id text PRIMARY KEY,
  trigger_name text,
  event_id text NOT NULL,
  status integer,
  request jsonb,
  response jsonb,
  created_at timestamp NOT NULL
);
CREATE INDEX event_invocation_logs_event_id_idx ON hdb_catalog.event_invocation_logs (event_id);
CREATE TABLE hdb_catalog.hdb_action_log (
  id uuid PRIMARY KEY,
  action_name text,
  input_payload jsonb NOT NULL,
  session_variables jsonb NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL
);
""",
    load="""
SELECT setseed(0.712);
INSERT INTO hdb_catalog.event_log
SELECT md5('e' || g)::uuid::text, 'public', 'orders', 'trigger_' || (power(random(), 3) * 12)::int,
       jsonb_build_object('op', 'UPDATE', 'data', jsonb_build_object('id', g, 'note', repeat(md5(g::text), 4))), s.st = 'done', s.st = 'failed',
       CASE s.st WHEN 'done' THEN 1 WHEN 'failed' THEN 4 ELSE 0 END, timestamp '2025-06-01' - (180000 - g) * interval '20 seconds',
       CASE WHEN s.st = 'locked' THEN timestamptz '2025-06-01 00:00+00' - random() * interval '70 minutes' END,
       CASE WHEN s.st = 'retry' THEN timestamp '2025-06-01' + (random() - 0.5) * interval '20 minutes' WHEN s.st = 'failed' THEN timestamp '2025-06-01' - (180000 - g) * interval '20 seconds' END,
       s.st = 'done' AND g < 20000
FROM (SELECT g, CASE WHEN g > 179960 THEN (ARRAY['new', 'locked', 'new', 'done'])[1 + floor(random() * 4)::int] WHEN g > 179000 AND random() < 0.06 THEN 'retry'
                     WHEN random() < 0.04 THEN 'failed' ELSE 'done' END AS st
      FROM generate_series(1, 180000) AS g OFFSET 0) AS s;
INSERT INTO hdb_catalog.event_invocation_logs
SELECT md5('i' || g)::uuid::text, e.trigger_name, e.id, CASE WHEN e.error THEN 500 ELSE 200 END, '{"headers": []}', '{"data": {"message": "ok"}}', e.created_at + interval '1 second'
FROM (SELECT row_number() OVER (ORDER BY created_at) AS g, * FROM hdb_catalog.event_log) AS e WHERE e.delivered OR e.error;
INSERT INTO hdb_catalog.hdb_action_log
SELECT md5('a' || g)::uuid, 'action' || g % 5, jsonb_build_object('x', repeat('y', 80)), '{"x-hasura-role": "user"}',
       CASE WHEN g > 39990 THEN 'created' WHEN random() < 0.01 THEN 'error' ELSE 'completed' END, timestamptz '2025-06-01 00:00+00' - (40000 - g) * interval '1 minute'
FROM generate_series(1, 40000) AS g;
""",
    statements=(
        Called(
            "fetch",
            "UPDATE hdb_catalog.event_log SET locked = {now} WHERE id IN (SELECT l.id FROM hdb_catalog.event_log l"
            " WHERE l.delivered = 'f' and l.error = 'f' and (l.locked IS NULL or l.locked < ({now}::timestamptz - interval '30 minute'))"
            " and (l.next_retry_at is NULL or l.next_retry_at <= {now}::timestamp) and l.archived = 'f'"
            " ORDER BY locked NULLS FIRST, next_retry_at NULLS FIRST, created_at LIMIT 10 FOR UPDATE SKIP LOCKED)"
            " RETURNING id, schema_name, table_name, trigger_name, payload::json, tries, created_at, next_retry_at",
            ({"now": "2025-06-01 00:00:00+00"}, {"now": "2025-06-01 00:02:00+00"}),
            100,
        ),
        Called(
            "actions",
            "UPDATE hdb_catalog.hdb_action_log SET status = 'processing' WHERE id IN (SELECT id FROM hdb_catalog.hdb_action_log"
            " WHERE status = 'created' FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, action_name, input_payload::json",
            (),
            100,
        ),
        Called(
            "delivered",
            "UPDATE hdb_catalog.event_log SET delivered = 't', error = 'f', locked = NULL WHERE id = {i}",
            tuple(
                {"i": i}
                for i in (
                    "e5f05ac5-c19a-25cf-18ef-9d18ade4a2a6",
                    "6c21b4cc-f78c-466e-8940-d54a8912df87",
                    "97f4ce84-e5ee-78be-099e-5eb62a1517a6",
                )
            ),
            60,
        ),
        Called(
            "retry",
            "UPDATE hdb_catalog.event_log SET next_retry_at = {t}, locked = NULL, tries = tries + 1 WHERE id = {i}",
            (
                {"t": "2025-06-01 00:10", "i": "91e7bfe6-0e59-e9a1-3857-f379f987c14a"},
                {"t": "2025-06-01 00:10", "i": "562346fc-6239-9c47-1967-97ea00edafc1"},
            ),
            20,
        ),
        Called(
            "processed",
            "SELECT id, delivered, error, tries, created_at FROM hdb_catalog.event_log WHERE trigger_name = {n} AND (delivered = true OR error = true)"
            " ORDER BY created_at DESC LIMIT 10",
            ({"n": "trigger_0"}, {"n": "trigger_6"}, {"n": "trigger_11"}),
            10,
        ),
        Called(
            "invocations",
            "SELECT i.id, i.status, i.created_at FROM hdb_catalog.event_invocation_logs i JOIN hdb_catalog.event_log e ON i.event_id = e.id"
            " WHERE e.trigger_name = {n} ORDER BY i.created_at DESC LIMIT 10",
            ({"n": "trigger_1"}, {"n": "trigger_12"}),
            10,
        ),
        Called(
            "pending",
            "SELECT trigger_name, count(*) FROM hdb_catalog.event_log WHERE delivered = 'f' AND error = 'f' AND archived = 'f' GROUP BY trigger_name",
            (),
            20,
        ),
        Called(
            "to_clean",
            "SELECT id FROM hdb_catalog.event_log WHERE (delivered = true OR error = true) AND trigger_name = {n} AND created_at < {t} AND locked IS NULL LIMIT 500",
            ({"n": "trigger_0", "t": "2025-04-22"}, {"n": "trigger_9", "t": "2025-04-22"}),
            2,
        ),
        Called(
            "raise",
            "INSERT INTO hdb_catalog.event_log (id, schema_name, table_name, trigger_name, payload, created_at) VALUES ({i}, 'public', 'orders', {n}, {p}, {t})",
            tuple(
                {
                    "i": f"new{n}",
                    "n": f"trigger_{n % 4}",
                    "p": {"op": "INSERT", "data": {"id": n}},
                    "t": f"2025-06-01 00:00:{n}",
                }
                for n in range(10, 20)
            ),
            60,
        ),
    ),
    expert=(
        "CREATE INDEX ON hdb_catalog.event_log (locked NULLS FIRST, next_retry_at NULLS FIRST, created_at) WHERE delivered = 'f' AND error = 'f' AND archived = 'f'",
        "CREATE INDEX ON hdb_catalog.event_log (trigger_name, created_at)",
        "CREATE INDEX ON hdb_catalog.event_invocation_logs (created_at)",
        "CREATE INDEX ON hdb_catalog.hdb_action_log (status) WHERE status = 'created'",
    ),
)

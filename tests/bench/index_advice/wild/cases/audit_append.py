from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="audit_append",
    about=(
        "TRAP: an audit log with thousands of inserts for each read; only the time, in whose order rows come, is worth an"
        " index (B-tree or BRIN); one for the rare look-up by target costs more blocks than it saves."
    ),
    schema="""
CREATE TABLE audit_log (
  id bigserial PRIMARY KEY,
  created_at timestamptz NOT NULL,
  actor_id integer NOT NULL,
  action text NOT NULL,
  target_type text NOT NULL,
  target_id bigint NOT NULL,
  remote_ip inet,
  details jsonb NOT NULL
);
""",
    load="""
SELECT setseed(0.26);
INSERT INTO audit_log (created_at, actor_id, action, target_type, target_id, remote_ip, details)
SELECT timestamptz '2025-01-01 00:00+00' + g * interval '20 seconds', (power(random(), 3) * 900)::int,
       (ARRAY['update', 'update', 'update', 'create', 'login', 'delete'])[1 + floor(random() * 6)::int],
       (ARRAY['User', 'Project', 'Issue'])[1 + floor(random() * 3)::int], (random() * 100000)::int,
       '10.1.0.0'::inet + (random() * 4000)::int, jsonb_build_object('diff', md5(g::text), 'n', g)
FROM generate_series(1, 300000) AS g;
""",
    statements=(
        Called(
            "record",
            "INSERT INTO audit_log (created_at, actor_id, action, target_type, target_id, remote_ip, details)"
            " VALUES ({t}, {a}, 'update', 'Issue', {i}, '10.1.2.3', '{\"diff\": \"x\"}')",
            tuple(
                {
                    "t": f"2025-03-12 {n // 60:02}:{n % 60:02}:01+00",
                    "a": n * 31 % 900,
                    "i": n * 5557,
                }
                for n in range(400)
            ),
            10,
        ),
        Called(
            "daily_report",
            "SELECT date_trunc('hour', created_at), action, count(*) FROM audit_log WHERE created_at >= {f} AND created_at < {t}"
            " GROUP BY date_trunc('hour', created_at), action",
            (
                {"f": "2025-03-10 00:00+00", "t": "2025-03-11 00:00+00"},
                {"f": "2025-02-01 00:00+00", "t": "2025-02-02 00:00+00"},
            ),
            4,
        ),
        Called(
            "expire",
            "DELETE FROM audit_log WHERE created_at < {t}",
            ({"t": "2025-01-01 02:00+00"},),
            1,
        ),
        Called(
            "of_target",
            "SELECT * FROM audit_log WHERE target_type = {y} AND target_id = {i} ORDER BY created_at DESC LIMIT 50",
            ({"y": "Issue", "i": 4711},),
            1,
        ),
    ),
    expert=("CREATE INDEX ON audit_log (created_at)",),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="stable_wrappers",
    about=(
        "TRAP: expressions that are only STABLE cannot be indexed: created_at::date of a timestamptz, to_char, to_tsvector(body) with the"
        " session's configuration; the conditions beside them can (the error 'functions in index expression must be marked IMMUTABLE')."
    ),
    schema="""
CREATE TABLE log_entries (
  id bigserial PRIMARY KEY,
  service text NOT NULL,
  level text NOT NULL,
  created_at timestamptz NOT NULL,
  current_step text,
  message text NOT NULL
);
""",
    load="""
SELECT setseed(0.51);
INSERT INTO log_entries (service, level, created_at, current_step, message)
SELECT 'svc' || (power(random(), 3) * 60)::int, CASE WHEN random() < 0.93 THEN 'info' WHEN random() < 0.9 THEN 'warn' ELSE 'error' END,
       timestamptz '2025-01-01 00:00+00' + g * interval '40 seconds', CASE WHEN random() < 0.01 THEN 'step' || g % 50 END,
       'request ' || md5(g::text) || ' took ' || g % 977 || ' ms on host' || g % 31
FROM generate_series(1, 150000) AS g;
""",
    statements=(
        Called(
            "errors_of_day",
            "SELECT id, message FROM log_entries WHERE created_at::date = {d} AND level = 'error' AND service = {s} ORDER BY id",
            ({"d": "2025-02-03", "s": "svc0"}, {"d": "2025-03-01", "s": "svc50"}),
            100,
        ),
        Called(
            "by_hour",
            "SELECT to_char(created_at, 'YYYY-MM-DD HH24') AS h, count(*) FROM log_entries WHERE to_char(created_at, 'YYYY-MM-DD') = {d}"
            " AND created_at >= {f} GROUP BY to_char(created_at, 'YYYY-MM-DD HH24')",
            (
                {"d": "2025-03-08", "f": "2025-03-08 00:00+00"},
                {"d": "2025-03-11", "f": "2025-03-10 22:00+00"},
            ),
            50,
        ),
        Called(
            "words",
            "SELECT id FROM log_entries WHERE service = {s} AND created_at > {f} AND to_tsvector(message) @@ plainto_tsquery({q}) LIMIT 20",
            (
                {"s": "svc3", "f": "2025-03-11 00:00+00", "q": "host7"},
                {"s": "svc59", "f": "2025-03-01 00:00+00", "q": "took 12"},
            ),
            50,
        ),
        Called(
            "at_step",
            "SELECT id, service FROM log_entries WHERE current_step = {p} ORDER BY created_at DESC LIMIT 20",
            ({"p": "step7"}, {"p": "step99"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON log_entries (service, id) WHERE level = 'error'",
        "CREATE INDEX ON log_entries (created_at)",
        "CREATE INDEX ON log_entries (service, created_at)",
        "CREATE INDEX ON log_entries (current_step, created_at) WHERE current_step IS NOT NULL",
    ),
)

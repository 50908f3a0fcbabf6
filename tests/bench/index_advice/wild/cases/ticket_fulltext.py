from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="ticket_fulltext",
    about=(
        "Full text search on an expression, to_tsvector('english', COALESCE(…)) @@ plainto_tsquery and websearch_to_tsquery as Django"
        " and pg_search write it, with rank, a status beside it, and words from rare to everywhere."
    ),
    schema="""
CREATE TABLE tickets (
  id serial PRIMARY KEY,
  org_id integer NOT NULL,
  subject text,
  body text NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX tickets_org ON tickets (org_id);
""",
    load="""
SELECT setseed(0.34);
INSERT INTO tickets (org_id, subject, body, status, created_at)
SELECT (power(random(), 3) * 300)::int, CASE WHEN random() < 0.95 THEN w.a || ' ' || w.b END,
       'The customer reports a problem: ' || w.b || ' ' || w.c || ' since the update ' || w.d || CASE WHEN g % 5000 = 3 THEN ' zeppelin crash' ELSE '' END,
       CASE WHEN g > 56000 AND random() < 0.5 THEN 'open' ELSE 'closed' END, timestamptz '2024-01-01 00:00+00' + g * interval '9 minutes'
FROM (SELECT g, 'word' || (power(random(), 3) * 3000)::int AS a, 'term' || (power(random(), 3) * 3000)::int AS b,
             'name' || (power(random(), 2) * 9000)::int AS c, 'v' || (random() * 40)::int AS d
      FROM generate_series(1, 60000) AS g OFFSET 0) AS w;
""",
    statements=(
        Called(
            "plain",
            "SELECT id, subject FROM tickets WHERE to_tsvector('english'::regconfig, COALESCE(subject, '') || ' ' || COALESCE(body, ''))"
            " @@ plainto_tsquery('english'::regconfig, {q}) ORDER BY id DESC LIMIT 20",
            (
                {"q": "zeppelin"},
                {"q": "term77 name120"},
                {"q": "word2900"},
                {"q": "customer update"},
            ),
            20,
        ),
        Called(
            "ranked",
            "SELECT id, ts_rank(to_tsvector('english', COALESCE(subject, '') || ' ' || COALESCE(body, '')), websearch_to_tsquery('english', {q})) AS r"
            " FROM tickets WHERE to_tsvector('english', COALESCE(subject, '') || ' ' || COALESCE(body, '')) @@ websearch_to_tsquery('english', {q})"
            " AND status <> 'closed' ORDER BY r DESC LIMIT 10",
            ({"q": "zeppelin -term1"}, {"q": '"name5000"'}),
            10,
        ),
        Called(
            "open_of_org",
            "SELECT id, subject FROM tickets WHERE org_id = {o} AND status <> 'closed' ORDER BY created_at DESC LIMIT 20",
            ({"o": 0}, {"o": 5}, {"o": 290}),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON tickets USING gin (to_tsvector('english'::regconfig, COALESCE(subject, '') || ' ' || COALESCE(body, '')))",
        "CREATE INDEX ON tickets (org_id, created_at) WHERE status <> 'closed'",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="comment_tree",
    about=(
        "Threads by a recursive CTE with constants, roots with parent_id IS NULL, keyset by a row comparison, and the latest replies"
        " with LATERAL (discussion software such as Discourse and Lemmy)."
    ),
    schema="""
CREATE TABLE comments (
  id bigint PRIMARY KEY,
  topic_id integer NOT NULL,
  parent_id bigint,
  author_id integer NOT NULL,
  body text NOT NULL,
  likes integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  removed boolean NOT NULL DEFAULT false
);
""",
    load="""
SELECT setseed(0.33);
INSERT INTO comments
SELECT g, s.t,
       CASE WHEN random() < 0.15 OR g <= 3000 THEN NULL ELSE (g - 3000 * (1 + floor(power(random(), 2) * ((g - 1) / 3000))::int)) END,
       (power(random(), 2) * 30000)::int, repeat(md5(g::text), 5), (power(random(), 8) * 200)::int,
       timestamptz '2023-01-01 00:00+00' + g * interval '3 minutes', random() < 0.03
FROM (SELECT g, g % 3000 AS t FROM generate_series(1, 240000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "thread",
            "WITH RECURSIVE t AS (SELECT id, parent_id, body, 1 AS depth FROM comments WHERE id = {i}"
            " UNION ALL SELECT c.id, c.parent_id, c.body, t.depth + 1 FROM comments c JOIN t ON c.parent_id = t.id"
            " WHERE t.depth < 4 AND NOT c.removed) SELECT * FROM t ORDER BY depth, id LIMIT 200",
            ({"i": 17}, {"i": 230000}, {"i": 120001}),
            100,
        ),
        Called(
            "roots",
            "SELECT id, author_id, body FROM comments WHERE topic_id = {t} AND parent_id IS NULL"
            " AND (created_at, id) < ({c}::timestamptz, {i}) ORDER BY created_at DESC, id DESC LIMIT 10",
            (
                {"t": 17, "c": "2024-01-01 00:00+00", "i": 180000},
                {"t": 2500, "c": "2023-02-01 00:00+00", "i": 20000},
            ),
            100,
        ),
        Called(
            "replies_of_page",
            "SELECT r.id, l.id AS reply, l.body FROM (SELECT unnest(ARRAY[{a}, {b}, {c}]::bigint[]) AS id) r,"
            " LATERAL (SELECT c.id, c.body FROM comments c WHERE c.parent_id = r.id AND NOT c.removed ORDER BY c.likes DESC LIMIT 3) l",
            ({"a": 5, "b": 3100, "c": 9200}, {"a": 200000, "b": 210000, "c": 100}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON comments (parent_id, likes DESC)",
        "CREATE INDEX ON comments (topic_id, created_at DESC, id DESC) WHERE parent_id IS NULL",
    ),
)

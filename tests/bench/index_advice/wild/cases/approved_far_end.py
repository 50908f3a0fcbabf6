from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="approved_far_end",
    about=(
        "TRAP: newest approved posts of a category, where quiet categories have theirs at the far end; an index by time"
        " alone looks cheap on paper and reads it all (the ORDER BY … LIMIT questions of dba.stackexchange)."
    ),
    schema="""
CREATE TABLE posts (
  id bigserial PRIMARY KEY,
  category_id integer NOT NULL,
  author_id integer NOT NULL,
  approved boolean NOT NULL,
  score integer NOT NULL,
  created_at timestamptz NOT NULL,
  raw text NOT NULL
);
CREATE INDEX posts_category_id ON posts (category_id);
""",
    load="""
SELECT setseed(0.28);
INSERT INTO posts (category_id, author_id, approved, score, created_at, raw)
SELECT CASE WHEN g < 40000 THEN floor(random() * 25)::int ELSE 20 + floor(power(random(), 1.5) * 30)::int END,
       (power(random(), 3) * 20000)::int + CASE WHEN g < 60000 THEN 20001 ELSE 0 END,
       CASE WHEN g > 240000 THEN random() < 0.3 ELSE random() < 0.9 END, (power(random(), 6) * 400)::int,
       timestamptz '2022-01-01 00:00+00' + g * interval '6 minutes', repeat(md5(g::text), 6)
FROM generate_series(1, 260000) AS g;
""",
    statements=(
        Called(
            "newest_of_category",
            "SELECT id, author_id, raw FROM posts WHERE category_id = {c} AND approved ORDER BY created_at DESC, id DESC LIMIT 30",
            ({"c": 3}, {"c": 17}, {"c": 21}, {"c": 45}),
            100,
        ),
        Called(
            "newest_of_author",
            "SELECT id, raw FROM posts WHERE author_id = {a} AND approved IS TRUE ORDER BY created_at DESC LIMIT 10",
            ({"a": 30000}, {"a": 5}, {"a": 19000}, {"a": 39999}),
            100,
        ),
        Called(
            "top_of_category",
            "SELECT id, score FROM posts WHERE category_id = {c} AND score > {s} AND approved ORDER BY score DESC LIMIT 10",
            ({"c": 3, "s": 100}, {"c": 22, "s": 300}),
            50,
        ),
        Called(
            "queue",
            "SELECT id, category_id FROM posts WHERE NOT approved AND category_id = {c} ORDER BY created_at LIMIT 20",
            ({"c": 48}, {"c": 20}, {"c": 9}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON posts (category_id, created_at DESC, id DESC) WHERE approved",
        "CREATE INDEX ON posts (author_id, created_at DESC) WHERE approved IS TRUE",
        "CREATE INDEX ON posts (category_id, score DESC) WHERE approved",
        "CREATE INDEX ON posts (category_id, created_at) WHERE NOT approved",
    ),
)

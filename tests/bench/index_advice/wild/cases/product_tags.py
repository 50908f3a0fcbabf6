from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="product_tags",
    about=(
        "Array columns as Rails, Discourse and PostgREST use them: tags && ARRAY[…], tags @> ARRAY[…], x = ANY(tags), unnest in a"
        " count, with tags from everywhere to a handful of rows."
    ),
    schema="""
CREATE TABLE articles (
  id serial PRIMARY KEY,
  tags text[] NOT NULL,
  reader_ids integer[] NOT NULL,
  published boolean NOT NULL,
  published_at timestamp,
  body text NOT NULL
);
CREATE INDEX articles_published_at ON articles (published_at);
""",
    load="""
SELECT setseed(0.35);
INSERT INTO articles (tags, reader_ids, published, published_at, body)
SELECT ARRAY['t' || (power(random(), 3) * 2000)::int, 't' || (power(random(), 2) * 2000)::int]
         || CASE WHEN g % 3 = 0 THEN ARRAY['news'] ELSE ARRAY[]::text[] END
         || CASE WHEN g % 9973 = 0 THEN ARRAY['recall'] ELSE ARRAY[]::text[] END,
       ARRAY[(random() * 30000)::int, (random() * 30000)::int, (power(random(), 4) * 30000)::int],
       random() < 0.9, timestamp '2022-01-01' + g * interval '8 minutes', repeat(md5(g::text), 6)
FROM generate_series(1, 150000) AS g;
""",
    statements=(
        Called(
            "any_of",
            "SELECT id, tags FROM articles WHERE tags && ARRAY[{a}, {b}] AND published ORDER BY published_at DESC LIMIT 20",
            ({"a": "recall", "b": "t1990"}, {"a": "t1500", "b": "t1501"}, {"a": "news", "b": "t3"}),
            100,
        ),
        Called(
            "all_of",
            "SELECT count(*) FROM articles WHERE tags @> ARRAY[{a}, {b}]::text[]",
            ({"a": "news", "b": "t1234"}, {"a": "t1", "b": "t2"}),
            100,
        ),
        Called(
            "seen_by",
            "SELECT id FROM articles WHERE reader_ids @> ARRAY[{u}::integer] AND published ORDER BY id DESC LIMIT 50",
            ({"u": 29000}, {"u": 3}, {"u": 99999}),
            100,
        ),
        Called(
            "tag_counts",
            "SELECT tag, count(*) FROM (SELECT unnest(tags) AS tag FROM articles WHERE published_at >= {d}) t"
            " GROUP BY tag ORDER BY 2 DESC LIMIT 10",
            ({"d": "2024-04-09"}, {"d": "2024-04-01"}),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON articles USING gin (tags)",
        "CREATE INDEX ON articles USING gin (reader_ids)",
    ),
)

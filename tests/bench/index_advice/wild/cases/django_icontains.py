from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="django_icontains",
    about=(
        "Django's icontains and iexact, UPPER(x::text) LIKE UPPER('%…%'), beside a trigram index on the bare column"
        " that cannot serve them (after ChristopherChudzicki/math3d-next issue 1235 and Metron-Project pull 568)."
    ),
    schema="""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE scenes_scene (
  id bigserial PRIMARY KEY,
  key varchar(80) NOT NULL UNIQUE,
  title varchar(200) NOT NULL,
  author_email varchar(254) NOT NULL,
  items text NOT NULL,
  archived boolean NOT NULL DEFAULT false,
  modified timestamptz NOT NULL
);
CREATE INDEX title_gin_trgm_index ON scenes_scene USING gin (title gin_trgm_ops);
""",
    load="""
SELECT setseed(0.16);
INSERT INTO scenes_scene (key, title, author_email, items, archived, modified)
SELECT 'k' || g,
       (ARRAY['Untitled', 'Untitled', 'Untitled', 'Calculus', 'Vector field', 'Surface of', 'The Torus', 'The curve'])
         [1 + floor(random() * 8)::int] || ' ' || translate(substr(md5(g::text), 1, 9), '0123456789', 'ghijklmnop'),
       substr(md5((g % 60000)::text), 1, 10) || '@' || (ARRAY['Gmail.com', 'example.org', 'uni.edu'])[1 + g % 3],
       repeat(md5(g::text), 7), random() < 0.2, timestamptz '2024-01-01 00:00+00' + g * interval '1 minute'
FROM generate_series(1, 200000) AS g;
UPDATE scenes_scene SET title = 'Hyperboloid ' || id WHERE id % 4001 = 7;
""",
    statements=(
        Called(
            "search",
            'SELECT "scenes_scene"."id", "scenes_scene"."title" FROM "scenes_scene" WHERE'
            ' UPPER("scenes_scene"."title"::text) LIKE UPPER({q}) ORDER BY "scenes_scene"."id" DESC LIMIT 50',
            ({"q": "%hyperbol%"}, {"q": "%abcgh%"}, {"q": "%loid 28014%"}, {"q": "%untitled%"}),
            100,
        ),
        Called(
            "iexact",
            'SELECT "scenes_scene"."id", "scenes_scene"."key" FROM "scenes_scene" WHERE'
            ' UPPER("scenes_scene"."author_email"::text) = UPPER({e}) ORDER BY "scenes_scene"."modified" DESC LIMIT 21',
            ({"e": "c4ca4238a0@Example.org"}, {"e": "nobody@example.org"}),
            200,
        ),
        Called(
            "istartswith",
            'SELECT "scenes_scene"."author_email" FROM "scenes_scene" WHERE'
            ' UPPER("scenes_scene"."author_email"::text) LIKE UPPER({e}) ORDER BY UPPER("scenes_scene"."author_email"::text) LIMIT 10',
            ({"e": "c4ca42%"}, {"e": "00ab%"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON scenes_scene USING gin (upper(title::text) gin_trgm_ops)",
        "CREATE INDEX ON scenes_scene (upper(author_email::text) text_pattern_ops, modified)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="wide_urls",
    about=(
        "Preview cards by a URL of up to 6 kB, which a B-tree refuses to index (after mastodon/mastodon issue 18965"
        " and bloxbean/yaci-store pull 1060): hash or a digest; prefixes of hosts beside it."
    ),
    schema="""
CREATE TABLE preview_cards (
  id bigserial PRIMARY KEY,
  url text NOT NULL,
  host text NOT NULL,
  title text NOT NULL,
  link_type integer,
  created_at timestamp NOT NULL,
  trendable boolean
);
""",
    load="""
SELECT setseed(0.23);
INSERT INTO preview_cards (url, host, title, link_type, created_at, trendable)
SELECT 'https://' || s.h || '/' || md5(g::text)
         || CASE WHEN g % 500 = 0 THEN '?' || (SELECT string_agg(md5((g * 1000 + i)::text), '') FROM generate_series(1, 180) AS i)
                 ELSE '/' || md5((g + 1)::text) END,
       s.h, 'A title ' || g, (random() * 3)::int, timestamp '2024-01-01' + g * interval '3 minutes',
       CASE WHEN random() < 0.02 THEN true WHEN random() < 0.02 THEN false END
FROM (SELECT g, substr(md5(floor(power(((g::bigint * 7919) % 150000) / 150000.0::float8, 3) * 3000)::int::text), 1, 8) || (ARRAY['.com', '.org', '.example'])[1 + g % 3] AS h
      FROM generate_series(1, 150000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "find_by_url",
            'SELECT "preview_cards".* FROM "preview_cards" WHERE "preview_cards"."url" = {u} LIMIT 1',
            (
                {
                    "u": "https://41e7637e.example/70efdf2ec9b086079795c442636b55fb/6f4922f45568161a8cdf4ad2299f6d23"
                },
                {"u": "https://nobody.example/none"},
                {
                    "u": "https://07cdfd23.org/6beb5f589a9fd04c21fcd50db3d9c80c/400df0aa82bc46e49e2247dc5da23810"
                },
            ),
            1000,
        ),
        Called(
            "find_long",
            "SELECT id, title, url FROM preview_cards WHERE url IN (SELECT url FROM preview_cards WHERE id = {i})",
            ({"i": 5000}, {"i": 77}),
            100,
        ),
        Called(
            "of_host",
            "SELECT id, title FROM preview_cards WHERE host LIKE {h} ORDER BY created_at DESC LIMIT 20",
            ({"h": "cfcd2084%"}, {"h": "a87ff679.com%"}, {"h": "c0c7c76d%"}),
            50,
        ),
        Called(
            "trends_to_review",
            "SELECT id, title FROM preview_cards WHERE trendable IS NOT TRUE AND trendable IS NOT NULL ORDER BY id DESC LIMIT 20",
            calls=50,
        ),
    ),
    expert=(
        "CREATE INDEX ON preview_cards USING hash (url)",
        "CREATE INDEX ON preview_cards (host text_pattern_ops, created_at)",
        "CREATE INDEX ON preview_cards (created_at)",
    ),
)

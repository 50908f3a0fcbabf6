from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="peertube_videos",
    about=(
        "Videos that neither the site nor the reader has muted, newest first, the trending ones by views of a week, rows by a long URL"
        " that few have, and comments of a thread without deleted ones (after Chocobozzz/PeerTube issues 2326, 5537, 6382 and 6386)."
    ),
    schema="""
CREATE TABLE account (id integer PRIMARY KEY, name varchar NOT NULL, "serverId" integer);
CREATE TABLE "videoChannel" (id integer PRIMARY KEY, name varchar NOT NULL, "accountId" integer NOT NULL);
CREATE TABLE video (
  id integer PRIMARY KEY, uuid uuid NOT NULL UNIQUE, name varchar NOT NULL, category integer, language varchar(10), privacy integer NOT NULL, state integer NOT NULL,
  nsfw boolean NOT NULL, remote boolean NOT NULL, url varchar(2000) NOT NULL, views integer NOT NULL, "channelId" integer NOT NULL, "isLive" boolean NOT NULL,
  "publishedAt" timestamptz NOT NULL, "originallyPublishedAt" timestamptz, description text
);
CREATE INDEX video_channel_id ON video ("channelId");
CREATE INDEX video_views ON video (views);
CREATE TABLE "videoBlacklist" (id integer PRIMARY KEY, "videoId" integer NOT NULL UNIQUE);
CREATE TABLE "accountBlocklist" (id integer PRIMARY KEY, "accountId" integer NOT NULL, "targetAccountId" integer NOT NULL);
CREATE TABLE "videoView" (id integer PRIMARY KEY, "videoId" integer NOT NULL, "startDate" timestamptz NOT NULL, "endDate" timestamptz NOT NULL, views integer NOT NULL);
CREATE TABLE "videoComment" (
  id integer PRIMARY KEY, url varchar(2000) NOT NULL, "videoId" integer NOT NULL, "accountId" integer, "originCommentId" integer, "inReplyToCommentId" integer,
  "deletedAt" timestamptz, "createdAt" timestamptz NOT NULL, text text NOT NULL
);
""",
    load="""
SELECT setseed(0.717);
INSERT INTO account SELECT g, 'account' || g, CASE WHEN g > 100 THEN g % 300 END FROM generate_series(1, 4000) AS g;
INSERT INTO "videoChannel" SELECT g, 'channel' || g, 1 + (power(random(), 2) * 3999)::int FROM generate_series(1, 5000) AS g;
INSERT INTO video
SELECT g, md5('v' || g)::uuid, 'Video ' || md5(g::text), CASE WHEN random() < 0.8 THEN (power(random(), 2) * 18)::int END, CASE WHEN random() < 0.6 THEN (ARRAY['en', 'fr', 'de', 'es'])[1 + (power(random(), 2) * 3)::int] END,
       CASE WHEN random() < 0.9 THEN 1 ELSE 2 + (random() * 2)::int END, CASE WHEN random() < 0.98 THEN 1 ELSE 2 + (random() * 5)::int END, random() < 0.05, random() < 0.9,
       'https://tube' || g % 300 || '.example/videos/watch/' || md5('v' || g), (power(random(), 6) * 100000)::int, 1 + (power(random(), 2) * 4999)::int, random() < 0.02,
       timestamptz '2020-01-01 00:00+00' + g * interval '35 minutes', CASE WHEN random() < 0.2 THEN timestamptz '2018-01-01' + random() * interval '2000 days' END, repeat(md5(g::text), 8)
FROM generate_series(1, 70000) AS g;
INSERT INTO "videoBlacklist" SELECT g, g * 53 FROM generate_series(1, 1300) AS g;
INSERT INTO "accountBlocklist" SELECT g, 1 + (power(random(), 2) * 300)::int, 1 + (random() * 3999)::int FROM generate_series(1, 3000) AS g;
INSERT INTO "videoView" SELECT g, 1 + (power(random(), 0.5) * 69999)::int, t, t + interval '1 hour', 1 + (power(random(), 4) * 40)::int
FROM (SELECT g, timestamptz '2024-01-01 00:00+00' + (g / 14) * interval '1 hour' AS t FROM generate_series(1, 150000) AS g) AS s;
INSERT INTO "videoComment"
SELECT g, 'https://tube' || g % 300 || '.example/comments/' || md5(g::text), 1 + (power(random(), 2) * 69999)::int, CASE WHEN r > 0.03 THEN 1 + (power(random(), 2) * 3999)::int END,
       CASE WHEN r2 < 0.5 THEN greatest(1, g - 1 - (random() * 40)::int) END, CASE WHEN r2 < 0.5 THEN greatest(1, g - 1 - (random() * 40)::int) END,
       CASE WHEN r < 0.03 THEN timestamptz '2025-01-01' END, timestamptz '2021-01-01' + g * interval '18 minutes', repeat(md5(g::text), 4)
FROM (SELECT g, random() AS r, random() AS r2 FROM generate_series(1, 110000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "recent",
            """SELECT video.id, video.name, video."publishedAt" FROM video INNER JOIN "videoChannel" c ON c.id = video."channelId\""""
            """ WHERE NOT EXISTS (SELECT 1 FROM "videoBlacklist" b WHERE b."videoId" = video.id) AND c."accountId" NOT IN"""
            """ (SELECT "targetAccountId" FROM "accountBlocklist" WHERE "accountId" IN ({a}, {u})) AND video.state = 1 AND video.privacy = 1"""
            """ AND video.remote IS FALSE AND video.nsfw IS FALSE ORDER BY video."publishedAt" DESC LIMIT 15""",
            ({"a": 1, "u": 2}, {"a": 1, "u": 200}),
            60,
        ),
        Called(
            "of_category",
            """SELECT video.id FROM video WHERE video.state = 1 AND video.privacy = 1 AND video.category IN ({c}, {d}) AND video.language IN ({l})"""
            """ ORDER BY video."publishedAt" DESC LIMIT 15 OFFSET {o}""",
            (
                {"c": 0, "d": 1, "l": "en", "o": 0},
                {"c": 17, "d": 18, "l": "es", "o": 0},
                {"c": 9, "d": 3, "l": "de", "o": 30},
            ),
            40,
        ),
        Called(
            "trending",
            """SELECT video.id, coalesce(sum("videoView".views), 0) AS score FROM video LEFT JOIN "videoView" ON video.id = "videoView"."videoId" AND "videoView"."startDate" >= {t}"""
            """ WHERE video.state = 1 AND video.privacy = 1 AND video.remote IS FALSE GROUP BY video.id ORDER BY score DESC, video.views DESC LIMIT 15""",
            ({"t": "2025-03-15 00:00+00"},),
            10,
        ),
        Called(
            "views_of",
            """SELECT date_trunc('day', "startDate") AS day, sum(views) FROM "videoView" WHERE "videoId" = {v} AND "startDate" >= {a} AND "startDate" < {b} GROUP BY 1 ORDER BY 1""",
            (
                {"v": 69000, "a": "2024-06-01", "b": "2025-04-01"},
                {"v": 500, "a": "2025-03-01", "b": "2025-04-01"},
            ),
            40,
        ),
        Called(
            "by_url",
            """SELECT id, "videoId" FROM "videoComment" WHERE url = {u} LIMIT 1""",
            (
                {"u": "https://tube1.example/comments/c4ca4238a0b923820dcc509a6f75849b"},
                {"u": "https://nowhere.example/x"},
            ),
            100,
        ),
        Called(
            "video_by_url",
            "SELECT id, uuid FROM video WHERE url = {u} LIMIT 1",
            ({"u": "https://tube9.example/videos/watch/none"},),
            60,
        ),
        Called(
            "threads",
            """SELECT id, text, "createdAt", (SELECT count(*) FROM "videoComment" r WHERE r."originCommentId" = c.id AND r."deletedAt" IS NULL) AS replies"""
            """ FROM "videoComment" c WHERE c."videoId" = {v} AND c."inReplyToCommentId" IS NULL AND (c."deletedAt" IS NULL OR EXISTS"""
            """ (SELECT 1 FROM "videoComment" r WHERE r."originCommentId" = c.id)) ORDER BY c."createdAt" DESC LIMIT 10""",
            ({"v": 3}, {"v": 40000}),
            5,
        ),
        Called(
            "view",
            "UPDATE video SET views = views + 1 WHERE id = {v}",
            ({"v": 69000},),
            60,
        ),
        Called(
            "comment",
            """INSERT INTO "videoComment" (id, url, "videoId", "accountId", "createdAt", text) VALUES ({i}, 'https://x.example/1', 3, 7, '2025-04-01', 'hello')""",
            ({"i": 300001},),
            40,
        ),
    ),
    expert=(
        """CREATE INDEX ON video ("publishedAt") WHERE remote IS FALSE AND nsfw IS FALSE AND state = 1 AND privacy = 1""",
        """CREATE INDEX ON video (language, category, "publishedAt") WHERE state = 1 AND privacy = 1""",
        """CREATE INDEX ON video USING hash (url)""",
        """CREATE INDEX ON "videoView" ("videoId", "startDate")""",
        """CREATE INDEX ON "videoView" ("startDate") INCLUDE ("videoId", views)""",
        """CREATE INDEX ON "videoComment" USING hash (url)""",
        """CREATE INDEX ON "videoComment" ("videoId", "createdAt") WHERE "inReplyToCommentId" IS NULL""",
        """CREATE INDEX ON "videoComment" ("originCommentId")""",
    ),
)

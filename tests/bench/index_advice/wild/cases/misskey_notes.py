from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="misskey_notes",
    about=(
        "Notes by arrays of who is mentioned and who may see them, newest first by the primary key, a timeline of followed people,"
        " texts by ILIKE and counters that are set all the time (after misskey-dev/misskey issues 9940 and 15923 and pull 11799)."
    ),
    schema="""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE following (id varchar(32) PRIMARY KEY, "followerId" varchar(32) NOT NULL, "followeeId" varchar(32) NOT NULL);
CREATE UNIQUE INDEX "IDX_following" ON following ("followerId", "followeeId");
CREATE TABLE note (
  id varchar(32) PRIMARY KEY, "replyId" varchar(32), "renoteId" varchar(32), text text, "userId" varchar(32) NOT NULL,
  visibility varchar(16) NOT NULL, "visibleUserIds" varchar(32)[] NOT NULL DEFAULT '{}', mentions varchar(32)[] NOT NULL DEFAULT '{}',
  tags varchar(128)[] NOT NULL DEFAULT '{}', "fileIds" varchar(32)[] NOT NULL DEFAULT '{}', "userHost" varchar(128), "channelId" varchar(32),
  "renoteCount" smallint NOT NULL DEFAULT 0, "repliesCount" smallint NOT NULL DEFAULT 0, reactions jsonb NOT NULL DEFAULT '{}', uri varchar(512)
) WITH (fillfactor = 90);
CREATE INDEX "IDX_note_userHost" ON note ("userHost");
CREATE TABLE note_reaction (id varchar(32) PRIMARY KEY, "userId" varchar(32) NOT NULL, "noteId" varchar(32) NOT NULL, reaction varchar(260) NOT NULL);
CREATE UNIQUE INDEX "IDX_note_reaction" ON note_reaction ("userId", "noteId");
""",
    load="""
SELECT setseed(0.713);
INSERT INTO following
SELECT 'f' || g, 'u' || a, 'u' || b FROM (SELECT g, (power(random(), 2) * 600)::int AS a, (power(random(), 2) * 5000)::int AS b FROM generate_series(1, 20000) AS g OFFSET 0) s
WHERE a <> b ON CONFLICT DO NOTHING;
INSERT INTO note (id, "replyId", "renoteId", text, "userId", visibility, "visibleUserIds", mentions, tags, "fileIds", "userHost", "channelId", uri)
SELECT '9' || lpad(g::text, 9, '0'), CASE WHEN r < 0.2 THEN '9' || lpad(greatest(1, g - 1 - (power(random(), 4) * 40000)::int)::text, 9, '0') END,
       CASE WHEN r > 0.7 THEN '9' || lpad(greatest(1, g - 1 - (power(random(), 4) * 60000)::int)::text, 9, '0') END,
       CASE WHEN r <= 0.75 THEN repeat(md5(g::text) || ' ', 3) END, 'u' || u,
       CASE WHEN v < 0.75 THEN 'public' WHEN v < 0.9 THEN 'home' WHEN v < 0.98 THEN 'followers' ELSE 'specified' END,
       CASE WHEN v >= 0.98 THEN ARRAY['u' || (power(random(), 2) * 5000)::int] ELSE ARRAY[]::text[] END,
       CASE WHEN r < 0.2 THEN ARRAY['u' || (power(random(), 2) * 5000)::int] ELSE ARRAY[]::text[] END,
       CASE WHEN random() < 0.05 THEN ARRAY['tag' || (power(random(), 3) * 900)::int] ELSE ARRAY[]::text[] END,
       CASE WHEN random() < 0.15 THEN ARRAY['file' || g] ELSE ARRAY[]::text[] END,
       CASE WHEN u > 100 THEN 'host' || u % 200 || '.example' END, CASE WHEN random() < 0.01 THEN 'c' || (random() * 30)::int END,
       CASE WHEN u > 100 THEN 'https://host' || u % 200 || '.example/notes/' || md5(g::text) END
FROM (SELECT g, random() AS r, random() AS v, (power(random(), 2) * 5000)::int AS u FROM generate_series(1, 200000) AS g OFFSET 0) AS s;
INSERT INTO note_reaction
SELECT 'r' || g, 'u' || a, '9' || lpad(n::text, 9, '0'), ':heart:' FROM (SELECT g, (power(random(), 2) * 5000)::int AS a, 1 + (random() * 199999)::int AS n FROM generate_series(1, 120000) AS g OFFSET 0) s
ON CONFLICT DO NOTHING;
""",
    statements=(
        Called(
            "mentions",
            """SELECT note.id FROM note WHERE ({me} = ANY(note.mentions) OR {me} = ANY(note."visibleUserIds")) AND note.id < {i} ORDER BY note.id DESC LIMIT 10""",
            ({"me": "u4", "i": "9000199000"}, {"me": "u4800", "i": "9000150000"}),
            20,
        ),
        Called(
            "to_me",
            """SELECT note.id FROM note WHERE ARRAY[{me}]::varchar[] <@ note."visibleUserIds" ORDER BY note.id DESC LIMIT 10""",
            ({"me": "u2"}, {"me": "u4000"}, {"me": "u99999"}),
            60,
        ),
        Called(
            "home",
            """SELECT note.id, note.text, note."userId" FROM note WHERE note.id < {i} AND note."channelId" IS NULL AND note."userId" IN"""
            """ (SELECT f."followeeId" FROM following f WHERE f."followerId" = {me}) ORDER BY note.id DESC LIMIT 10""",
            ({"me": "u1", "i": "9000200000"}, {"me": "u550", "i": "9000180000"}),
            60,
        ),
        Called(
            "of_user",
            """SELECT note.* FROM note WHERE note."userId" = {u} AND note.visibility IN ('public', 'home') ORDER BY note.id DESC LIMIT 10""",
            ({"u": "u3"}, {"u": "u2500"}, {"u": "u4999"}),
            60,
        ),
        Called(
            "replies",
            """SELECT note.* FROM note WHERE note."replyId" = {n} ORDER BY note.id ASC LIMIT 20""",
            ({"n": "9000100000"}, {"n": "9000199990"}),
            60,
        ),
        Called(
            "with_renotes",
            """SELECT count(*) FROM note WHERE note."userId" = {u} AND note."renoteId" = {n}""",
            ({"u": "u5", "n": "9000100001"}, {"u": "u2000", "n": "9000199991"}),
            60,
        ),
        Called(
            "search",
            """SELECT note.id, note.text FROM note WHERE note.text ILIKE {q} AND note.visibility = 'public' ORDER BY note.id DESC LIMIT 10""",
            ({"q": "%c81e728%"}, {"q": "%deadbe%"}),
            5,
        ),
        Called(
            "reactions_of",
            """SELECT r.id, r.reaction FROM note_reaction r WHERE r."noteId" = {n} ORDER BY r.id DESC LIMIT 11""",
            ({"n": "9000100000"}, {"n": "9000000005"}),
            60,
        ),
        Called(
            "react",
            """UPDATE note SET reactions = jsonb_set(reactions, '{heart}', '1'), "repliesCount" = "repliesCount" + 1 WHERE id = {n}""",
            ({"n": "9000100000"},),
            100,
        ),
    ),
    expert=(
        """CREATE INDEX ON note USING gin (mentions)""",
        """CREATE INDEX ON note USING gin ("visibleUserIds")""",
        """CREATE INDEX ON note ("userId", id)""",
        """CREATE INDEX ON note ("replyId") WHERE "replyId" IS NOT NULL""",
        """CREATE INDEX ON note ("renoteId") WHERE "renoteId" IS NOT NULL""",
        """CREATE INDEX ON note USING gin (text gin_trgm_ops)""",
        """CREATE INDEX ON note_reaction ("noteId")""",
    ),
)

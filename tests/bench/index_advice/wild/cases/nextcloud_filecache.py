from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="nextcloud_filecache",
    about=(
        "A file cache by storage and path hash, by a prefix of a long path within a storage, and an activity table that is cleaned by age"
        " (after nextcloud/server issues 4625, 25630 and 47901); one storage has most of the rows."
    ),
    schema="""
CREATE TABLE oc_filecache (
  fileid bigserial PRIMARY KEY,
  storage bigint NOT NULL DEFAULT 0,
  path varchar(4000),
  path_hash varchar(32) NOT NULL DEFAULT '',
  parent bigint NOT NULL DEFAULT 0,
  name varchar(250),
  mimetype bigint NOT NULL DEFAULT 0,
  size bigint NOT NULL DEFAULT 0,
  mtime bigint NOT NULL DEFAULT 0,
  etag varchar(40)
);
CREATE INDEX fs_storage_mimetype ON oc_filecache (storage, mimetype);
CREATE INDEX fs_parent_name_hash ON oc_filecache (parent, name);
CREATE TABLE oc_activity (
  activity_id bigserial PRIMARY KEY,
  timestamp integer NOT NULL,
  type varchar(255),
  affecteduser varchar(64) NOT NULL,
  app varchar(32) NOT NULL,
  object_type varchar(255),
  object_id bigint NOT NULL,
  subject varchar(255) NOT NULL
);
CREATE INDEX activity_user_time ON oc_activity (affecteduser, timestamp);
""",
    load="""
SELECT setseed(0.48);
INSERT INTO oc_filecache (storage, path, path_hash, parent, name, mimetype, size, mtime, etag)
SELECT CASE WHEN s.r < 0.75 THEN 1 ELSE 2 + floor(power(random(), 2) * 300)::int END,
       s.p || '/file' || s.g || '.jpg', md5(s.p || '/file' || s.g || '.jpg'), 100 + s.g % 4000, 'file' || s.g || '.jpg',
       (power(random(), 2) * 20)::int, (random() * 1000000)::int, 1700000000 + s.g * 60, md5((s.g + 5)::text)
FROM (SELECT g, random() AS r, CASE WHEN g % 5 = 0 THEN 'appdata_oc/preview/' || substr(md5(g::text), 1, 1) || '/' || substr(md5(g::text), 2, 1) || '/' || g % 3000
                        ELSE 'files/projects/p' || (power(random(), 2) * 900)::int || '/' || (ARRAY['img', 'doc', 'raw'])[1 + g % 3] END AS p
      FROM generate_series(1, 220000) AS g OFFSET 0) AS s;
INSERT INTO oc_activity (timestamp, type, affecteduser, app, object_type, object_id, subject)
SELECT 1680000000 + g * 100, 'file_created', 'user' || (power(random(), 2) * 400)::int, 'files',
       CASE WHEN random() < 0.02 THEN 'calendar' ELSE 'files' END, (random() * 90000)::int, 'created_self'
FROM generate_series(1, 180000) AS g;
""",
    statements=(
        Called(
            "by_hash",
            'SELECT "fileid" FROM "oc_filecache" WHERE ("storage" = {s}) AND ("path_hash" = {h})',
            (
                {"s": 1, "h": "c164c3a63de651e7e52bac30733dee84"},
                {"s": 250, "h": "d41d8cd98f00b204e9800998ecf8427e"},
            ),
            500,
        ),
        Called(
            "below_path",
            'SELECT "path", "fileid" FROM "oc_filecache" WHERE "storage" = {s} AND "path" LIKE {p}',
            (
                {"s": 1, "p": "files/projects/p77/%"},
                {"s": 4, "p": "files/projects/%"},
                {"s": 1, "p": "appdata\\_oc/preview/a/7/%"},
            ),
            50,
        ),
        Called(
            "count_storage",
            'SELECT COUNT(*) FROM "oc_filecache" WHERE "storage" = {s}',
            ({"s": 1}, {"s": 299}),
            10,
        ),
        Called("expire", "DELETE FROM oc_activity WHERE timestamp < {t}", ({"t": 1680020000},), 10),
        Called(
            "cleanup",
            "DELETE FROM oc_activity WHERE affecteduser <> {u} AND object_type = {y} AND object_id = {i}",
            ({"u": "user3", "y": "calendar", "i": 4711}, {"u": "user1", "y": "files", "i": 900}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON oc_filecache (storage, path_hash)",
        "CREATE INDEX ON oc_filecache (storage, path varchar_pattern_ops)",
        "CREATE INDEX ON oc_activity (timestamp)",
        "CREATE INDEX ON oc_activity (object_id, object_type)",
    ),
)

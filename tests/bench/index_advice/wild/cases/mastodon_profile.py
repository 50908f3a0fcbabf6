from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="mastodon_profile",
    about=(
        "An account's public statuses, newest first, for accounts that mostly write direct ones, and the reblogs of a"
        " page of statuses (after mastodon/mastodon pulls 5785, 6202 and 7476): IN of small integers, IS NULL, IS NOT NULL."
    ),
    schema="""
CREATE TABLE statuses (
  id bigint PRIMARY KEY,
  account_id bigint NOT NULL,
  text text NOT NULL DEFAULT '',
  created_at timestamp NOT NULL,
  in_reply_to_id bigint,
  reblog_of_id bigint,
  visibility integer NOT NULL DEFAULT 0,
  deleted_at timestamp,
  sensitive boolean NOT NULL DEFAULT false
);
CREATE INDEX index_statuses_on_account_id_id ON statuses (account_id, id);
CREATE TABLE media_attachments (
  id bigserial PRIMARY KEY,
  status_id bigint,
  account_id bigint NOT NULL,
  file_file_name text NOT NULL
);
""",
    load="""
SELECT setseed(0.18);
INSERT INTO statuses (id, account_id, text, created_at, in_reply_to_id, reblog_of_id, visibility, deleted_at)
SELECT 100000000 + g::bigint * 65536, s.a, CASE WHEN s.reblog THEN '' ELSE repeat(md5(g::text), 5) END,
       timestamp '2024-01-01' + g * interval '1 minute',
       CASE WHEN NOT s.reblog AND random() < 0.4 THEN 100000000 + (random() * g)::bigint * 65536 END,
       CASE WHEN s.reblog THEN 100000000 + (power(random(), 0.05) * (g - 1))::bigint * 65536 END,
       CASE WHEN s.a % 10 = 3 AND g > 30000 THEN 3 WHEN random() < 0.8 THEN 0 WHEN random() < 0.5 THEN 1 ELSE 2 END,
       CASE WHEN random() < 0.05 THEN timestamp '2024-12-01' END
FROM (SELECT g, 1 + floor(power(random(), 3) * 4000)::int AS a, random() < 0.3 AS reblog
      FROM generate_series(1, 250000) AS g OFFSET 0) AS s;
INSERT INTO media_attachments (status_id, account_id, file_file_name)
SELECT CASE WHEN random() < 0.9 THEN id END, account_id, md5(id::text) || '.jpg' FROM statuses
WHERE reblog_of_id IS NULL AND random() < 0.2;
""",
    statements=(
        Called(
            "profile",
            'SELECT "statuses"."id", "statuses"."text" FROM "statuses" WHERE "statuses"."account_id" = {a}'
            ' AND "statuses"."visibility" IN (0, 1) AND "statuses"."deleted_at" IS NULL'
            ' AND "statuses"."reblog_of_id" IS NULL ORDER BY "statuses"."id" DESC LIMIT 20',
            ({"a": 3}, {"a": 1}, {"a": 13}, {"a": 1500}, {"a": 33}),
            300,
        ),
        Called(
            "reblogs_map",
            'SELECT "statuses"."reblog_of_id" FROM "statuses" WHERE "statuses"."account_id" = {a} AND'
            ' "statuses"."reblog_of_id" IN (14518528000, 14518593536, 14190848000, 13109510144, 16482238464)'
            ' ORDER BY "statuses"."id" DESC',
            ({"a": 1}, {"a": 900}, {"a": 3}),
            300,
        ),
        Called(
            "reblog_count",
            "SELECT count(*) FROM statuses WHERE reblog_of_id = {id} AND deleted_at IS NULL",
            ({"id": 14518528000}, {"id": 16482238464}),
            100,
        ),
        Called(
            "media_tab",
            "SELECT s.id FROM statuses s WHERE s.account_id = {a} AND s.visibility IN (0, 1) AND s.id IN"
            " (SELECT DISTINCT m.status_id FROM media_attachments m WHERE m.account_id = {a} AND m.status_id IS NOT NULL)"
            " ORDER BY s.id DESC LIMIT 20",
            ({"a": 5}, {"a": 1200}),
            100,
        ),
    ),
    expert=(
        (
            "CREATE INDEX ON statuses (account_id, id DESC) WHERE deleted_at IS NULL AND reblog_of_id IS NULL"
            " AND visibility IN (0, 1)"
        ),
        "CREATE INDEX ON statuses (reblog_of_id, account_id) WHERE reblog_of_id IS NOT NULL",
        "CREATE INDEX ON media_attachments (account_id, status_id) WHERE status_id IS NOT NULL",
    ),
)

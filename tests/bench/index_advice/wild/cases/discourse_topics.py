from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="discourse_topics",
    about=(
        "Topic lists of a forum: the latest by bumped_at with deleted_at IS NULL and archetype <> 'private_message', pinned ones by"
        " IS NOT NULL, private ones of a user through EXISTS, and chat unread counts (after discourse/discourse pulls 14237 and 19516)."
    ),
    schema="""
CREATE TABLE topics (
  id serial PRIMARY KEY,
  title varchar NOT NULL,
  archetype varchar NOT NULL DEFAULT 'regular',
  category_id integer,
  user_id integer NOT NULL,
  bumped_at timestamp NOT NULL,
  created_at timestamp NOT NULL,
  pinned_at timestamp,
  deleted_at timestamp,
  visible boolean NOT NULL DEFAULT true,
  excerpt varchar,
  views integer NOT NULL DEFAULT 0
);
CREATE TABLE topic_allowed_users (
  id serial PRIMARY KEY,
  user_id integer NOT NULL,
  topic_id integer NOT NULL
);
CREATE UNIQUE INDEX index_topic_allowed_users_on_topic_id_and_user_id ON topic_allowed_users (topic_id, user_id);
CREATE TABLE chat_messages (
  id bigserial PRIMARY KEY,
  chat_channel_id integer NOT NULL,
  user_id integer NOT NULL,
  message text NOT NULL,
  deleted_at timestamp,
  created_at timestamp NOT NULL
);
CREATE INDEX index_chat_messages_on_channel_created ON chat_messages (chat_channel_id, created_at);
""",
    load="""
SELECT setseed(0.46);
INSERT INTO topics (title, archetype, category_id, user_id, bumped_at, created_at, pinned_at, deleted_at, visible, excerpt, views)
SELECT 'Topic ' || g, CASE WHEN s.pm THEN 'private_message' ELSE 'regular' END,
       CASE WHEN NOT s.pm THEN (power(random(), 2) * 40)::int END, (power(random(), 3) * 9000)::int,
       timestamp '2023-01-01' + g * interval '10 minutes' + power(random(), 6) * interval '200 days',
       timestamp '2023-01-01' + g * interval '10 minutes',
       CASE WHEN NOT s.pm AND random() < 0.0006 THEN timestamp '2024-01-01' END,
       CASE WHEN random() < 0.12 THEN timestamp '2024-06-01' END, random() < 0.98, repeat(md5(g::text), 6), (random() * 1000)::int
FROM (SELECT g, random() < CASE WHEN g > 60000 THEN 0.93 ELSE 0.3 END AS pm FROM generate_series(1, 120000) AS g OFFSET 0) AS s;
INSERT INTO topic_allowed_users (user_id, topic_id)
SELECT DISTINCT (power(random(), 2) * 9000)::int, id FROM topics, generate_series(1, 2) WHERE archetype = 'private_message';
INSERT INTO chat_messages (chat_channel_id, user_id, message, deleted_at, created_at)
SELECT (power(random(), 2) * 120)::int, (power(random(), 2) * 9000)::int, repeat(md5(g::text), 2),
       CASE WHEN random() < 0.01 THEN timestamp '2024-07-01' END, timestamp '2024-01-01' + g * interval '3 minutes'
FROM generate_series(1, 120000) AS g;
""",
    statements=(
        Called(
            "latest",
            'SELECT "topics".* FROM "topics" WHERE "topics"."deleted_at" IS NULL AND "topics"."archetype" <> \'private_message\''
            ' AND "topics"."visible" = TRUE AND "topics"."category_id" = {c} ORDER BY "topics"."bumped_at" DESC LIMIT 30',
            ({"c": 0}, {"c": 5}, {"c": 38}),
            100,
        ),
        Called(
            "latest_anywhere",
            'SELECT "topics".* FROM "topics" WHERE "topics"."deleted_at" IS NULL AND "topics"."archetype" <> \'private_message\''
            " AND visible ORDER BY topics.bumped_at DESC LIMIT 30",
            calls=100,
        ),
        Called(
            "pinned",
            "SELECT id, title FROM topics WHERE pinned_at IS NOT NULL AND deleted_at IS NULL AND category_id = {c}",
            ({"c": 0}, {"c": 20}),
            100,
        ),
        Called(
            "private_of_user",
            "SELECT t.id, t.title FROM topics t WHERE t.archetype = 'private_message' AND t.deleted_at IS NULL AND EXISTS"
            " (SELECT 1 FROM topic_allowed_users a WHERE a.topic_id = t.id AND a.user_id = {u}) ORDER BY t.bumped_at DESC LIMIT 20",
            ({"u": 3}, {"u": 8000}, {"u": 99999}),
            100,
        ),
        Called(
            "chat_unread",
            "SELECT chat_channel_id, count(*) FROM chat_messages WHERE chat_channel_id = ANY(ARRAY[{a}, {b}]) AND id > {i}"
            " AND user_id <> {u} AND deleted_at IS NULL GROUP BY chat_channel_id",
            ({"a": 0, "b": 3, "i": 119900, "u": 5}, {"a": 100, "b": 0, "i": 118000, "u": 9}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON topics (category_id, bumped_at DESC) WHERE deleted_at IS NULL AND archetype <> 'private_message'",
        "CREATE INDEX ON topics (bumped_at DESC) WHERE deleted_at IS NULL AND archetype <> 'private_message'",
        "CREATE INDEX ON topics (category_id) WHERE pinned_at IS NOT NULL",
        "CREATE INDEX ON topic_allowed_users (user_id, topic_id)",
    ),
)

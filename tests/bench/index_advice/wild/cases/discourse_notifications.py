from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="discourse_notifications",
    about=(
        "Notifications in an order of boolean expressions, with a left join to topics that are not deleted, unread counts by rank,"
        " actions of a day by kind, and custom fields by name and value (after discourse/discourse pulls 26048, 40968 and 14748 and"
        " discourse/discourse-solved pull 309)."
    ),
    schema="""
CREATE TABLE topics (id integer PRIMARY KEY, title varchar NOT NULL, archetype varchar NOT NULL, user_id integer NOT NULL, bumped_at timestamp NOT NULL, deleted_at timestamp);
CREATE TABLE notifications (
  id bigint PRIMARY KEY, notification_type integer NOT NULL, user_id integer NOT NULL, data varchar(1000) NOT NULL, read boolean NOT NULL DEFAULT false,
  created_at timestamp NOT NULL, updated_at timestamp NOT NULL, topic_id integer, post_number integer, post_action_id integer, high_priority boolean NOT NULL DEFAULT false
);
CREATE INDEX idx_notifications_speedup_unread_count ON notifications (user_id, notification_type) WHERE NOT read;
CREATE INDEX index_notifications_on_topic_id_and_post_number ON notifications (topic_id, post_number);
CREATE TABLE user_actions (
  id integer PRIMARY KEY, action_type integer NOT NULL, user_id integer NOT NULL, target_topic_id integer, target_post_id integer, acting_user_id integer, created_at timestamp NOT NULL
);
CREATE INDEX idx_user_actions_speed_up_user_all ON user_actions (user_id, created_at, action_type);
CREATE TABLE topic_custom_fields (id integer PRIMARY KEY, topic_id integer NOT NULL, name varchar(256) NOT NULL, value text, created_at timestamp NOT NULL);
CREATE INDEX topic_custom_fields_value_key_idx ON topic_custom_fields (value, name) WHERE value IS NOT NULL AND char_length(value) < 400;
""",
    load="""
SELECT setseed(0.716);
INSERT INTO topics
SELECT g, 'Topic ' || md5(g::text), CASE WHEN random() < 0.8 THEN 'regular' ELSE 'private_message' END, 1 + (power(random(), 2) * 4000)::int,
       timestamp '2023-01-01' + g * interval '20 minutes', CASE WHEN random() < 0.04 THEN timestamp '2024-06-01' END
FROM generate_series(1, 30000) AS g;
INSERT INTO notifications
SELECT g, k, u, '{"topic_title": "' || md5(g::text) || '", "display_username": "user"}', CASE WHEN k IN (5, 19, 25) THEN r < 0.8 ELSE r < 0.97 END,
       timestamp '2023-01-01' + g * interval '3 minutes', timestamp '2023-01-01' + g * interval '3 minutes', CASE WHEN r2 < 0.9 THEN greatest(1, g / 8 - (power(random(), 4) * 5000)::int) END,
       1 + (random() * 50)::int, NULL, k IN (6, 24)
FROM (SELECT g, (ARRAY[5, 5, 2, 1, 9, 6, 19, 25, 12, 24])[1 + (power(random(), 1.5) * 9)::int] AS k, 1 + (power(random(), 3) * 6000)::int AS u, random() AS r, random() AS r2
      FROM generate_series(1, 230000) AS g OFFSET 0) AS s;
INSERT INTO user_actions
SELECT g, (ARRAY[1, 2, 4, 5, 5, 6, 12, 13])[1 + (random() * 7)::int], 1 + (power(random(), 3) * 6000)::int, 1 + (random() * 29999)::int, g, 1 + (power(random(), 2) * 6000)::int,
       timestamp '2023-01-01' + g * interval '5 minutes'
FROM generate_series(1, 150000) AS g;
INSERT INTO topic_custom_fields
SELECT g, 1 + (random() * 29999)::int, n, CASE WHEN n = 'accepted_answer_post_id' THEN (g * 7)::text WHEN n = 'import_id' THEN 't' || g ELSE 'true' END, timestamp '2023-01-01' + g * interval '10 minutes'
FROM (SELECT g, CASE WHEN random() < 0.3 THEN 'accepted_answer_post_id' WHEN random() < 0.6 THEN 'import_id' ELSE 'sent_notification' END AS n FROM generate_series(1, 60000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "menu",
            "SELECT notifications.* FROM notifications LEFT JOIN topics ON notifications.topic_id = topics.id WHERE notifications.user_id = {u}"
            " AND (topics.id IS NULL OR topics.deleted_at IS NULL) ORDER BY notifications.high_priority AND NOT notifications.read DESC,"
            " NOT notifications.read AND notifications.notification_type NOT IN (5, 19, 25) DESC, notifications.created_at DESC LIMIT 30",
            ({"u": 1}, {"u": 40}, {"u": 3000}),
            100,
        ),
        Called(
            "likes",
            "SELECT notifications.* FROM notifications LEFT JOIN topics ON notifications.topic_id = topics.id WHERE notifications.user_id = {u}"
            " AND (topics.id IS NULL OR topics.deleted_at IS NULL) AND notifications.notification_type IN (5, 19, 25)"
            " ORDER BY notifications.high_priority AND NOT notifications.read DESC, NOT notifications.read DESC, notifications.created_at DESC LIMIT 30",
            ({"u": 1}, {"u": 50}, {"u": 3500}),
            40,
        ),
        Called(
            "unread",
            "SELECT count(*) FROM notifications n LEFT JOIN topics t ON t.id = n.topic_id WHERE t.deleted_at IS NULL AND n.high_priority = FALSE"
            " AND n.user_id = {u} AND n.id > {i} AND NOT n.read",
            ({"u": 1, "i": 200000}, {"u": 77, "i": 0}, {"u": 4000, "i": 100000}),
            100,
        ),
        Called(
            "engaged",
            "SELECT date(created_at) AS day, count(DISTINCT user_id) FROM user_actions WHERE action_type IN (1, 4, 5, 12) AND created_at >= {a} AND created_at < {b}"
            " GROUP BY 1 ORDER BY 1",
            (
                {"a": "2024-05-01", "b": "2024-06-01"},
                {"a": "2023-05-01", "b": "2023-05-08"},
            ),
            10,
        ),
        Called(
            "given",
            "SELECT a.target_post_id, a.created_at FROM user_actions a JOIN topics t ON t.id = a.target_topic_id WHERE a.acting_user_id = {u} AND a.action_type = {k}"
            " AND t.deleted_at IS NULL ORDER BY a.created_at DESC LIMIT 30",
            ({"u": 5, "k": 2}, {"u": 5500, "k": 1}),
            30,
        ),
        Called(
            "solved",
            "SELECT topic_custom_fields.value FROM topic_custom_fields WHERE topic_id = {t} AND name = {n} LIMIT 1",
            (
                {"t": 20000, "n": "accepted_answer_post_id"},
                {"t": 5, "n": "accepted_answer_post_id"},
            ),
            100,
        ),
        Called(
            "mark_read",
            "UPDATE notifications SET read = true, updated_at = {t} WHERE user_id = {u} AND topic_id = {p} AND NOT read",
            ({"u": 1, "p": 28000, "t": "2024-05-01"},),
            40,
        ),
        Called(
            "notify",
            "INSERT INTO notifications (id, notification_type, user_id, data, created_at, updated_at, topic_id, post_number)"
            " VALUES ({i}, 5, 1, 'x', '2024-05-01 10:00', '2024-05-01 10:00', 29000, 7)",
            ({"i": 300001},),
            100,
        ),
        Called(
            "purge",
            "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE user_id = {u} ORDER BY id ASC LIMIT 100)",
            ({"u": 1},),
            5,
        ),
    ),
    expert=(
        (
            "CREATE INDEX ON notifications (user_id, (high_priority AND NOT read) DESC,"
            " (NOT read AND notification_type NOT IN (5, 19, 25)) DESC, created_at DESC)"
        ),
        (
            "CREATE INDEX ON notifications (user_id, (high_priority AND NOT read) DESC, (NOT read) DESC, created_at DESC)"
            " WHERE notification_type IN (5, 19, 25)"
        ),
        "CREATE INDEX ON user_actions (action_type, created_at, user_id)",
        "CREATE INDEX ON user_actions (acting_user_id, action_type, created_at)",
        "CREATE INDEX ON topic_custom_fields (topic_id, name)",
    ),
)

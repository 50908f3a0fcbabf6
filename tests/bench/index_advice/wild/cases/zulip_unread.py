from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="zulip_unread",
    about=(
        "Unread and starred messages by a bit mask, flags & 1 = 0, beside (user_profile_id, message_id) alone"
        " (after zulip/zulip issues 5884 and 6896): a partial index on an expression."
    ),
    schema="""
CREATE TABLE zerver_message (
  id serial PRIMARY KEY,
  sender_id integer NOT NULL,
  recipient_id integer NOT NULL,
  subject varchar(60) NOT NULL,
  content text NOT NULL,
  date_sent timestamptz NOT NULL
);
CREATE TABLE zerver_usermessage (
  id bigserial PRIMARY KEY,
  user_profile_id integer NOT NULL,
  message_id integer NOT NULL REFERENCES zerver_message,
  flags bigint NOT NULL DEFAULT 0,
  UNIQUE (user_profile_id, message_id)
) WITH (fillfactor = 90);
""",
    load="""
SELECT setseed(0.17);
INSERT INTO zerver_message (sender_id, recipient_id, subject, content, date_sent)
SELECT (power(random(), 2) * 400)::int, (power(random(), 2) * 300)::int, 'topic ' || (random() * 500)::int,
       repeat(md5(g::text), 4), timestamptz '2025-01-01 00:00+00' + g * interval '3 minutes'
FROM generate_series(1, 40000) AS g;
INSERT INTO zerver_usermessage (user_profile_id, message_id, flags)
SELECT u, m.id,
       CASE WHEN u = 7 AND random() < 0.8 THEN 0 WHEN m.id > 39500 AND u % 3 = 0 THEN 0
            WHEN random() < 0.001 THEN 0 ELSE 1 END
       | CASE WHEN random() < 0.0015 THEN 2 ELSE 0 END | CASE WHEN random() < 0.03 THEN 8 ELSE 0 END
FROM zerver_message AS m, generate_series(1, 12) AS u
WHERE (m.id * 7919 + u * 104729) % 10 < 9;
""",
    statements=(
        Called(
            "unread",
            "SELECT message_id FROM zerver_usermessage WHERE user_profile_id = {u} AND flags & 1 = 0"
            " ORDER BY message_id LIMIT 500",
            ({"u": 7}, {"u": 1}, {"u": 3}, {"u": 11}),
            200,
        ),
        Called(
            "unread_details",
            "SELECT um.message_id, m.sender_id, m.recipient_id, m.subject FROM zerver_usermessage um"
            " JOIN zerver_message m ON m.id = um.message_id WHERE um.user_profile_id = {u} AND um.flags & 1 = 0"
            " ORDER BY um.message_id DESC LIMIT 100",
            ({"u": 1}, {"u": 3}),
            100,
        ),
        Called(
            "starred",
            "SELECT message_id FROM zerver_usermessage WHERE user_profile_id = {u} AND flags & 2 <> 0"
            " ORDER BY message_id DESC LIMIT 100",
            ({"u": 1}, {"u": 5}),
            50,
        ),
        Called(
            "mark_read",
            "UPDATE zerver_usermessage SET flags = flags | 1 WHERE user_profile_id = {u} AND message_id = ANY(ARRAY[{a}, {b}, {c}])",
            ({"u": 3, "a": 39803, "b": 39900, "c": 39951},),
            300,
        ),
    ),
    expert=(
        "CREATE INDEX ON zerver_usermessage (user_profile_id, message_id) WHERE flags & 1 = 0",
        "CREATE INDEX ON zerver_usermessage (user_profile_id, message_id) WHERE flags & 2 <> 0",
    ),
)

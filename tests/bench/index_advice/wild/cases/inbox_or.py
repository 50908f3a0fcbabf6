from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="inbox_or",
    about=(
        "Messages that a user sent or got, both arms of an OR at once, unread ones by IS NULL, and a search that allows NULL"
        " (the OR questions of dba.stackexchange and Odoo's company_id = x OR company_id IS NULL)."
    ),
    schema="""
CREATE TABLE messages (
  id bigserial PRIMARY KEY,
  sender_id integer NOT NULL,
  recipient_id integer NOT NULL,
  company_id integer,
  subject text NOT NULL,
  body text NOT NULL,
  read_at timestamptz,
  sent_at timestamptz NOT NULL
);
""",
    load="""
SELECT setseed(0.39);
INSERT INTO messages (sender_id, recipient_id, company_id, subject, body, read_at, sent_at)
SELECT CASE WHEN random() < 0.3 THEN 1 ELSE 2 + floor(power(random(), 2) * 20000)::int END, 2 + floor(power(random(), 2) * 20000)::int,
       CASE WHEN random() < 0.995 THEN (power(random(), 2) * 3000)::int END, 'Subject ' || g, repeat(md5(g::text), 5),
       CASE WHEN random() < 0.98 AND g < 195000 THEN timestamptz '2025-01-02 00:00+00' + g * interval '2 minutes' END,
       timestamptz '2025-01-01 00:00+00' + g * interval '2 minutes'
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "correspondence",
            "SELECT id, subject, sent_at FROM messages WHERE sender_id = {u} OR recipient_id = {u} ORDER BY sent_at DESC LIMIT 25",
            ({"u": 3}, {"u": 19000}, {"u": 500}, {"u": 99999}),
            100,
        ),
        Called(
            "conversation",
            "SELECT id, body FROM messages WHERE (sender_id = {a} AND recipient_id = {b}) OR (sender_id = {b} AND recipient_id = {a}) ORDER BY id",
            ({"a": 1, "b": 2}, {"a": 5, "b": 3}),
            100,
        ),
        Called(
            "unread_count",
            "SELECT count(*) FROM messages WHERE recipient_id = {u} AND read_at IS NULL",
            ({"u": 2}, {"u": 15000}),
            200,
        ),
        Called(
            "of_company",
            "SELECT count(*), max(sent_at) FROM messages WHERE company_id = {c} OR company_id IS NULL",
            ({"c": 2990}, {"c": 1000}),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON messages (sender_id, recipient_id)",
        "CREATE INDEX ON messages (recipient_id, sender_id)",
        "CREATE INDEX ON messages (recipient_id) WHERE read_at IS NULL",
        "CREATE INDEX ON messages (company_id)",
        "CREATE INDEX ON messages (sent_at)",
    ),
)

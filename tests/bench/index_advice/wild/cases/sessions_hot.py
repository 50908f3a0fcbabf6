from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="sessions_hot",
    about=(
        "TRAP: last_seen and a counter are set by every request (HOT) and read by one dashboard; an index on them costs"
        " more than it saves (the kind of report 'the index that killed write performance'). Only user_id pays."
    ),
    schema="""
CREATE TABLE user_sessions (
  id bigserial PRIMARY KEY,
  user_id bigint NOT NULL,
  token text NOT NULL,
  last_seen timestamp NOT NULL,
  hits integer NOT NULL DEFAULT 0,
  ip inet,
  user_agent text
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX user_sessions_token ON user_sessions (token);
""",
    load="""
SELECT setseed(0.24);
INSERT INTO user_sessions (user_id, token, last_seen, hits, ip, user_agent)
SELECT 1 + (power(random(), 2) * 60000)::int, md5(g::text), timestamp '2025-06-01' - power(random(), 3) * interval '90 days',
       (power(random(), 4) * 5000)::int, '10.0.0.0'::inet + (random() * 60000)::int, 'Mozilla/5.0 ' || repeat(md5((g % 200)::text), 2)
FROM generate_series(1, 150000) AS g;
""",
    statements=(
        Called(
            "touch",
            "UPDATE user_sessions SET last_seen = {now}, hits = hits + 1 WHERE id = {id}",
            tuple(
                {"now": f"2025-06-01 {n // 60:02}:{n % 60:02}:01", "id": 1 + n * 739}
                for n in range(200)
            ),
            10,
        ),
        Called(
            "by_token",
            "SELECT * FROM user_sessions WHERE token = {t}",
            ({"t": "c4ca4238a0b923820dcc509a6f75849b"}, {"t": "eccbc87e4b5ce2fe28308fd9f2a7baf3"}),
            10,
        ),
        Called(
            "of_user",
            "SELECT id, ip, last_seen FROM user_sessions WHERE user_id = {u} ORDER BY last_seen DESC",
            ({"u": 5}, {"u": 40000}, {"u": 59999}),
            10,
        ),
        Called(
            "online_now",
            "SELECT count(*) FROM user_sessions WHERE last_seen > {t}",
            ({"t": "2025-05-31 23:55"},),
        ),
        Called("busiest", "SELECT user_id, hits FROM user_sessions ORDER BY hits DESC LIMIT 10"),
    ),
    expert=("CREATE INDEX ON user_sessions (user_id)",),
)

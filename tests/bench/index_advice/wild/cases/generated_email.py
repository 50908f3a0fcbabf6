from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="generated_email",
    about=(
        "Look-ups through wrappers and generated columns: lower(email) = and = ANY, COALESCE(nickname, name), a date from a"
        " timestamp, a stored tsvector (the questions 'why is my index on email not used')."
    ),
    schema="""
CREATE TABLE members (
  id bigserial PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL,
  nickname text,
  joined_at timestamp NOT NULL,
  bio text NOT NULL,
  email_domain text GENERATED ALWAYS AS (lower(split_part(email, '@', 2))) STORED,
  search tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, name || ' ' || bio)) STORED
);
CREATE INDEX members_email ON members (email);
CREATE INDEX members_joined_at ON members (joined_at);
""",
    load="""
SELECT setseed(0.42);
INSERT INTO members (email, name, nickname, joined_at, bio)
SELECT CASE WHEN random() < 0.3 THEN 'User' ELSE 'user' END || g || '@' || CASE WHEN random() < 0.7 THEN 'Gmail.com' ELSE 'corp' || (power(random(), 2) * 4000)::int || '.example' END,
       'Name' || (random() * 60000)::int, CASE WHEN random() < 0.3 THEN 'nick' || g % 40000 END,
       timestamp '2020-01-01' + g * interval '15 minutes' + random() * interval '30 days', 'likes topic' || (power(random(), 3) * 5000)::int || ' and topic' || (power(random(), 2) * 5000)::int
FROM generate_series(1, 130000) AS g;
""",
    statements=(
        Called(
            "log_in",
            "SELECT * FROM members WHERE lower(email) = lower({e}) LIMIT 1",
            ({"e": "USER500@gmail.com"}, {"e": "x@y.example"}),
            200,
        ),
        Called(
            "invite",
            "SELECT id, email FROM members WHERE lower(email) = ANY(ARRAY[{a}, {b}])",
            ({"a": "user17@gmail.com", "b": "user99999@gmail.com"},),
            50,
        ),
        Called(
            "of_domain",
            "SELECT count(*) FROM members WHERE email_domain = {d}",
            ({"d": "gmail.com"}, {"d": "corp1234.example"}),
            50,
        ),
        Called(
            "by_shown_name",
            "SELECT id FROM members WHERE COALESCE(nickname, name) = {n} ORDER BY id",
            ({"n": "nick777"}, {"n": "Name55"}),
            100,
        ),
        Called(
            "joined_on",
            "SELECT id, name FROM members WHERE joined_at::date = {d} ORDER BY id LIMIT 50",
            ({"d": "2021-03-04"}, {"d": "2023-07-01"}),
            50,
        ),
        Called(
            "search",
            "SELECT id, name FROM members WHERE search @@ to_tsquery('simple', {q}) LIMIT 20",
            ({"q": "topic4990"}, {"q": "topic10 & likes"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON members (lower(email))",
        "CREATE INDEX ON members (email_domain)",
        "CREATE INDEX ON members ((COALESCE(nickname, name)), id)",
        "CREATE INDEX ON members ((joined_at::date), id)",
        "CREATE INDEX ON members USING gin (search)",
    ),
)

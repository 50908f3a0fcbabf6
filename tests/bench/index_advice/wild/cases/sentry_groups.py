from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="sentry_groups",
    about=(
        "Unresolved issues of several projects by last_seen, a column that every event sets, a range of types, and the neighbor of an event"
        " whose group has hardly any (after getsentry/sentry issue 1290 and pulls 25284, 26416, 39022 and 114352)."
    ),
    schema="""
CREATE TABLE sentry_groupedmessage (
  id bigint PRIMARY KEY,
  project_id bigint NOT NULL,
  status integer NOT NULL,
  type integer NOT NULL,
  level integer NOT NULL,
  message text NOT NULL,
  culprit varchar(200),
  times_seen integer NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX sentry_groupedmessage_project ON sentry_groupedmessage (project_id);
CREATE INDEX sentry_groupedmessage_first_seen ON sentry_groupedmessage (first_seen);
CREATE TABLE sentry_message (id bigint PRIMARY KEY, group_id bigint, project_id bigint NOT NULL, event_id varchar(32) NOT NULL, datetime timestamptz NOT NULL, message text);
CREATE INDEX sentry_message_datetime ON sentry_message (datetime);
CREATE INDEX sentry_message_event ON sentry_message (project_id, event_id);
""",
    load="""
SELECT setseed(0.72);
INSERT INTO sentry_groupedmessage
SELECT g, 1 + (power(random(), 2) * 250)::int, CASE WHEN random() < 0.35 THEN 0 WHEN random() < 0.8 THEN 1 ELSE 2 END,
       CASE WHEN random() < 0.9 THEN 1 ELSE 1000 + (random() * 20)::int END, 10 * (1 + (random() * 4)::int), 'Error: ' || md5(g::text), 'app.views.' || g % 400,
       (power(random(), 4) * 10000)::int, s.t, s.t + power(random(), 6) * (timestamptz '2025-06-01 00:00+00' - s.t)
FROM (SELECT g, timestamptz '2025-06-01 00:00+00' - (100000 - g) * interval '6 minutes' AS t FROM generate_series(1, 100000) AS g OFFSET 0) AS s;
INSERT INTO sentry_message
SELECT g, CASE WHEN random() < 0.02 THEN 50000 + (random() * 49999)::int ELSE 1 + (power(random(), 4) * 3000)::int END, 1 + g % 250, md5(g::text),
       timestamptz '2025-05-01 00:00+00' + g * interval '12 seconds', repeat(md5(g::text), 5)
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "stream",
            "SELECT id, message, culprit, times_seen, last_seen FROM sentry_groupedmessage WHERE project_id IN ({a}, {b}) AND status = {s}"
            " ORDER BY last_seen DESC LIMIT 25",
            (
                {"a": 1, "b": 2, "s": 0},
                {"a": 200, "b": 240, "s": 0},
                {"a": 90, "b": 91, "s": 2},
            ),
            100,
        ),
        Called(
            "of_type",
            "SELECT id, last_seen FROM sentry_groupedmessage WHERE project_id = {p} AND status = {s} AND type >= {t} AND type <= {u}"
            " AND last_seen >= {f} ORDER BY last_seen DESC, id DESC LIMIT 100",
            (
                {"p": 1, "s": 0, "t": 1000, "u": 1999, "f": "2025-03-01"},
                {"p": 150, "s": 0, "t": 1000, "u": 1999, "f": "2025-03-01"},
            ),
            40,
        ),
        Called(
            "next_event",
            "SELECT id, event_id, datetime FROM sentry_message WHERE group_id = {g} AND datetime >= {d} AND NOT id = {i} ORDER BY datetime ASC LIMIT 1",
            (
                {"g": 70000, "d": "2025-05-02 10:00+00", "i": 9000},
                {"g": 1, "d": "2025-05-20 10:00+00", "i": 140000},
                {"g": 2500, "d": "2025-05-10 10:00+00", "i": 67800},
            ),
            40,
        ),
        Called(
            "stale",
            "SELECT id FROM sentry_groupedmessage WHERE project_id = {p} AND status = {s} AND last_seen <= {d} LIMIT 1000",
            ({"p": 40, "s": 0, "d": "2024-06-01"}, {"p": 249, "s": 0, "d": "2025-01-01"}),
            5,
        ),
        Called(
            "seen",
            "UPDATE sentry_groupedmessage SET times_seen = times_seen + {n}, last_seen = {d} WHERE id = {g}",
            (
                {"n": 1, "d": "2025-06-01 00:01+00", "g": 30},
                {"n": 3, "d": "2025-06-01 00:02+00", "g": 77000},
            ),
            60,
        ),
        Called(
            "store",
            "INSERT INTO sentry_message VALUES ({i}, {g}, 7, 'e', '2025-06-01', 'boom')",
            ({"i": 300001, "g": 30},),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON sentry_groupedmessage (project_id, status, last_seen, id)",
        "CREATE INDEX ON sentry_message (group_id, datetime)",
    ),
)

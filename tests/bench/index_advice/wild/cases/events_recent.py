from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="events_recent",
    about=(
        "Counts since CURRENT_DATE - n, days filled by generate_series, GROUP BY date_trunc with CASE sums, and the"
        " latest event of a name, in data that ends today (the dashboards of Ahoy, PostHog and Metabase)."
    ),
    schema="""
CREATE TABLE ahoy_events (
  id bigserial PRIMARY KEY,
  visit_id integer NOT NULL,
  user_id integer,
  name text NOT NULL,
  properties jsonb NOT NULL,
  time timestamp NOT NULL
);
CREATE INDEX index_ahoy_events_on_name ON ahoy_events (name);
CREATE INDEX index_ahoy_events_on_user_id ON ahoy_events (user_id);
""",
    load="""
SELECT setseed(0.44);
INSERT INTO ahoy_events (visit_id, user_id, name, properties, time)
SELECT g / 7, CASE WHEN random() < 0.4 THEN (power(random(), 2) * 20000)::int END, s.n,
       jsonb_build_object('page', '/p/' || (power(random(), 3) * 3000)::int, 'v', g % 9, 'plan', CASE WHEN random() < 0.001 THEN 'enterprise' ELSE 'free' END),
       CURRENT_DATE + time '00:00' - power((250000 - g) / 250000.0::float8, 1.5) * interval '400 days'
FROM (SELECT g, CASE WHEN random() < 0.9 THEN 'view' WHEN random() < 0.9 THEN 'click' WHEN g < 60000 AND random() < 0.5 THEN 'legacy'
                     ELSE 'purchase' END AS n
      FROM generate_series(1, 250000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "purchases_by_day",
            "SELECT d::date, count(e.id) FROM generate_series(CURRENT_DATE - {n}, CURRENT_DATE, interval '1 day') AS d"
            " LEFT JOIN ahoy_events e ON e.name = 'purchase' AND e.time >= d AND e.time < d + interval '1 day' GROUP BY d ORDER BY d",
            ({"n": 7}, {"n": 30}),
            50,
        ),
        Called(
            "since",
            "SELECT count(*) FROM ahoy_events WHERE name = {e} AND time >= CURRENT_DATE - {n}",
            ({"e": "purchase", "n": 30}, {"e": "view", "n": 2}, {"e": "legacy", "n": 7}),
            100,
        ),
        Called(
            "funnel",
            "SELECT date_trunc({u}, time), sum(CASE WHEN name = 'view' THEN 1 ELSE 0 END) AS views,"
            " sum(CASE WHEN name = 'purchase' THEN 1 ELSE 0 END) AS bought FROM ahoy_events WHERE time >= CURRENT_DATE - {n}"
            " GROUP BY date_trunc({u}, time) ORDER BY date_trunc({u}, time)",
            ({"u": "day", "n": 3}, {"u": "week", "n": 14}),
            20,
        ),
        Called(
            "latest_of_name",
            "SELECT id, time, properties FROM ahoy_events WHERE name = {e} ORDER BY time DESC LIMIT 10",
            ({"e": "legacy"}, {"e": "purchase"}, {"e": "view"}),
            100,
        ),
        Called(
            "enterprise",
            "SELECT id, user_id FROM ahoy_events WHERE properties ->> 'plan' = 'enterprise' AND time >= CURRENT_DATE - {n}",
            ({"n": 365}, {"n": 90}),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON ahoy_events (name, time) INCLUDE (id)",
        "CREATE INDEX ON ahoy_events (time) INCLUDE (name)",
        "CREATE INDEX ON ahoy_events ((properties ->> 'plan'), time)",
    ),
)

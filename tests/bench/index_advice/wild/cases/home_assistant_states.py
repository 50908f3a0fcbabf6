from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="home_assistant_states",
    about=(
        "The last state of each of a list of sensors before a moment, as max() in a group and as a correlated subquery, their history, and"
        " purging, with times in double precision (after home-assistant/core issues 91514, 94435 and 132865)."
    ),
    schema="""
CREATE TABLE states_meta (metadata_id bigint PRIMARY KEY, entity_id varchar(255) UNIQUE);
CREATE TABLE states (
  state_id bigint PRIMARY KEY,
  state varchar(255),
  last_changed_ts double precision,
  last_updated_ts double precision,
  old_state_id bigint,
  attributes_id bigint,
  metadata_id bigint
);
CREATE INDEX ix_states_last_updated_ts ON states (last_updated_ts);
CREATE INDEX ix_states_attributes_id ON states (attributes_id);
CREATE TABLE statistics_short_term (
  id bigint PRIMARY KEY, metadata_id bigint, start_ts double precision, mean double precision, min double precision, max double precision, sum double precision
);
CREATE INDEX ix_statistics_short_term_start_ts ON statistics_short_term (start_ts);
""",
    load="""
SELECT setseed(0.69);
INSERT INTO states_meta SELECT g, 'sensor.s' || g FROM generate_series(1, 500) AS g;
INSERT INTO states
SELECT g, round((random() * 90)::numeric, 1)::text, CASE WHEN random() < 0.3 THEN s.t - 5 END, s.t, CASE WHEN g > 600 THEN g - 1 - (power(random(), 2) * 500)::int END,
       1 + (power(random(), 2) * 3000)::int, CASE WHEN g < 100000 AND random() < 0.02 THEN 450 + (random() * 50)::int ELSE 1 + (power(random(), 3) * 440)::int END
FROM (SELECT g, 1733000000 + g * 3 + random() AS t FROM generate_series(1, 300000) AS g OFFSET 0) AS s;
INSERT INTO statistics_short_term
SELECT row_number() OVER (ORDER BY t, m), m, 1733000000 + t * 300, random() * 50, random() * 20, random() * 90, t
FROM generate_series(1, 2000) AS t, generate_series(1, 100) AS m WHERE m <= 90 OR t < 900;
""",
    statements=(
        Called(
            "start_states",
            "SELECT states.metadata_id, states.state, states.last_updated_ts FROM states JOIN (SELECT metadata_id AS m, max(last_updated_ts) AS u"
            " FROM states WHERE last_updated_ts < {t} AND metadata_id IN ({a}, {b}, {c}, {d}) GROUP BY metadata_id) AS last"
            " ON states.metadata_id = last.m AND states.last_updated_ts = last.u",
            (
                {"t": 1733890000, "a": 3, "b": 200, "c": 439, "d": 471},
                {"t": 1733700000, "a": 100, "b": 350, "c": 455, "d": 490},
            ),
            60,
        ),
        Called(
            "start_states_correlated",
            "SELECT states_meta.metadata_id, (SELECT state FROM states WHERE states.metadata_id = states_meta.metadata_id AND last_updated_ts < {t}"
            " ORDER BY last_updated_ts DESC LIMIT 1) AS state FROM states_meta WHERE states_meta.metadata_id IN ({a}, {b}, {c}, {d})",
            (
                {"t": 1733890000, "a": 3, "b": 200, "c": 439, "d": 471},
                {"t": 1733150000, "a": 20, "b": 30, "c": 40, "d": 480},
            ),
            60,
        ),
        Called(
            "history",
            "SELECT metadata_id, state, last_updated_ts FROM states WHERE metadata_id IN ({a}, {b}) AND last_updated_ts > {f} AND last_updated_ts < {t}"
            " ORDER BY metadata_id, last_updated_ts",
            (
                {"a": 1, "b": 300, "f": 1733813600, "t": 1733900000},
                {"a": 60, "b": 470, "f": 1733200000, "t": 1733804800},
            ),
            60,
        ),
        Called(
            "latest_statistics",
            "SELECT s.metadata_id, s.start_ts, s.mean, s.sum FROM statistics_short_term s JOIN (SELECT max(start_ts) AS start_max, metadata_id AS m"
            " FROM statistics_short_term WHERE metadata_id IN ({a}, {b}, {c}) GROUP BY metadata_id) AS latest"
            " ON s.metadata_id = latest.m AND s.start_ts = latest.start_max",
            ({"a": 3, "b": 50, "c": 95}, {"a": 10, "b": 20, "c": 30}),
            30,
        ),
        Called(
            "unlink",
            "UPDATE states SET old_state_id = NULL WHERE old_state_id IN ({a}, {b}, {c}, {d})",
            ({"a": 5, "b": 700, "c": 1200, "d": 1300},),
            10,
        ),
        Called(
            "record",
            "INSERT INTO states VALUES ({i}, '21.5', NULL, 1733900100.5, 299000, 77, 3)",
            ({"i": 400001},),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON states (metadata_id, last_updated_ts)",
        "CREATE INDEX ON states (old_state_id)",
        "CREATE INDEX ON statistics_short_term (metadata_id, start_ts)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="sensor_partitions",
    about=(
        "A table with monthly partitions and an index on the time alone: the last rows of a device that sent seldom, hourly sums, and"
        " rare alarms (the questions of users of TimescaleDB and pg_partman)."
    ),
    schema="""
CREATE TABLE samples (
  device_id integer NOT NULL,
  ts timestamptz NOT NULL,
  metric smallint NOT NULL,
  value double precision NOT NULL,
  alarm text
) PARTITION BY RANGE (ts);
CREATE TABLE samples_2025_01 PARTITION OF samples FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
CREATE TABLE samples_2025_02 PARTITION OF samples FOR VALUES FROM ('2025-02-01 00:00+00') TO ('2025-03-01 00:00+00');
CREATE TABLE samples_2025_03 PARTITION OF samples FOR VALUES FROM ('2025-03-01 00:00+00') TO ('2025-04-01 00:00+00');
CREATE TABLE samples_2025_04 PARTITION OF samples FOR VALUES FROM ('2025-04-01 00:00+00') TO ('2025-05-01 00:00+00');
CREATE TABLE samples_rest PARTITION OF samples DEFAULT;
CREATE INDEX samples_ts ON samples (ts);
""",
    load="""
SELECT setseed(0.41);
INSERT INTO samples
SELECT CASE WHEN g < 120000 THEN floor(random() * 500)::int ELSE 20 + floor(power(random(), 2) * 480)::int END,
       timestamptz '2025-01-01 00:00+00' + g * interval '28 seconds', (random() * 5)::int, random() * 100,
       CASE WHEN random() < 0.0005 THEN 'over' WHEN random() < 0.0005 THEN 'under' END
FROM generate_series(1, 360000) AS g;
""",
    statements=(
        Called(
            "last_of_device",
            "SELECT ts, metric, value FROM samples WHERE device_id = {d} ORDER BY ts DESC LIMIT 5",
            ({"d": 3}, {"d": 20}, {"d": 490}),
            100,
        ),
        Called(
            "hourly",
            "SELECT date_trunc('hour', ts), avg(value) FROM samples WHERE device_id = {d} AND metric = {m}"
            " AND ts >= {f} AND ts < {t} GROUP BY date_trunc('hour', ts)",
            (
                {"d": 25, "m": 2, "f": "2025-03-01 00:00+00", "t": "2025-03-08 00:00+00"},
                {"d": 400, "m": 1, "f": "2025-01-20 00:00+00", "t": "2025-02-10 00:00+00"},
            ),
            100,
        ),
        Called(
            "alarms",
            "SELECT device_id, ts, alarm FROM samples WHERE alarm IS NOT NULL AND ts >= {f} ORDER BY ts DESC LIMIT 50",
            ({"f": "2025-04-20 00:00+00"}, {"f": "2025-01-01 00:00+00"}),
            50,
        ),
        Called(
            "record",
            "INSERT INTO samples VALUES ({d}, {t}, 1, 20.5, NULL)",
            ({"d": 7, "t": "2025-04-28 00:00:01+00"}, {"d": 300, "t": "2025-04-28 00:00:02+00"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON samples (device_id, ts)",
        "CREATE INDEX ON samples (ts) WHERE alarm IS NOT NULL",
    ),
)

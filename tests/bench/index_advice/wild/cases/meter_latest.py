from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="meter_latest",
    about=(
        "The latest reading per meter with DISTINCT ON, LATERAL and a daily GROUP BY date_trunc, where meters that"
        " stopped sending have their last rows far back (the greatest-n-per-group questions of dba.stackexchange)."
    ),
    schema="""
CREATE TABLE sites (id integer PRIMARY KEY, name text NOT NULL, region text NOT NULL);
CREATE TABLE meters (
  id integer PRIMARY KEY,
  site_id integer NOT NULL REFERENCES sites,
  serial text NOT NULL,
  active boolean NOT NULL
);
CREATE TABLE readings (
  id bigserial PRIMARY KEY,
  meter_id integer NOT NULL REFERENCES meters,
  read_at timestamptz NOT NULL,
  kwh double precision NOT NULL,
  quality text NOT NULL,
  raw text
);
CREATE INDEX readings_read_at_idx ON readings (read_at);
""",
    load="""
SELECT setseed(0.21);
INSERT INTO sites SELECT g, 'site ' || g, 'r' || g % 7 FROM generate_series(1, 150) AS g;
INSERT INTO meters SELECT g, 1 + floor(power(random(), 2) * 150)::int, 'SN' || md5(g::text), g % 9 <> 0
FROM generate_series(1, 1500) AS g;
INSERT INTO readings (meter_id, read_at, kwh, quality, raw)
SELECT m, timestamptz '2025-01-01 00:00+00' + d * interval '8 hours' + m * interval '7 seconds', random() * 40,
       CASE WHEN random() < 0.97 THEN 'ok' WHEN random() < 0.7 THEN 'estimated' ELSE 'error' END, md5(random()::text)
FROM generate_series(0, 269) AS d, generate_series(1, 1500) AS m
WHERE NOT (m % 9 = 0 AND d > 20 + m % 40);
""",
    statements=(
        Called(
            "latest_of_meters",
            "SELECT DISTINCT ON (meter_id) meter_id, read_at, kwh FROM readings WHERE meter_id = ANY(ARRAY[{a}, {b}, {c}])"
            " ORDER BY meter_id, read_at DESC",
            ({"a": 9, "b": 10, "c": 11}, {"a": 333, "b": 711, "c": 1498}),
            200,
        ),
        Called(
            "latest_of_site",
            "SELECT m.id, m.serial, r.read_at, r.kwh FROM meters m LEFT JOIN LATERAL (SELECT read_at, kwh FROM readings"
            " WHERE meter_id = m.id AND quality <> 'error' ORDER BY read_at DESC LIMIT 1) r ON true WHERE m.site_id = {s}",
            ({"s": 3}, {"s": 120}, {"s": 1}),
            100,
        ),
        Called(
            "daily",
            "SELECT date_trunc('day', read_at) AS day, sum(kwh), sum(CASE WHEN quality = 'ok' THEN 1 ELSE 0 END) AS good"
            " FROM readings WHERE meter_id = {m} AND read_at >= {f} AND read_at < {t}"
            " GROUP BY date_trunc('day', read_at) ORDER BY 1",
            (
                {"m": 77, "f": "2025-02-01 00:00+00", "t": "2025-03-01 00:00+00"},
                {"m": 900, "f": "2025-03-25 00:00+00", "t": "2025-04-01 00:00+00"},
            ),
            200,
        ),
        Called(
            "last_error",
            "SELECT max(read_at) FROM readings WHERE meter_id = {m} AND quality = 'error'",
            ({"m": 12}, {"m": 1400}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON readings (meter_id, read_at DESC)",
        "CREATE INDEX ON readings (meter_id, read_at) WHERE quality = 'error'",
        "CREATE INDEX ON meters (site_id)",
    ),
)

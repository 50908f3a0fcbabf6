from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="geo_nearest",
    about=(
        "Nearest neighbors by <-> on a point column and on point(lon, lat), and boxes, without PostGIS; the sample's own"
        " point must not get into an index (the use-the-index-luke kind of KNN)."
    ),
    schema="""
CREATE TABLE places (
  id serial PRIMARY KEY,
  name text NOT NULL,
  kind text NOT NULL,
  loc point NOT NULL,
  closed_at date
);
CREATE TABLE drivers (
  id serial PRIMARY KEY,
  lon double precision NOT NULL,
  lat double precision NOT NULL,
  vehicle text NOT NULL,
  rating real NOT NULL
);
""",
    load="""
SELECT setseed(0.37);
INSERT INTO places (name, kind, loc, closed_at)
SELECT 'Place ' || g, (ARRAY['cafe', 'cafe', 'shop', 'atm', 'museum'])[1 + floor(random() * 5)::int],
       CASE WHEN random() < 0.5 THEN point(13.4 + (random() - 0.5) * random() * 0.4, 52.5 + (random() - 0.5) * random() * 0.3)
            ELSE point(6 + random() * 9, 47 + random() * 8) END,
       CASE WHEN random() < 0.1 THEN date '2024-05-05' END
FROM generate_series(1, 200000) AS g;
INSERT INTO drivers (lon, lat, vehicle, rating)
SELECT 6 + random() * 9, 47 + random() * 8, 'car' || g % 4, 3 + random() * 2 FROM generate_series(1, 100000) AS g;
""",
    statements=(
        Called(
            "nearest",
            "SELECT id, name, loc <-> {p}::point AS d FROM places WHERE closed_at IS NULL ORDER BY loc <-> {p}::point LIMIT 10",
            ({"p": "(13.41,52.51)"}, {"p": "(10.5,51.3)"}, {"p": "(7.1,54.9)"}),
            100,
        ),
        Called(
            "in_box",
            "SELECT count(*) FROM places WHERE loc <@ box({a}::point, {b}::point) AND kind = 'museum'",
            ({"a": "(13.40,52.50)", "b": "(13.41,52.505)"}, {"a": "(8.0,50.0)", "b": "(8.2,50.1)"}),
            100,
        ),
        Called(
            "nearest_driver",
            "SELECT id, vehicle FROM drivers WHERE rating > 3.5 ORDER BY point(lon, lat) <-> {p}::point LIMIT 5",
            ({"p": "(9.9,53.5)"}, {"p": "(6.8,51.2)"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON places USING gist (loc)",
        "CREATE INDEX ON drivers USING gist (point(lon, lat))",
    ),
)

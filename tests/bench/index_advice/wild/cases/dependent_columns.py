from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="dependent_columns",
    about=(
        "TRAP: country, state, city and zip depend on each other, so that the planner expects one row where there are"
        " thousands, and ORDER BY … LIMIT goes wrong (the multivariate statistics questions)."
    ),
    schema="""
CREATE TABLE addresses (
  id bigserial PRIMARY KEY,
  country text NOT NULL,
  state text NOT NULL,
  city text NOT NULL,
  zip text NOT NULL,
  street text NOT NULL,
  verified boolean NOT NULL,
  updated_at timestamp NOT NULL
);
CREATE INDEX addresses_city ON addresses (city);
""",
    load="""
SELECT setseed(0.30);
INSERT INTO addresses (country, state, city, zip, street, verified, updated_at)
SELECT 'C' || s.z / 250, 'S' || s.z / 40, 'City ' || s.z / 8, 'Z' || s.z, 'Street ' || (random() * 90000)::int,
       CASE WHEN s.z / 250 = 0 THEN random() < 0.99 ELSE random() < 0.4 END,
       timestamp '2023-01-01' + CASE WHEN s.z / 8 % 5 = 0 THEN g * interval '30 seconds' ELSE random() * interval '800 days' END
FROM (SELECT g, floor(power(random(), 2.2) * 1000)::int AS z FROM generate_series(1, 300000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "in_zip",
            "SELECT id, street FROM addresses WHERE country = {c} AND state = {s} AND city = {t} AND zip = {z}"
            " ORDER BY street LIMIT 50",
            (
                {"c": "C0", "s": "S0", "t": "City 0", "z": "Z0"},
                {"c": "C2", "s": "S15", "t": "City 75", "z": "Z605"},
                {"c": "C0", "s": "S2", "t": "City 11", "z": "Z92"},
            ),
            100,
        ),
        Called(
            "latest_in_city",
            "SELECT id, street, updated_at FROM addresses WHERE country = {c} AND city = {t} AND NOT verified"
            " ORDER BY updated_at DESC LIMIT 20",
            ({"c": "C0", "t": "City 0"}, {"c": "C0", "t": "City 5"}, {"c": "C3", "t": "City 120"}),
            100,
        ),
        Called(
            "mismatch",
            "SELECT count(*) FROM addresses WHERE state = {s} AND zip = {z}",
            ({"s": "S1", "z": "Z3"}, {"s": "S0", "z": "Z3"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON addresses (zip, city, state, country, street)",
        "CREATE INDEX ON addresses (city, country, updated_at) WHERE NOT verified",
        "CREATE INDEX ON addresses (zip, state)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="correlated_leader",
    about=(
        "TRAP: a table in the order of a column of few values (the imported batch) whose correlation makes an index led by it look"
        " cheap; the selective column is scattered over all of the table (the questions on order of columns)."
    ),
    schema="""
CREATE TABLE measurements (
  id bigint NOT NULL,
  batch smallint NOT NULL,
  site smallint NOT NULL,
  instrument integer NOT NULL,
  taken_on date NOT NULL,
  value real NOT NULL,
  flags integer NOT NULL,
  remark text
);
""",
    load="""
SELECT setseed(0.29);
INSERT INTO measurements
SELECT g, g / 50000, (g / 50000) % 4, (power(random(), 1.7) * 9000)::int, date '2020-01-01' + (random() * 1500)::int,
       random() * 100, (random() * 3)::int, repeat(md5(g::text), 3)
FROM generate_series(0, 399999) AS g;
""",
    statements=(
        Called(
            "of_instrument",
            "SELECT taken_on, value FROM measurements WHERE batch >= {b} AND instrument = {i} ORDER BY taken_on",
            ({"b": 2, "i": 4000}, {"b": 5, "i": 12}, {"b": 0, "i": 8999}),
            100,
        ),
        Called(
            "in_range",
            "SELECT avg(value) FROM measurements WHERE batch IN ({x}, {y}) AND instrument BETWEEN {i} AND {j} AND flags <> 3",
            ({"x": 3, "y": 6, "i": 5000, "j": 5010}, {"x": 1, "y": 2, "i": 100, "j": 102}),
            100,
        ),
        Called(
            "site_days",
            "SELECT count(*), max(value) FROM measurements WHERE site = {s} AND instrument = {i} AND taken_on >= {d}",
            ({"s": 2, "i": 777, "d": "2023-01-01"}, {"s": 0, "i": 6001, "d": "2021-01-01"}),
            100,
        ),
        Called(
            "by_id", "SELECT * FROM measurements WHERE id = {i}", ({"i": 123456}, {"i": 399000}), 50
        ),
    ),
    expert=(
        "CREATE INDEX ON measurements (instrument, batch, taken_on)",
        "CREATE INDEX ON measurements (id)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="report_scans",
    about=(
        "TRAP: no index helps. Reports that read most of a table (CASE sums, GROUP BY date_trunc, an inequality that keeps"
        " 70 %), lookups that have their index, and tables of a few pages (the questions 'why does it not use my index')."
    ),
    schema="""
CREATE TABLE countries (id integer PRIMARY KEY, code text NOT NULL, vat numeric NOT NULL);
CREATE TABLE sales (
  id bigserial PRIMARY KEY,
  sold_on date NOT NULL,
  country_id integer NOT NULL REFERENCES countries,
  channel text NOT NULL,
  amount numeric(10, 2) NOT NULL,
  refunded boolean NOT NULL,
  customer_id integer NOT NULL
);
CREATE INDEX sales_customer_id ON sales (customer_id, sold_on);
""",
    load="""
SELECT setseed(0.25);
INSERT INTO countries SELECT g, chr(65 + g % 26) || chr(65 + g / 26), 5 + g % 20 FROM generate_series(0, 59) AS g;
INSERT INTO sales (sold_on, country_id, channel, amount, refunded, customer_id)
SELECT date '2023-01-01' + (random() * 800)::int, (power(random(), 2) * 59)::int,
       (ARRAY['web', 'web', 'shop', 'app'])[1 + floor(random() * 4)::int], (random() * 300)::numeric(10, 2),
       random() < 0.3, 1 + (random() * 30000)::int
FROM generate_series(1, 300000) AS g;
""",
    statements=(
        Called(
            "by_month",
            "SELECT date_trunc('month', sold_on) AS m, sum(amount), sum(CASE WHEN refunded THEN amount ELSE 0 END)"
            " FROM sales GROUP BY date_trunc('month', sold_on) ORDER BY 1",
            calls=20,
        ),
        Called(
            "by_channel",
            "SELECT channel, avg(amount), count(*) FILTER (WHERE refunded) AS back FROM sales WHERE sold_on >= {d}"
            " AND channel <> 'app' AND customer_id > 0 GROUP BY channel",
            ({"d": "2023-02-01"}, {"d": "2023-05-01"}),
            20,
        ),
        Called(
            "spread",
            "SELECT c.code, percentile_cont(0.5) WITHIN GROUP (ORDER BY s.amount), max(s.sold_on), min(s.customer_id), bool_or(s.refunded)"
            " FROM sales s JOIN countries c ON c.id = s.country_id WHERE s.amount * (1 + c.vat / 100) > {a} GROUP BY c.code",
            ({"a": 20}, {"a": 60}),
            10,
        ),
        Called(
            "of_customer",
            "SELECT * FROM sales WHERE customer_id = {c} ORDER BY sold_on DESC",
            ({"c": 17}, {"c": 29000}),
            500,
        ),
        Called("country", "SELECT id FROM countries WHERE code = {c}", ({"c": "BA"},), 2000),
    ),
    expert=(),
)

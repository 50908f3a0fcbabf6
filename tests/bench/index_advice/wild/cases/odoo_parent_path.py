from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="odoo_parent_path",
    about=(
        "Subtrees by a prefix of a path, LIKE '1/22/%', and a join on a range of paths, in a collation that a plain B-tree"
        " does not serve (after odoo/odoo pulls 22558 and 287180 and nexi-lab/nexus issue 697)."
    ),
    schema="""
CREATE TABLE stock_location (
  id integer PRIMARY KEY,
  parent_path varchar NOT NULL,
  name varchar NOT NULL,
  usage varchar NOT NULL,
  company_id integer
);
CREATE INDEX stock_location_parent_path_index ON stock_location (parent_path);
CREATE TABLE stock_quant (
  id serial PRIMARY KEY,
  product_id integer NOT NULL,
  location_id integer NOT NULL REFERENCES stock_location,
  company_id integer,
  quantity numeric NOT NULL,
  reserved_quantity numeric NOT NULL,
  in_date timestamp NOT NULL
);
CREATE INDEX stock_quant_product_id_index ON stock_quant (product_id);
""",
    load="""
SELECT setseed(0.31);
INSERT INTO stock_location
SELECT g, '1/' || 10 + g % 30 || '/' || 100 + g % 900 || '/' || g || '/', 'LOC/' || substr(md5(g::text), 1, 6),
       CASE WHEN random() < 0.9 THEN 'internal' WHEN random() < 0.5 THEN 'transit' ELSE 'customer' END, g % 3 + 1
FROM generate_series(1001, 61000) AS g;
INSERT INTO stock_quant (product_id, location_id, company_id, quantity, reserved_quantity, in_date)
SELECT (power(random(), 2) * 20000)::int, 1001 + floor(power(random(), 1.5) * 60000)::int, g % 3 + 1,
       CASE WHEN random() < 0.02 THEN -1 ELSE (random() * 90)::int END, CASE WHEN random() < 0.1 THEN 1 ELSE 0 END,
       timestamp '2024-01-01' + g * interval '2 minutes'
FROM generate_series(1, 250000) AS g;
""",
    statements=(
        Called(
            "child_of",
            'SELECT "stock_location".id FROM "stock_location" WHERE ("stock_location"."parent_path"::text LIKE {p})'
            ' ORDER BY "stock_location"."id"',
            ({"p": "1/12/102/%"}, {"p": "1/10/%"}, {"p": "1/39/999/60999/%"}),
            100,
        ),
        Called(
            "quants_below",
            "SELECT sq.product_id, sum(sq.quantity) FROM stock_quant sq JOIN stock_location sl ON sl.id = sq.location_id"
            " WHERE sl.parent_path LIKE {p} AND sl.usage = 'internal' GROUP BY sq.product_id",
            ({"p": "1/13/133/%"}, {"p": "1/39/969/5%"}),
            100,
        ),
        Called(
            "of_product_below",
            "SELECT sq.id, sq.quantity - sq.reserved_quantity FROM stock_quant sq WHERE sq.product_id = {i} AND sq.quantity > 0"
            " AND EXISTS (SELECT 1 FROM stock_location sl WHERE sl.id = sq.location_id AND sl.parent_path LIKE {p})"
            " ORDER BY sq.in_date, sq.id",
            ({"i": 3, "p": "1/12/%"}, {"i": 15000, "p": "1/20/%"}),
            100,
        ),
        Called(
            "negative",
            "SELECT location_id, count(*) FROM stock_quant WHERE quantity < 0 GROUP BY location_id ORDER BY 2 DESC LIMIT 10",
            calls=10,
        ),
    ),
    expert=(
        "CREATE INDEX ON stock_location (parent_path varchar_pattern_ops, id)",
        "CREATE INDEX ON stock_quant (location_id)",
        "CREATE INDEX ON stock_quant (location_id) WHERE quantity < 0",
        "CREATE INDEX ON stock_quant (product_id, location_id) INCLUDE (quantity, reserved_quantity, in_date, id)",
    ),
)

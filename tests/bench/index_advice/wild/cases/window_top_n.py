from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="window_top_n",
    about=(
        "Top n per group with row_number(), a page over UNION ALL (whose order no index gives), an order in another collation, IN of a subquery with LIMIT, and"
        " rare rows by IS NULL (reports of Metabase, Hasura's nested limits, the greatest-n-per-group questions)."
    ),
    schema="""
CREATE TABLE shops (id integer PRIMARY KEY, owner_id integer NOT NULL, name text NOT NULL);
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  shop_id integer NOT NULL,
  customer_email text NOT NULL,
  total numeric(10, 2) NOT NULL,
  placed_at timestamptz NOT NULL,
  shipped_at timestamptz,
  comment text
);
CREATE TABLE refunds (
  id bigserial PRIMARY KEY,
  shop_id integer NOT NULL,
  order_id bigint NOT NULL,
  amount numeric(10, 2) NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX orders_shop_id ON orders (shop_id);
""",
    load="""
SELECT setseed(0.53);
INSERT INTO shops SELECT g, (power(random(), 2) * 400)::int, 'Shop ' || md5(g::text) FROM generate_series(1, 2000) AS g;
INSERT INTO orders (shop_id, customer_email, total, placed_at, shipped_at, comment)
SELECT 1 + floor(power(random(), 3) * 2000)::int, 'c' || (power(random(), 2) * 40000)::int || '@example.org', (random() * 400)::numeric(10, 2),
       timestamptz '2024-01-01 00:00+00' + g * interval '2 minutes',
       CASE WHEN g < 239000 AND random() < 0.999 THEN timestamptz '2024-01-03 00:00+00' + g * interval '2 minutes' END, repeat(md5(g::text), 3)
FROM generate_series(1, 240000) AS g;
INSERT INTO refunds (shop_id, order_id, amount, created_at)
SELECT shop_id, id, total / 2, placed_at + interval '5 days' FROM orders WHERE random() < 0.1;
""",
    statements=(
        Called(
            "best_of_owner",
            "SELECT shop_id, id, total FROM (SELECT o.shop_id, o.id, o.total, row_number() OVER (PARTITION BY o.shop_id ORDER BY o.total DESC) AS n"
            " FROM orders o WHERE o.shop_id IN (SELECT id FROM shops WHERE owner_id = {o})) t WHERE n <= 3",
            ({"o": 300}, {"o": 1}, {"o": 390}),
            50,
        ),
        Called(
            "ledger",
            "SELECT * FROM (SELECT id, total AS amount, placed_at AS at FROM orders WHERE shop_id = {s} UNION ALL"
            " SELECT id, amount, created_at FROM refunds WHERE shop_id = {s}) l ORDER BY at DESC LIMIT 20",
            ({"s": 300}, {"s": 1900}, {"s": 40}),
            100,
        ),
        Called(
            "unshipped",
            "SELECT id, shop_id FROM orders WHERE shipped_at IS NULL AND placed_at < {t} ORDER BY placed_at LIMIT 50",
            ({"t": "2024-11-01 00:00+00"}, {"t": "2024-02-01 00:00+00"}),
            100,
        ),
        Called(
            "emails_from",
            'SELECT DISTINCT customer_email FROM orders WHERE customer_email COLLATE "C" > {e} ORDER BY customer_email LIMIT 20',
            ({"e": "c9999"},),
            20,
        ),
        Called(
            "orders_of",
            "SELECT id, total, placed_at FROM orders WHERE customer_email = {e} ORDER BY placed_at DESC LIMIT 10",
            ({"e": "c0@example.org"}, {"e": "c39000@example.org"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON orders (shop_id, placed_at) INCLUDE (id, total)",
        "CREATE INDEX ON refunds (shop_id, created_at) INCLUDE (id, amount)",
        "CREATE INDEX ON orders (placed_at) WHERE shipped_at IS NULL",
        "CREATE INDEX ON orders (customer_email, placed_at)",
        "CREATE INDEX ON shops (owner_id)",
        "CREATE INDEX ON orders (shop_id, total DESC) INCLUDE (id)",
    ),
)

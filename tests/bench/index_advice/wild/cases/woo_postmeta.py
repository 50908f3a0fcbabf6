from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="woo_postmeta",
    about=(
        "Products and orders as entity, attribute and value: joins of a table with itself by key, a text value cast to numeric that only some"
        " keys hold (an index on the cast of all values cannot be built), as in WordPress's wp_postmeta (docs.wpvip.com on meta_value, Trac 52559)."
    ),
    schema="""
CREATE TABLE wp_posts (
  id bigint PRIMARY KEY, post_type varchar(20) NOT NULL, post_status varchar(20) NOT NULL, post_date timestamp NOT NULL, post_title text NOT NULL
);
CREATE INDEX type_status_date ON wp_posts (post_type, post_status, post_date, id);
CREATE TABLE wp_postmeta (meta_id bigint PRIMARY KEY, post_id bigint NOT NULL, meta_key varchar(255), meta_value text);
CREATE INDEX post_id ON wp_postmeta (post_id);
CREATE INDEX meta_key ON wp_postmeta (meta_key);
""",
    load="""
SELECT setseed(0.68);
INSERT INTO wp_posts
SELECT g, CASE WHEN g % 3 = 0 THEN 'shop_order' ELSE 'product' END, CASE WHEN random() < 0.93 THEN 'publish' ELSE 'draft' END,
       timestamp '2022-01-01' + g * interval '25 minutes', 'Post ' || md5(g::text)
FROM generate_series(1, 50000) AS g;
INSERT INTO wp_postmeta
SELECT row_number() OVER (ORDER BY p.id, k), p.id, k,
       CASE k WHEN '_price' THEN round((power(random(), 3) * 900 + 1)::numeric, 2)::text
              WHEN '_stock_status' THEN CASE WHEN random() < 0.9 THEN 'instock' ELSE 'outofstock' END
              WHEN '_sku' THEN 'SKU-' || p.id * 31 WHEN '_featured' THEN CASE WHEN random() < 0.01 THEN 'yes' ELSE 'no' END
              WHEN '_customer_user' THEN ((power(random(), 2) * 6000)::int)::text WHEN '_order_total' THEN round((random() * 400)::numeric, 2)::text
              WHEN '_billing_email' THEN 'user' || (power(random(), 2) * 6000)::int || '@example.com' ELSE repeat('x', 60) END
FROM wp_posts AS p, LATERAL unnest(CASE WHEN p.post_type = 'product' THEN ARRAY['_price', '_stock_status', '_sku', '_featured', '_edit_lock', '_product_attributes']
     ELSE ARRAY['_customer_user', '_order_total', '_billing_email', '_edit_lock', '_transaction_id'] END) AS k;
""",
    statements=(
        Called(
            "by_sku",
            "SELECT p.id, p.post_title FROM wp_posts p INNER JOIN wp_postmeta m ON p.id = m.post_id"
            " WHERE p.post_type = 'product' AND m.meta_key = '_sku' AND m.meta_value = {s} LIMIT 1",
            ({"s": "SKU-310"}, {"s": "SKU-1240000"}, {"s": "SKU-0"}),
            100,
        ),
        Called(
            "orders_of",
            "SELECT p.id, p.post_date FROM wp_posts p INNER JOIN wp_postmeta m ON p.id = m.post_id WHERE p.post_type = 'shop_order'"
            " AND p.post_status = 'publish' AND m.meta_key = '_customer_user' AND m.meta_value = {c} ORDER BY p.post_date DESC LIMIT 10",
            ({"c": "5"}, {"c": "5990"}),
            60,
        ),
        Called(
            "priced",
            "SELECT p.id, p.post_title FROM wp_posts p INNER JOIN wp_postmeta m ON p.id = m.post_id INNER JOIN wp_postmeta mt1 ON p.id = mt1.post_id"
            " WHERE m.meta_key = '_price' AND CAST(CASE WHEN m.meta_key = '_price' THEN m.meta_value END AS numeric) BETWEEN {a} AND {b}"
            " AND mt1.meta_key = '_stock_status' AND mt1.meta_value = 'instock' AND p.post_type = 'product' AND p.post_status = 'publish'"
            " ORDER BY p.post_date DESC LIMIT 24",
            ({"a": 890, "b": 900}, {"a": 850.5, "b": 851.5}),
            20,
        ),
        Called(
            "featured",
            "SELECT p.id, p.post_title FROM wp_posts p INNER JOIN wp_postmeta m ON p.id = m.post_id WHERE m.meta_key = '_featured'"
            " AND m.meta_value = 'yes' AND p.post_type = 'product' AND p.post_status = 'publish' ORDER BY p.post_date DESC LIMIT 8",
            (),
            60,
        ),
        Called(
            "meta_of",
            "SELECT post_id, meta_key, meta_value FROM wp_postmeta WHERE post_id IN ({a}, {b}, {c}, {d}) ORDER BY meta_id ASC",
            ({"a": 5, "b": 700, "c": 20000, "d": 49990},),
            100,
        ),
        Called(
            "set",
            "UPDATE wp_postmeta SET meta_value = {v} WHERE post_id = {p} AND meta_key = {k}",
            ({"v": "outofstock", "p": 40000, "k": "_stock_status"},),
            30,
        ),
    ),
    expert=(
        "CREATE INDEX ON wp_postmeta (meta_key, meta_value, post_id)",
        "CREATE INDEX ON wp_postmeta (CAST(CASE WHEN meta_key = '_price' THEN meta_value END AS numeric)) WHERE meta_key = '_price'",
    ),
)

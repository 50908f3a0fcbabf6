from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="saleor_orders",
    about=(
        "Orders by their number from the newest, without drafts or of one state, with a search vector, EXISTS on payments and metadata in"
        " jsonb, and the products of a category by name (after saleor/saleor issues 13743 and 13810, pulls 16183 and 8334)."
    ),
    schema="""
CREATE TABLE order_order (
  id uuid PRIMARY KEY, number integer NOT NULL UNIQUE, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, status varchar(32) NOT NULL,
  charge_status varchar(32) NOT NULL, user_id integer, user_email varchar(254) NOT NULL, channel_id integer NOT NULL,
  total_gross_amount numeric(20, 3) NOT NULL, metadata jsonb NOT NULL, search_vector tsvector, search_document text NOT NULL, checkout_token varchar(36) NOT NULL
);
CREATE INDEX order_order_channel_id ON order_order (channel_id);
CREATE TABLE payment_payment (
  id integer PRIMARY KEY, order_id uuid, gateway varchar(255) NOT NULL, is_active boolean NOT NULL, charge_status varchar(20) NOT NULL,
  psp_reference varchar(512), created_at timestamptz NOT NULL
);
CREATE TABLE order_orderline (id uuid PRIMARY KEY, order_id uuid NOT NULL, variant_id integer, product_name varchar(386) NOT NULL, quantity integer NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX order_orderline_variant ON order_orderline (variant_id);
CREATE TABLE product_product (id integer PRIMARY KEY, name varchar(250) NOT NULL, slug varchar(255) NOT NULL UNIQUE, category_id integer, product_type_id integer NOT NULL, description jsonb);
CREATE INDEX product_product_category ON product_product (category_id);
CREATE TABLE product_channellisting (id integer PRIMARY KEY, product_id integer NOT NULL, channel_id integer NOT NULL, is_published boolean NOT NULL, published_at timestamptz, UNIQUE (product_id, channel_id));
""",
    load="""
SELECT setseed(0.714);
INSERT INTO order_order
SELECT md5('o' || g)::uuid, g, timestamptz '2023-01-01 00:00+00' + g * interval '9 minutes', timestamptz '2023-01-01 00:00+00' + g * interval '9 minutes' + random() * interval '9 days',
       CASE WHEN r < 0.02 THEN 'draft' WHEN g > 98500 AND r < 0.6 THEN 'unfulfilled' WHEN r < 0.8 THEN 'fulfilled' WHEN r < 0.97 THEN 'canceled' WHEN r < 0.98 THEN 'returned' ELSE 'unconfirmed' END,
       CASE WHEN r < 0.8 THEN 'full' ELSE 'none' END, CASE WHEN random() < 0.6 THEN u END, 'user' || u || '@mail' || u % 7 || '.example', 1 + (power(random(), 3) * 6)::int,
       (random() * 300)::numeric(20, 3), CASE WHEN random() < 0.3 THEN jsonb_build_object('external_id', 'ext-' || g, 'source', 'pos') ELSE '{}' END,
       to_tsvector('simple', 'user' || u || ' word' || (power(random(), 3) * 4000)::int || ' sku' || g % 5000 || ' street' || (random() * 900)::int),
       repeat(md5(g::text), 4), CASE WHEN random() < 0.8 THEN md5('c' || g) ELSE '' END
FROM (SELECT g, random() AS r, 1 + (power(random(), 2) * 20000)::int AS u FROM generate_series(1, 100000) AS g OFFSET 0) AS s;
INSERT INTO payment_payment
SELECT g, md5('o' || g)::uuid, CASE WHEN random() < 0.8 THEN 'adyen' ELSE 'stripe' END, random() < 0.85, CASE WHEN random() < 0.9 THEN 'fully-charged' ELSE 'refused' END,
       CASE WHEN random() < 0.9 THEN upper(md5('psp' || g)) END, timestamptz '2023-01-01 00:00+00' + g * interval '9 minutes'
FROM generate_series(1, 100000) AS g;
INSERT INTO order_orderline
SELECT md5('l' || g)::uuid, md5('o' || 1 + g / 2)::uuid, 1 + (power(random(), 2) * 20000)::int, 'Product ' || g % 20000, 1 + (random() * 3)::int, timestamptz '2023-01-01 00:00+00' + g * interval '4 minutes'
FROM generate_series(1, 190000) AS g;
INSERT INTO product_product SELECT g, 'Product ' || md5(g::text), 'product-' || md5(g::text), CASE WHEN random() < 0.95 THEN (power(random(), 3) * 200)::int END, g % 9, '{}' FROM generate_series(1, 20000) AS g;
INSERT INTO product_channellisting SELECT g, 1 + g / 3, 1 + g % 3, random() < 0.8, timestamptz '2023-01-01' FROM generate_series(1, 59990) AS g;
""",
    statements=(
        Called(
            "newest",
            "SELECT o.* FROM order_order o WHERE o.channel_id IN ({a}, {b}) AND NOT (o.status = 'draft') ORDER BY o.number DESC LIMIT 21",
            ({"a": 1, "b": 2}, {"a": 5, "b": 6}),
            60,
        ),
        Called(
            "of_state",
            "SELECT o.* FROM order_order o WHERE o.status IN ({s}) AND o.search_vector @@ {q}::tsquery ORDER BY o.number DESC LIMIT 21",
            (
                {"s": "draft", "q": "'user3'"},
                {"s": "unfulfilled", "q": "'word1'"},
                {"s": "fulfilled", "q": "'sku123' & 'street44'"},
            ),
            40,
        ),
        Called(
            "drafts",
            "SELECT o.* FROM order_order o WHERE o.status = 'draft' AND o.channel_id = {c} ORDER BY o.created_at DESC, o.number DESC LIMIT 21",
            ({"c": 1}, {"c": 4}),
            40,
        ),
        Called(
            "by_payment",
            "SELECT o.id, o.number FROM order_order o WHERE EXISTS (SELECT 1 FROM payment_payment p WHERE p.order_id = o.id AND p.psp_reference = {r}"
            " AND p.is_active) ORDER BY o.number DESC LIMIT 21",
            (
                {"r": "CE5406392EBFFEE8B6ADCD98C9194E8F"},
                {"r": "7959702EC07CCAAFE40B2E986E2B051F"},
            ),
            30,
        ),
        Called(
            "of_customer",
            "SELECT o.* FROM order_order o WHERE (o.user_id = {u} OR o.user_email = {e}) AND NOT (o.status IN ('draft', 'unconfirmed')) ORDER BY o.created_at DESC LIMIT 10",
            (
                {"u": 5, "e": "user5@mail5.example"},
                {"u": 15000, "e": "user15000@mail6.example"},
                {"u": 60000, "e": "nobody@mail1.example"},
            ),
            60,
        ),
        Called(
            "by_metadata",
            "SELECT o.id FROM order_order o WHERE o.metadata @> {m}::jsonb",
            ({"m": {"external_id": "ext-12345"}}, {"m": {"external_id": "ext-99"}}),
            30,
        ),
        Called(
            "lines",
            "SELECT l.* FROM order_orderline l WHERE l.order_id IN ({a}, {b}) ORDER BY l.created_at",
            (
                {
                    "a": "b4cde1fb-e1cb-e653-7512-8a8506541d9d",
                    "b": "fd8004ec-2f65-cb08-9a6c-384133d405d2",
                },
                {
                    "a": "02162604-23c4-f5f9-f240-430104c7b5bd",
                    "b": "7b70c747-6883-2455-16f8-7d2ca570c4be",
                },
            ),
            100,
        ),
        Called(
            "of_category",
            "SELECT p.id, p.name, p.slug FROM product_product p WHERE p.category_id = {c} AND EXISTS (SELECT 1 FROM product_channellisting l"
            " WHERE l.product_id = p.id AND l.channel_id = {ch} AND l.is_published) ORDER BY p.slug ASC LIMIT 20",
            ({"c": 0, "ch": 1}, {"c": 150, "ch": 2}),
            60,
        ),
        Called(
            "pay",
            "UPDATE order_order SET charge_status = 'full', updated_at = {t} WHERE id = {i}",
            ({"t": "2025-02-01", "i": "b4cde1fb-e1cb-e653-7512-8a8506541d9d"},),
            60,
        ),
    ),
    expert=(
        "CREATE INDEX ON order_order USING gin (search_vector)",
        "CREATE INDEX ON order_order (channel_id, created_at DESC, number DESC) WHERE status = 'draft'",
        "CREATE INDEX ON payment_payment (psp_reference) WHERE psp_reference IS NOT NULL",
        "CREATE INDEX ON order_order (user_id) WHERE user_id IS NOT NULL",
        "CREATE INDEX ON order_order (user_email)",
        "CREATE INDEX ON order_order USING gin (metadata jsonb_path_ops)",
        "CREATE INDEX ON order_orderline (order_id)",
        "CREATE INDEX ON product_product (category_id, slug)",
    ),
)

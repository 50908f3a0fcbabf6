from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="spree_adjustments",
    about=(
        "Polymorphic associations by type and id, carts that are not completed, orders of an enterprise by a range of days, variants that"
        " are not deleted, and sums of adjustments of an order (after openfoodfoundation/openfoodnetwork pulls 3818, 4263 and 7173)."
    ),
    schema="""
CREATE TABLE spree_orders (
  id integer PRIMARY KEY, number varchar(15) NOT NULL, state varchar(255), payment_state varchar(255), user_id integer, created_by_id integer, distributor_id integer,
  order_cycle_id integer, email varchar(255), total numeric(10, 2) NOT NULL, completed_at timestamp, created_at timestamp NOT NULL, updated_at timestamp NOT NULL
);
CREATE INDEX index_spree_orders_on_number ON spree_orders (number);
CREATE INDEX index_spree_orders_on_completed_at ON spree_orders (completed_at);
CREATE TABLE spree_line_items (id integer PRIMARY KEY, variant_id integer, order_id integer, quantity integer NOT NULL, price numeric(10, 2) NOT NULL);
CREATE INDEX index_spree_line_items_on_variant_id ON spree_line_items (variant_id);
CREATE TABLE spree_adjustments (
  id integer PRIMARY KEY, adjustable_id integer, adjustable_type varchar(255), originator_id integer, originator_type varchar(255), order_id integer, amount numeric(10, 2),
  label varchar(255), eligible boolean NOT NULL, included boolean NOT NULL, state varchar(255), created_at timestamp NOT NULL
);
CREATE INDEX index_adjustments_on_order_id ON spree_adjustments (adjustable_type);
CREATE TABLE spree_variants (id integer PRIMARY KEY, sku varchar(255), product_id integer NOT NULL, is_master boolean NOT NULL, on_hand integer, deleted_at timestamp, display_name varchar(255));
""",
    load="""
SELECT setseed(0.718);
INSERT INTO spree_orders
SELECT g, 'R' || lpad((g * 7919 % 1000000000)::text, 9, '0'), CASE WHEN c THEN CASE WHEN random() < 0.96 THEN 'complete' ELSE 'canceled' END ELSE (ARRAY['cart', 'cart', 'cart', 'address', 'payment'])[1 + (random() * 4)::int] END,
       CASE WHEN c THEN CASE WHEN random() < 0.85 THEN 'paid' ELSE 'balance_due' END END, CASE WHEN c OR random() < 0.4 THEN u END, CASE WHEN c OR random() < 0.4 THEN u END,
       1 + (power(random(), 3) * 400)::int, 1 + g / 60, CASE WHEN c THEN 'user' || u || '@example.org' END, (random() * 120)::numeric(10, 2),
       CASE WHEN c THEN t + interval '1 hour' END, t, t + interval '2 hours'
FROM (SELECT g, random() < 0.45 AS c, 1 + (power(random(), 2) * 9000)::int AS u, timestamp '2023-01-01' + g * interval '12 minutes' AS t FROM generate_series(1, 90000) AS g OFFSET 0) AS s;
INSERT INTO spree_line_items SELECT g, 1 + (power(random(), 2) * 14999)::int, 1 + (g * 90000.0 / 200001)::int, 1 + (random() * 5)::int, (random() * 20)::numeric(10, 2) FROM generate_series(1, 200000) AS g;
INSERT INTO spree_adjustments
SELECT g, CASE t WHEN 'Spree::Order' THEN o WHEN 'Spree::LineItem' THEN o * 2 ELSE o END, t, 1 + (power(random(), 2) * 60)::int,
       (ARRAY['EnterpriseFee', 'EnterpriseFee', 'Spree::TaxRate', 'Spree::PaymentMethod'])[1 + (random() * 3)::int], o, (random() * 5)::numeric(10, 2), 'fee', random() < 0.9, random() < 0.3,
       CASE WHEN random() < 0.7 THEN 'closed' ELSE 'open' END, timestamp '2023-01-01' + g * interval '6 minutes'
FROM (SELECT g, 1 + g / 2 AS o, (ARRAY['Spree::LineItem', 'Spree::LineItem', 'Spree::LineItem', 'Spree::Order', 'Spree::Shipment', 'Spree::Payment'])[1 + (random() * 5)::int] AS t FROM generate_series(1, 170000) AS g OFFSET 0) AS s;
INSERT INTO spree_variants SELECT g, 'SKU' || g, 1 + g / 3, g % 3 = 0, (random() * 50)::int, CASE WHEN random() < 0.5 THEN timestamp '2024-01-01' END, 'Variant ' || md5(g::text) FROM generate_series(1, 45000) AS g;
""",
    statements=(
        Called(
            "adjustments_of",
            "SELECT spree_adjustments.* FROM spree_adjustments WHERE adjustable_id = {i} AND adjustable_type = {t} ORDER BY spree_adjustments.created_at ASC",
            (
                {"i": 500, "t": "Spree::Order"},
                {"i": 80000, "t": "Spree::LineItem"},
                {"i": 3, "t": "Spree::Payment"},
            ),
            100,
        ),
        Called(
            "fees_of_items",
            "SELECT sum(spree_adjustments.amount) FROM spree_adjustments INNER JOIN spree_line_items ON spree_line_items.id = spree_adjustments.adjustable_id"
            " AND spree_adjustments.adjustable_type = 'Spree::LineItem' WHERE spree_line_items.order_id = {o} AND spree_adjustments.originator_type = {t} AND spree_adjustments.eligible = {e}",
            (
                {"o": 700, "t": "EnterpriseFee", "e": True},
                {"o": 70000, "t": "Spree::TaxRate", "e": True},
            ),
            60,
        ),
        Called(
            "cart",
            "SELECT spree_orders.* FROM spree_orders WHERE spree_orders.user_id = {u} AND spree_orders.completed_at IS NULL AND spree_orders.created_by_id = {u}"
            " ORDER BY created_at DESC LIMIT 1",
            ({"u": 1}, {"u": 8000}, {"u": 99999}),
            100,
        ),
        Called(
            "of_distributor",
            "SELECT spree_orders.* FROM spree_orders WHERE spree_orders.distributor_id = {d} AND spree_orders.state <> 'canceled' AND spree_orders.completed_at >= {a}"
            " AND spree_orders.completed_at <= {b} ORDER BY completed_at DESC LIMIT 50",
            (
                {"d": 1, "a": "2024-05-01", "b": "2024-06-01"},
                {"d": 390, "a": "2023-01-01", "b": "2025-01-01"},
            ),
            30,
        ),
        Called(
            "due",
            "SELECT count(*), sum(total) FROM spree_orders WHERE spree_orders.payment_state = 'balance_due' AND distributor_id = {d} AND completed_at IS NOT NULL",
            ({"d": 2}, {"d": 100}),
            20,
        ),
        Called(
            "variants",
            "SELECT spree_variants.* FROM spree_variants WHERE spree_variants.product_id IN ({a}, {b}, {c}) AND spree_variants.is_master = {m} AND spree_variants.deleted_at IS NULL",
            (
                {"a": 5, "b": 500, "c": 5000, "m": False},
                {"a": 9000, "b": 9001, "c": 9002, "m": True},
            ),
            60,
        ),
        Called(
            "items",
            "SELECT spree_line_items.* FROM spree_line_items WHERE spree_line_items.order_id = {o} ORDER BY id ASC",
            ({"o": 300}, {"o": 89000}),
            100,
        ),
        Called(
            "complete",
            "UPDATE spree_orders SET state = 'complete', completed_at = {t}, updated_at = {t} WHERE id = {o}",
            ({"o": 89990, "t": "2025-01-20"},),
            30,
        ),
        Called(
            "adjust",
            "UPDATE spree_adjustments SET amount = {x}, state = 'closed' WHERE id = {i}",
            ({"x": 3, "i": 169000},),
            60,
        ),
    ),
    expert=(
        "CREATE INDEX ON spree_adjustments (adjustable_id, adjustable_type)",
        "CREATE INDEX ON spree_line_items (order_id)",
        "CREATE INDEX ON spree_orders (user_id, created_at) WHERE completed_at IS NULL",
        "CREATE INDEX ON spree_orders (distributor_id, completed_at)",
        "CREATE INDEX ON spree_orders (distributor_id) WHERE payment_state = 'balance_due'",
        "CREATE INDEX ON spree_variants (product_id) WHERE deleted_at IS NULL",
    ),
)

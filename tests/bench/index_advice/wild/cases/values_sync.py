from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="values_sync",
    about=(
        "Batches of an importer: JOIN (VALUES …), UPDATE … FROM (VALUES …), INSERT … ON CONFLICT, and workers that share a table"
        " by id % 8 (the bulk operations of SQLAlchemy, Hibernate and Hasura)."
    ),
    schema="""
CREATE TABLE listings (
  id bigserial PRIMARY KEY,
  source text NOT NULL,
  external_id bigint NOT NULL,
  sku text NOT NULL,
  price numeric(10, 2) NOT NULL,
  stock integer NOT NULL,
  synced_at timestamptz,
  removed boolean NOT NULL DEFAULT false,
  payload text
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX listings_source_sku ON listings (source, sku) WHERE NOT removed;
""",
    load="""
SELECT setseed(0.36);
INSERT INTO listings (source, external_id, sku, price, stock, synced_at, removed, payload)
SELECT (ARRAY['shopify', 'shopify', 'shopify', 'amazon', 'ebay'])[1 + g % 5], g * 13 % 1000003, 'SKU-' || g,
       (random() * 90)::numeric(10, 2), (power(random(), 4) * 100)::int,
       CASE WHEN random() < 0.997 THEN timestamptz '2025-06-01 00:00+00' - random() * interval '2 days' END,
       random() < 0.4, repeat(md5(g::text), 4)
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "lookup",
            "SELECT l.id, l.price, v.want FROM listings l JOIN (VALUES ({a}::bigint, {p}), ({b}, 2), ({c}, 3)) AS v (ext, want)"
            " ON l.external_id = v.ext WHERE l.source = {s}",
            (
                {"a": 26, "b": 4433, "c": 999999, "p": 5, "s": "shopify"},
                {"a": 39, "b": 5200, "c": 130, "p": 7, "s": "amazon"},
            ),
            100,
        ),
        Called(
            "set_prices",
            "UPDATE listings AS l SET price = v.price, synced_at = {t} FROM (VALUES ({a}::bigint, 9.99), ({b}, 19.5)) AS v (ext, price)"
            " WHERE l.external_id = v.ext AND l.source = {s}",
            (
                {"a": 65, "b": 1300, "s": "shopify", "t": "2025-06-01 00:00+00"},
                {"a": 13013, "b": 78, "s": "ebay", "t": "2025-06-01 00:01+00"},
            ),
            100,
        ),
        Called(
            "upsert",
            "INSERT INTO listings (source, external_id, sku, price, stock) VALUES ({s}, {e}, {k}, 1, 1)"
            " ON CONFLICT (source, sku) WHERE NOT removed DO UPDATE SET stock = excluded.stock",
            ({"s": "shopify", "e": 1, "k": "SKU-5"}, {"s": "ebay", "e": 2, "k": "NEW-1"}),
            100,
        ),
        Called(
            "share",
            "SELECT id, external_id FROM listings WHERE synced_at IS NULL AND NOT removed AND id % {n} = {m} ORDER BY id LIMIT 100",
            ({"n": 8, "m": 3}, {"n": 8, "m": 0}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON listings (external_id, source)",
        "CREATE INDEX ON listings (id) WHERE synced_at IS NULL AND NOT removed",
    ),
)

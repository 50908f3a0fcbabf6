from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="shipment_updates",
    about=(
        "TRAP: updated_at still lies in the order of the table, but each change sets it, along with the status that the poller"
        " asks for; only customer_id and the carrier's code stay as they are (sync tables of Odoo and Shopify applications)."
    ),
    schema="""
CREATE TABLE shipments (
  id bigserial PRIMARY KEY,
  customer_id integer NOT NULL,
  tracking_code text NOT NULL,
  status text NOT NULL,
  events_count integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  address text NOT NULL
) WITH (fillfactor = 75);
""",
    load="""
SELECT setseed(0.47);
INSERT INTO shipments (customer_id, tracking_code, status, events_count, created_at, updated_at, address)
SELECT (power(random(), 2) * 30000)::int, '1Z' || upper(md5(g::text)),
       CASE WHEN g > 196000 THEN 'moving' WHEN random() < 0.995 THEN 'delivered' ELSE 'lost' END, 3,
       timestamptz '2024-01-01 00:00+00' + g * interval '4 minutes', timestamptz '2024-01-03 00:00+00' + g * interval '4 minutes',
       repeat(md5(g::text), 4)
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "scan_event",
            "UPDATE shipments SET events_count = events_count + 1, updated_at = {t} WHERE id = {i}",
            tuple(
                {"t": f"2025-07-10 {n // 60:02}:{n % 60:02}:00+00", "i": 196001 + n * 13}
                for n in range(250)
            ),
            10,
        ),
        Called(
            "by_code",
            "SELECT id, status, events_count FROM shipments WHERE tracking_code = {c}",
            ({"c": "1ZC4CA4238A0B923820DCC509A6F75849B"}, {"c": "1ZNONE"}),
            10,
        ),
        Called(
            "of_customer",
            "SELECT * FROM shipments WHERE customer_id = {c} ORDER BY created_at DESC LIMIT 10",
            ({"c": 0}, {"c": 29000}),
            10,
        ),
        Called(
            "changed_since",
            "SELECT id, status FROM shipments WHERE updated_at >= {t} ORDER BY updated_at",
            ({"t": "2025-07-09 12:00+00"},),
        ),
    ),
    expert=(
        "CREATE INDEX ON shipments USING hash (tracking_code)",
        "CREATE INDEX ON shipments (customer_id, created_at)",
    ),
)

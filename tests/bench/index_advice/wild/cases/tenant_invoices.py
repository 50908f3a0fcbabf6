from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="tenant_invoices",
    about=(
        "Multi-tenant lists with deleted_at IS NULL and status <> 'done', where one tenant has a third of the rows and each"
        " column alone (indexed already) is a poor choice (the account_id scopes of Rails applications)."
    ),
    schema="""
CREATE TABLE invoices (
  id bigserial PRIMARY KEY,
  account_id integer NOT NULL,
  customer_id integer NOT NULL,
  number text NOT NULL,
  status text NOT NULL,
  due_on date NOT NULL,
  total numeric(12, 2) NOT NULL,
  deleted_at timestamptz,
  body text
);
CREATE INDEX index_invoices_on_status ON invoices (status);
CREATE INDEX index_invoices_on_due_on ON invoices (due_on);
CREATE INDEX index_invoices_on_deleted_at ON invoices (deleted_at);
""",
    load="""
SELECT setseed(0.27);
INSERT INTO invoices (account_id, customer_id, number, status, due_on, total, deleted_at, body)
SELECT s.a, s.a * 1000 + (power(random(), 2) * 400)::int, 'INV-' || g,
       CASE WHEN g > 290000 AND random() < 0.5 THEN 'open'
            WHEN s.a % 17 = 4 AND random() < 0.2 THEN 'disputed'
            WHEN random() < 0.985 THEN 'done' ELSE 'open' END,
       date '2018-01-01' + (g / 110), (random() * 9000)::numeric(12, 2),
       CASE WHEN random() < 0.1 THEN timestamptz '2025-01-01 00:00+00' + random() * interval '90 days' END,
       repeat(md5(g::text), 4)
FROM (SELECT g, CASE WHEN random() < 0.33 THEN 1 ELSE 2 + floor(power(random(), 2.5) * 700)::int END AS a
      FROM generate_series(1, 300000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "open_list",
            "SELECT * FROM invoices WHERE account_id = {a} AND deleted_at IS NULL AND status <> 'done' ORDER BY due_on LIMIT 25",
            ({"a": 1}, {"a": 4}, {"a": 2}, {"a": 650}, {"a": 300}),
            100,
        ),
        Called(
            "overdue_sum",
            "SELECT sum(total) FROM invoices WHERE account_id = {a} AND deleted_at IS NULL AND status <> 'done' AND due_on < {d}",
            (
                {"a": 1, "d": "2025-06-01"},
                {"a": 21, "d": "2025-06-01"},
                {"a": 640, "d": "2020-01-01"},
            ),
            50,
        ),
        Called(
            "customer_history",
            "SELECT id, number, total FROM invoices WHERE account_id = {a} AND customer_id = {c} AND deleted_at IS NULL"
            " ORDER BY due_on DESC, id DESC LIMIT 20",
            ({"a": 1, "c": 1003}, {"a": 3, "c": 3100}, {"a": 500, "c": 500001}),
            100,
        ),
        Called(
            "by_number",
            "SELECT * FROM invoices WHERE account_id = {a} AND number = {n}",
            ({"a": 1, "n": "INV-1234"}, {"a": 7, "n": "INV-200001"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON invoices (account_id, due_on) WHERE deleted_at IS NULL AND status <> 'done'",
        "CREATE INDEX ON invoices (account_id, customer_id, due_on, id) WHERE deleted_at IS NULL",
        "CREATE INDEX ON invoices (account_id, number)",
    ),
)

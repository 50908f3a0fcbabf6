from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="ltree_catalog",
    about=(
        "A catalog with ltree paths: descendants with <@, a pattern with ~, ancestors with @>, and products of a subtree"
        " (the hierarchies of GitLab's and PostGraphile's users)."
    ),
    schema="""
CREATE EXTENSION IF NOT EXISTS ltree;
CREATE TABLE categories (
  id integer PRIMARY KEY,
  path ltree NOT NULL,
  title text NOT NULL
);
CREATE TABLE products (
  id serial PRIMARY KEY,
  category_path ltree NOT NULL,
  sku text NOT NULL,
  price numeric(10, 2) NOT NULL,
  discontinued_at date,
  blurb text
);
CREATE INDEX products_path_btree ON products (category_path);
""",
    load="""
SELECT setseed(0.32);
INSERT INTO categories
SELECT g, ('top.d' || g % 20 || '.s' || g % 400 || '.c' || g)::ltree, 'Category ' || g FROM generate_series(1, 20000) AS g;
INSERT INTO products (category_path, sku, price, discontinued_at, blurb)
SELECT c.path, 'SKU' || p, (random() * 500)::numeric(10, 2), CASE WHEN random() < 0.4 THEN date '2024-06-01' END, repeat(md5(p::text), 3)
FROM (SELECT p, 1 + floor(power(random(), 2) * 20000)::int AS id FROM generate_series(1, 200000) AS p OFFSET 0) AS q
JOIN categories c ON c.id = q.id ORDER BY q.p;
""",
    statements=(
        Called(
            "below",
            "SELECT count(*) FROM products WHERE category_path <@ {p} AND discontinued_at IS NULL",
            ({"p": "top.d3.s43"}, {"p": "top.d19.s399.c19999"}, {"p": "top.d7.s7"}),
            100,
        ),
        Called(
            "pattern",
            "SELECT id, title FROM categories WHERE path ~ {p}",
            ({"p": "top.*.s43.*"}, {"p": "*.c777"}),
            50,
        ),
        Called(
            "crumbs",
            "SELECT title FROM categories WHERE path @> {p} ORDER BY nlevel(path)",
            ({"p": "top.d3.s43.c443"},),
            200,
        ),
        Called(
            "cheapest",
            "SELECT id, sku, price FROM products WHERE category_path <@ {p} ORDER BY price LIMIT 20",
            ({"p": "top.d3.s143"}, {"p": "top.d1.s201.c3001"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON products USING gist (category_path gist_ltree_ops(siglen=100))",
        "CREATE INDEX ON categories USING gist (path gist_ltree_ops(siglen=100))",
    ),
)

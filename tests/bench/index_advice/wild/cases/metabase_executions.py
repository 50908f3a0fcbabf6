from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="metabase_executions",
    about=(
        "Times of cards from a log of queries that has an index on the time and one on the hash, the cards that one seldom or often"
        " user viewed, and fields by their foreign key (after metabase/metabase issues 18759, 19053, 27216, 58865 and 73531)."
    ),
    schema="""
CREATE TABLE query_execution (
  id serial PRIMARY KEY,
  hash bytea NOT NULL,
  started_at timestamptz NOT NULL,
  running_time integer NOT NULL,
  result_rows integer NOT NULL,
  native boolean NOT NULL,
  context varchar(32),
  error text,
  executor_id integer,
  card_id integer,
  dashboard_id integer,
  pulse_id integer,
  database_id integer,
  cache_hit boolean
);
CREATE INDEX idx_query_execution_started_at ON query_execution (started_at);
CREATE INDEX idx_query_execution_query_hash_started_at ON query_execution (hash, started_at);
CREATE TABLE card_bookmark (id serial PRIMARY KEY, user_id integer NOT NULL, card_id integer NOT NULL, UNIQUE (user_id, card_id));
CREATE TABLE metabase_field (
  id integer PRIMARY KEY,
  table_id integer NOT NULL,
  name varchar(254) NOT NULL,
  base_type varchar(255) NOT NULL,
  semantic_type varchar(255),
  active boolean NOT NULL,
  visibility_type varchar(32) NOT NULL,
  fk_target_field_id integer,
  position integer NOT NULL
);
CREATE INDEX idx_field_table_id ON metabase_field (table_id);
""",
    load="""
SELECT setseed(0.711);
INSERT INTO query_execution (hash, started_at, running_time, result_rows, native, context, error, executor_id, card_id, dashboard_id, database_id, cache_hit)
SELECT sha256(convert_to('q' || s.c, 'UTF8')), timestamptz '2025-06-01 00:00+00' - (250000 - g) * interval '1 minute' * 1.1, (power(random(), 6) * 60000)::int,
       (power(random(), 4) * 2000)::int, random() < 0.3, s.ctx, CASE WHEN random() < 0.03 THEN 'ERROR: canceling statement due to user request' END,
       CASE WHEN s.ctx <> 'pulse' THEN 1 + (power(random(), 3) * 800)::int END, CASE WHEN s.ctx <> 'ad-hoc' THEN s.c END,
       CASE WHEN s.ctx = 'dashboard' THEN s.c / 8 END, 1 + s.c % 7, random() < 0.2
FROM (SELECT g, (power(random(), 2.5) * 3000)::int AS c,
             (ARRAY['dashboard', 'question', 'ad-hoc', 'pulse', 'csv-download'])[1 + floor(power(random(), 2) * 5)::int] AS ctx
      FROM generate_series(1, 250000) AS g OFFSET 0) AS s;
INSERT INTO card_bookmark (user_id, card_id) SELECT u, c FROM generate_series(1, 400) AS u, generate_series(0, 2800, 400) AS c WHERE (u + c) % 3 = 0;
INSERT INTO metabase_field
SELECT g, g / 22, 'field_' || g % 900, 'type/' || (ARRAY['Text', 'Integer', 'DateTime', 'Float'])[1 + g % 4], CASE WHEN g % 22 = 0 THEN 'type/PK' WHEN g % 17 = 0 THEN 'type/FK' END,
       random() < 0.9, 'normal', CASE WHEN g % 17 = 0 THEN (power(random(), 3) * 60000)::int / 22 * 22 END, g % 22
FROM generate_series(1, 60000) AS g;
""",
    statements=(
        Called(
            "average_time",
            'SELECT avg("running_time") FROM "query_execution" WHERE ("running_time" IS NOT NULL AND "cache_hit" <> TRUE AND "card_id" = {c})',
            ({"c": 0}, {"c": 40}, {"c": 1200}, {"c": 2900}),
            60,
        ),
        Called(
            "last_used",
            'SELECT MAX("started_at") AS "started_at", "card_id" FROM "query_execution" WHERE ("running_time" IS NOT NULL) AND ("cache_hit" <> TRUE)'
            ' AND ("card_id" IN ({a}, {b}, {c})) GROUP BY "card_id"',
            ({"a": 3, "b": 900, "c": 2950}, {"a": 1500, "b": 1501, "c": 17}),
            60,
        ),
        Called(
            "viewed_by",
            'SELECT min("executor_id") AS "user_id", "query_execution"."card_id" AS "model_id", count(*) AS "cnt", max("started_at") AS "max_ts"'
            ' FROM "query_execution" LEFT JOIN "card_bookmark" "bm" ON ("bm"."user_id" = {u} AND "query_execution"."card_id" = "bm"."card_id")'
            ' WHERE ("executor_id" = {u} AND "context" = {x} AND "bm"."id" IS NULL) GROUP BY "query_execution"."card_id", "context"'
            ' ORDER BY "max_ts" DESC LIMIT 30',
            ({"u": 1, "x": "question"}, {"u": 50, "x": "question"}, {"u": 700, "x": "question"}),
            30,
        ),
        Called(
            "by_hash",
            'SELECT "started_at", "running_time" FROM "query_execution" WHERE "hash" = {h} ORDER BY "started_at" DESC LIMIT 10',
            (
                {"h": "\\x0bd73b6a1a5c68cf36d753107c01912f50ab1d5935c2fc6179f37cdaa3c5a3af"},
                {"h": "\\x03525ed9043f952ca6511a7dcfe03d37c9f7875a7b3ec65bb0d1862f894844b7"},
            ),
            60,
        ),
        Called(
            "foreign_keys",
            'SELECT * FROM "metabase_field" WHERE ("fk_target_field_id" IN ({a}, {b})) AND ("active" = {t})',
            ({"a": 0, "b": 22, "t": True}, {"a": 59400, "b": 30008, "t": True}),
            20,
        ),
        Called(
            "errors_of_day",
            'SELECT "card_id", count(*) FROM "query_execution" WHERE "error" IS NOT NULL AND "started_at" >= {d} GROUP BY "card_id" ORDER BY 2 DESC LIMIT 20',
            ({"d": "2025-05-31 00:00+00"}, {"d": "2025-05-25 00:00+00"}),
            5,
        ),
        Called(
            "log",
            'INSERT INTO "query_execution" ("hash", "started_at", "running_time", "result_rows", "native", "context", "executor_id", "card_id", "database_id", "cache_hit")'
            " VALUES ({h}, {t}, 37, 12, false, 'question', 5, {c}, 2, false)",
            tuple(
                {
                    "h": f"\\x{n:064x}",
                    "t": f"2025-06-01 00:00:{n}+00",
                    "c": n * 31,
                }
                for n in range(10, 20)
            ),
            60,
        ),
    ),
    expert=(
        "CREATE INDEX ON query_execution (card_id, started_at) INCLUDE (running_time, cache_hit)",
        "CREATE INDEX ON query_execution (executor_id, context) INCLUDE (card_id, started_at)",
        "CREATE INDEX ON metabase_field (fk_target_field_id) WHERE fk_target_field_id IS NOT NULL",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="temporal_visibility",
    about=(
        "Workflow executions per namespace by COALESCE(close_time, a far date) DESC, start_time DESC, a jsonb array searched by any key, and"
        " statistics by status (Temporal's visibility store on PostgreSQL, whose indexes are all led by the namespace)."
    ),
    schema="""
CREATE TABLE executions_visibility (
  namespace_id char(36) NOT NULL,
  run_id char(36) NOT NULL,
  start_time timestamp NOT NULL,
  workflow_id varchar(255) NOT NULL,
  workflow_type_name varchar(255) NOT NULL,
  status integer NOT NULL,
  close_time timestamp,
  task_queue varchar(255) NOT NULL,
  search_attributes jsonb NOT NULL,
  build_ids jsonb GENERATED ALWAYS AS (search_attributes -> 'BuildIds') STORED,
  memo bytea,
  PRIMARY KEY (namespace_id, run_id)
);
""",
    load="""
SELECT setseed(0.54);
INSERT INTO executions_visibility (namespace_id, run_id, start_time, workflow_id, workflow_type_name, status, close_time, task_queue, search_attributes, memo)
SELECT s.ns::uuid::text, md5('r' || s.g)::uuid::text, s.t, 'wf-' || s.g % 70000, 'Type' || (power(random(), 2) * 40)::int, s.st,
       CASE WHEN s.st <> 1 THEN s.t + power(random(), 5) * interval '9 days' END, 'queue' || s.g % 4,
       jsonb_build_object('BuildIds', jsonb_build_array('v' || (power(random(), 3) * 300)::int), 'CustomerId', 'c' || (random() * 20000)::int),
       decode(md5(s.g::text) || md5((s.g + 1)::text), 'hex')
FROM (SELECT g, md5('ns' || CASE WHEN random() < 0.7 THEN 0 ELSE 1 + floor(power(random(), 2) * 30)::int END) AS ns,
             timestamp '2025-01-01' + g * interval '45 seconds' AS t,
             CASE WHEN g > 148000 AND random() < 0.5 OR random() < 0.002 THEN 1 WHEN random() < 0.97 THEN 2 WHEN random() < 0.8 THEN 3 ELSE 7 END AS st
      FROM generate_series(1, 150000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "list",
            "SELECT run_id, workflow_id, status FROM executions_visibility WHERE namespace_id = {n} AND status = {s}"
            " ORDER BY coalesce(close_time, '9999-12-31 23:59:59') DESC, start_time DESC, run_id LIMIT 20",
            (
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "s": 2},
                {"n": "cb7dbe73-1802-2783-f027-056fce2319a2", "s": 1},
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "s": 1},
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "s": 7},
                {"n": "08f6a5d4-836c-92d8-46e0-adbd6c814094", "s": 3},
            ),
            100,
        ),
        Called(
            "of_type",
            "SELECT run_id, start_time FROM executions_visibility WHERE namespace_id = {n} AND workflow_type_name = {t}"
            " AND coalesce(close_time, '9999-12-31 23:59:59') < {b} ORDER BY coalesce(close_time, '9999-12-31 23:59:59') DESC, start_time DESC LIMIT 50",
            (
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "t": "Type39", "b": "2025-02-20"},
                {"n": "38441549-0916-d74a-6c3b-fe6d50a4ef9b", "t": "Type1", "b": "9999-12-30"},
            ),
            100,
        ),
        Called(
            "by_build",
            "SELECT count(*) FROM executions_visibility WHERE namespace_id = {n} AND build_ids @> {b}::jsonb",
            (
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "b": '["v290"]'},
                {"n": "bfed25f8-45e5-220a-daca-af3b86228910", "b": '["v0"]'},
            ),
            50,
        ),
        Called(
            "by_customer",
            "SELECT run_id FROM executions_visibility WHERE namespace_id = {n} AND search_attributes ->> 'CustomerId' = {c} LIMIT 20",
            (
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "c": "c777"},
                {"n": "7b3f4e5e-8a4b-2346-05eb-5c242254ab09", "c": "c19999"},
            ),
            100,
        ),
        Called(
            "open_by_workflow",
            "SELECT run_id FROM executions_visibility WHERE namespace_id = {n} AND workflow_id = {w} AND close_time IS NULL",
            (
                {"n": "cce6c414-a666-4f23-6547-a7c3e5b9ea4b", "w": "wf-9500"},
                {"n": "bfed25f8-45e5-220a-daca-af3b86228910", "w": "wf-8"},
            ),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON executions_visibility (namespace_id, status, (coalesce(close_time, '9999-12-31 23:59:59')) DESC, start_time DESC, run_id)",
        "CREATE INDEX ON executions_visibility (namespace_id, workflow_type_name, (coalesce(close_time, '9999-12-31 23:59:59')) DESC, start_time DESC)",
        "CREATE INDEX ON executions_visibility USING gin (build_ids jsonb_path_ops)",
        "CREATE INDEX ON executions_visibility (namespace_id, (search_attributes ->> 'CustomerId'))",
        "CREATE INDEX ON executions_visibility (namespace_id, workflow_id) WHERE close_time IS NULL",
    ),
)

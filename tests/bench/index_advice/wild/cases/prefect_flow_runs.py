from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="prefect_flow_runs",
    about=(
        "Flow runs sorted by COALESCE(start_time, expected_start_time) and filtered by a rare state"
        " (after PrefectHQ/prefect issues 22916 and 23127)."
    ),
    schema="""
CREATE TABLE flow_run (
  id uuid PRIMARY KEY,
  created timestamptz NOT NULL,
  name text NOT NULL,
  flow_id uuid NOT NULL,
  deployment_id uuid,
  state_type text NOT NULL,
  start_time timestamptz,
  expected_start_time timestamptz,
  end_time timestamptz,
  parent_task_run_id uuid,
  total_run_time interval NOT NULL DEFAULT '0',
  tags jsonb NOT NULL DEFAULT '[]',
  parameters jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_flow_run__flow_id ON flow_run (flow_id);
CREATE INDEX ix_flow_run__expected_start_time_desc ON flow_run (expected_start_time DESC);
CREATE INDEX ix_flow_run__state_type ON flow_run (state_type);
""",
    load="""
SELECT setseed(0.14);
INSERT INTO flow_run (id, created, name, flow_id, deployment_id, state_type, start_time, expected_start_time,
                      end_time, parent_task_run_id, parameters)
SELECT md5('r' || g)::uuid, s.t - interval '1 hour', 'run-' || g, md5('f' || (power(random(), 3) * 300)::int)::uuid,
       md5('d' || (power(random(), 2) * 500)::int)::uuid,
       CASE WHEN g > 249000 AND random() < 0.8 THEN 'SCHEDULED'
            WHEN g < 245000 AND random() < 0.0008 THEN 'RUNNING'
            WHEN g >= 245000 AND random() < 0.1 THEN 'RUNNING'
            WHEN random() < 0.9 THEN 'COMPLETED' WHEN random() < 0.8 THEN 'FAILED' ELSE 'CRASHED' END,
       CASE WHEN g <= 249000 THEN s.t + random() * interval '5 minutes' END, s.t,
       CASE WHEN g <= 245000 THEN s.t + random() * interval '50 minutes' END,
       CASE WHEN random() < 0.25 THEN md5('t' || g)::uuid END,
       jsonb_build_object('path', 's3://bucket/' || md5(g::text), 'n', g)
FROM (SELECT g, timestamptz '2025-06-01 00:00+00' - power((250000 - g) / 250000.0::float8, 2) * interval '400 days' AS t
      FROM generate_series(1, 250000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "running_long",
            "SELECT id, name, state_type, start_time FROM flow_run WHERE flow_run.state_type IN ({state})"
            " AND coalesce(flow_run.start_time, flow_run.expected_start_time) <= {before}"
            " ORDER BY coalesce(flow_run.start_time, flow_run.expected_start_time) ASC LIMIT 200 OFFSET 0",
            (
                {"state": "RUNNING", "before": "2025-05-31 23:45+00"},
                {"state": "CRASHED", "before": "2025-05-31 23:45+00"},
            ),
            100,
        ),
        Called(
            "dashboard",
            "SELECT * FROM flow_run WHERE expected_start_time >= {since} AND parent_task_run_id IS NULL"
            " ORDER BY coalesce(start_time, expected_start_time) DESC, id LIMIT 20",
            ({"since": "2025-05-31 00:00+00"}, {"since": "2025-05-15 00:00+00"}),
            100,
        ),
        Called(
            "counts",
            "SELECT count(*) FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING', 'CANCELLING')"
            " AND expected_start_time >= {since}",
            ({"since": "2025-05-31 12:00+00"}, {"since": "2025-05-01 00:00+00"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON flow_run (state_type, (coalesce(start_time, expected_start_time)))",
        "CREATE INDEX ON flow_run ((coalesce(start_time, expected_start_time)) DESC, id) WHERE parent_task_run_id IS NULL",
        "CREATE INDEX ON flow_run (state_type, expected_start_time)",
    ),
)

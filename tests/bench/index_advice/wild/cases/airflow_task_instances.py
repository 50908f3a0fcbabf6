from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="airflow_task_instances",
    about=(
        "Scheduler polls for rare states with IN, IS NOT NULL and a date, over task instances that mostly succeeded (after"
        " apache/airflow issue 53401 and pulls 3885 and 65602)."
    ),
    schema="""
CREATE TABLE dag_run (
  id serial PRIMARY KEY,
  dag_id varchar(250) NOT NULL,
  run_id varchar(250) NOT NULL,
  state varchar(50) NOT NULL,
  logical_date timestamptz NOT NULL,
  UNIQUE (dag_id, run_id)
);
CREATE TABLE task_instance (
  id uuid PRIMARY KEY,
  dag_id varchar(250) NOT NULL,
  run_id varchar(250) NOT NULL,
  task_id varchar(250) NOT NULL,
  map_index integer NOT NULL DEFAULT -1,
  state varchar(20),
  pool varchar(256) NOT NULL,
  priority_weight integer NOT NULL,
  span_status varchar(250) NOT NULL,
  updated_at timestamptz,
  trigger_timeout timestamptz,
  UNIQUE (dag_id, task_id, run_id, map_index)
);
CREATE INDEX ti_pool ON task_instance (pool, state, priority_weight);
""",
    load="""
SELECT setseed(0.45);
INSERT INTO dag_run (dag_id, run_id, state, logical_date)
SELECT 'dag_' || g % 60, 'scheduled__' || g, CASE WHEN g > 7950 THEN 'running' WHEN random() < 0.95 THEN 'success' ELSE 'failed' END,
       timestamptz '2024-06-01 00:00+00' + g * interval '1 hour'
FROM generate_series(1, 8000) AS g;
INSERT INTO task_instance (id, dag_id, run_id, task_id, state, pool, priority_weight, span_status, updated_at, trigger_timeout)
SELECT md5(r.id || '-' || t)::uuid, r.dag_id, r.run_id, 'task_' || t,
       CASE WHEN r.state = 'running' AND t > 8 THEN CASE WHEN random() < 0.2 THEN NULL WHEN random() < 0.6 THEN 'scheduled' ELSE 'queued' END
            WHEN r.id > 7800 AND random() < 0.02 THEN 'deferred' WHEN random() < 0.02 THEN 'failed' WHEN random() < 0.05 THEN 'skipped' ELSE 'success' END,
       CASE WHEN random() < 0.95 THEN 'default_pool' ELSE 'gpu' END, 1 + t % 5,
       CASE WHEN random() < 0.0003 THEN 'should_end' ELSE 'not_started' END,
       r.logical_date + t * interval '3 minutes' + random() * interval '1 hour',
       CASE WHEN r.id > 7800 AND random() < 0.02 THEN r.logical_date + random() * interval '3 days' END
FROM dag_run r, generate_series(1, 18) AS t;
""",
    statements=(
        Called(
            "should_end",
            "SELECT task_instance.id, task_instance.dag_id FROM task_instance WHERE task_instance.span_status = 'should_end'",
            calls=100,
        ),
        Called(
            "trigger_timeouts",
            "UPDATE task_instance SET state = 'scheduled' WHERE task_instance.state = 'deferred' AND trigger_timeout IS NOT NULL"
            " AND trigger_timeout < {t}",
            ({"t": "2025-04-28 00:00+00"}, {"t": "2025-05-01 00:00+00"}),
            100,
        ),
        Called(
            "to_queue",
            "SELECT ti.id, ti.task_id, dr.logical_date FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id"
            " WHERE dr.state = 'running' AND ti.state = 'scheduled' ORDER BY -ti.priority_weight, dr.logical_date, ti.map_index LIMIT 32",
            calls=100,
        ),
        Called(
            "changed_since",
            "SELECT id, task_id, state, updated_at FROM task_instance WHERE state IN ('success', 'failed') AND updated_at > {t}"
            " ORDER BY updated_at DESC LIMIT 100",
            ({"t": "2025-04-29 00:00+00"}, {"t": "2025-03-01 00:00+00"}),
            100,
        ),
        Called(
            "of_run",
            "SELECT id, task_id, state FROM task_instance WHERE dag_id = {d} AND run_id = {r} AND (state IS NULL OR state <> 'success')",
            ({"d": "dag_40", "r": "scheduled__7960"}, {"d": "dag_13", "r": "scheduled__73"}),
            100,
        ),
        Called(
            "running_count",
            "SELECT dag_id, count(*) FROM task_instance WHERE state IN ('queued', 'scheduled') GROUP BY dag_id",
            calls=100,
        ),
    ),
    expert=(
        "CREATE INDEX ON task_instance (span_status) WHERE span_status <> 'not_started'",
        "CREATE INDEX ON task_instance (updated_at) WHERE state IN ('success', 'failed')",
        "CREATE INDEX ON task_instance (dag_id, run_id) WHERE state IS NULL OR state <> 'success'",
        "CREATE INDEX ON task_instance (trigger_timeout) WHERE state = 'deferred'",
        "CREATE INDEX ON task_instance (state, dag_id) INCLUDE (run_id, map_index, priority_weight, id, task_id) WHERE state IN ('queued', 'scheduled')",
    ),
)

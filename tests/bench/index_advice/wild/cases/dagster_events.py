from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="dagster_events",
    about=(
        "The last event of each partition of an asset by max(id), one asset under two spellings of its key with OR, and events of a type"
        " in minutes (after dagster-io/dagster issues 31423, 20079, 10240 and 19390)."
    ),
    schema="""
CREATE TABLE event_logs (
  id bigint PRIMARY KEY,
  run_id varchar(255),
  event text NOT NULL,
  dagster_event_type text,
  timestamp timestamp,
  step_key text,
  asset_key text,
  partition text
);
CREATE INDEX idx_run_id ON event_logs (run_id, id);
CREATE INDEX idx_event_type ON event_logs (dagster_event_type, id);
CREATE INDEX idx_asset_partition ON event_logs (asset_key, partition);
""",
    load="""
SELECT setseed(0.65);
INSERT INTO event_logs
SELECT g, md5('run' || g / 80), '{"event_specific_data":"' || repeat(md5(g::text), 10) || '"}', s.type,
       timestamp '2025-01-01' + g * interval '12 seconds', 'step' || g % 80 / 10,
       CASE WHEN s.type LIKE 'ASSET%' THEN '["asset_' || (power(random(), 2) * 120)::int || '"]' END,
       CASE WHEN s.type LIKE 'ASSET%' AND random() < 0.9 THEN to_char(date '2024-06-01' + (random() * 300)::int, 'YYYY-MM-DD') END
FROM (SELECT g, CASE WHEN random() < 0.25 THEN 'STEP_OUTPUT' WHEN random() < 0.4 THEN 'ENGINE_EVENT' WHEN random() < 0.4 THEN 'STEP_START'
                     WHEN random() < 0.5 THEN 'ASSET_MATERIALIZATION' WHEN random() < 0.5 THEN 'ASSET_OBSERVATION'
                     WHEN random() < 0.01 THEN 'PIPELINE_FAILURE' ELSE 'LOGS_CAPTURED' END AS type
      FROM generate_series(1, 220000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "partitions",
            "SELECT event_logs.partition, max(event_logs.id) AS max_1 FROM event_logs WHERE event_logs.asset_key = {a}"
            " AND event_logs.partition IS NOT NULL AND event_logs.dagster_event_type = {t} GROUP BY event_logs.partition",
            (
                {"a": '["asset_0"]', "t": "ASSET_MATERIALIZATION"},
                {"a": '["asset_100"]', "t": "ASSET_MATERIALIZATION"},
                {"a": '["asset_40"]', "t": "ASSET_OBSERVATION"},
            ),
            40,
        ),
        Called(
            "latest_by_partition",
            "SELECT e.dagster_event_type, e.partition, e.run_id, e.id FROM (SELECT dagster_event_type, partition, max(id) AS id FROM event_logs"
            " WHERE asset_key = {a} AND partition IS NOT NULL AND dagster_event_type IN ({t}, {u}) GROUP BY dagster_event_type, partition) AS latest"
            " JOIN event_logs e ON e.id = latest.id",
            (
                {"a": '["asset_90"]', "t": "ASSET_MATERIALIZATION", "u": "ASSET_OBSERVATION"},
                {"a": '["asset_3"]', "t": "ASSET_MATERIALIZATION", "u": "ASSET_OBSERVATION"},
            ),
            20,
        ),
        Called(
            "last_of_key",
            "SELECT event_logs.id, event_logs.event FROM event_logs WHERE event_logs.dagster_event_type = {t}"
            " AND (event_logs.asset_key = {a} OR event_logs.asset_key = {b}) ORDER BY event_logs.id DESC LIMIT 1",
            (
                {"t": "ASSET_MATERIALIZATION", "a": '["asset_120"]', "b": "asset_120"},
                {"t": "ASSET_MATERIALIZATION", "a": '["asset_7"]', "b": "asset_7"},
                {"t": "ASSET_OBSERVATION", "a": '["gone"]', "b": "gone"},
            ),
            100,
        ),
        Called(
            "in_period",
            "SELECT event_logs.id, event_logs.event FROM event_logs WHERE event_logs.dagster_event_type = {t} AND event_logs.timestamp < {b}"
            " AND event_logs.timestamp > {a} ORDER BY event_logs.id ASC",
            (
                {"t": "STEP_START", "a": "2025-01-24 16:03:51", "b": "2025-01-24 16:08:58"},
                {"t": "PIPELINE_FAILURE", "a": "2025-01-30 10:00", "b": "2025-01-30 11:00"},
            ),
            60,
        ),
        Called(
            "of_run",
            "SELECT id, event FROM event_logs WHERE run_id = {r} AND id > {i} ORDER BY id LIMIT 1000",
            ({"r": "60855d48d879ad58a78abacac2163958", "i": 0},),
            50,
        ),
        Called(
            "store",
            "INSERT INTO event_logs VALUES ({i}, 'new', '{}', 'STEP_START', '2025-02-01', 'step1', NULL, NULL)",
            ({"i": 300000},),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON event_logs (asset_key, dagster_event_type, partition, id) WHERE asset_key IS NOT NULL",
        "CREATE INDEX ON event_logs (asset_key, dagster_event_type, id) WHERE asset_key IS NOT NULL",
        "CREATE INDEX ON event_logs (dagster_event_type, timestamp)",
    ),
)

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="jsonb_issue_runs",
    about=(
        "Runs of a company by a key of a wide, TOASTed jsonb document, context_snapshot ->> 'issueId'"
        " (after paperclipai/paperclip issue 6147), and containment in a second document by keys that vary."
    ),
    schema="""
CREATE TABLE heartbeat_runs (
  id bigserial PRIMARY KEY,
  company_id integer NOT NULL,
  agent_id integer NOT NULL,
  status text NOT NULL,
  error text,
  context_snapshot jsonb NOT NULL,
  labels jsonb NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX heartbeat_runs_company_created_at_idx ON heartbeat_runs (company_id, created_at);
CREATE INDEX heartbeat_runs_company_status_idx ON heartbeat_runs (company_id, status);
""",
    load="""
SELECT setseed(0.19);
INSERT INTO heartbeat_runs (company_id, agent_id, status, context_snapshot, labels, created_at)
SELECT s.c, (random() * 40)::int, CASE WHEN random() < 0.9 THEN 'succeeded' WHEN random() < 0.8 THEN 'failed' ELSE 'running' END,
       jsonb_build_object('issueId', 'iss-' || s.c || '-' || (power(random(), 2) * 4000)::int, 'source', 'timer')
         || CASE WHEN g % 12 = 0 THEN jsonb_build_object('log', (SELECT string_agg(md5((g * 100 + i)::text), '') FROM generate_series(1, 90) i)) ELSE '{}' END,
       jsonb_build_object('env', CASE WHEN random() < 0.97 THEN 'prod' ELSE 'staging' END,
                          'host', 'h' || (random() * 800)::int, 'sku', 'S' || (random() * 5000)::int),
       timestamptz '2025-01-01 00:00+00' + g * interval '90 seconds'
FROM (SELECT g, 1 + floor(power(random(), 3) * 12)::int AS c FROM generate_series(1, 120000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "runs_of_issue",
            "SELECT id, agent_id, status, error, created_at FROM heartbeat_runs WHERE company_id = {c}"
            " AND context_snapshot ->> 'issueId' = {i} ORDER BY created_at DESC, id DESC LIMIT {n}",
            (
                {"c": 1, "i": "iss-1-17", "n": 50},
                {"c": 1, "i": "iss-1-3900", "n": 6},
                {"c": 9, "i": "iss-9-1", "n": 50},
                {"c": 2, "i": "iss-2-99999", "n": 50},
            ),
            200,
        ),
        Called(
            "by_label",
            "SELECT id, status FROM heartbeat_runs WHERE labels @> {l}::jsonb LIMIT 100",
            (
                {"l": '{"sku": "S77"}'},
                {"l": '{"host": "h12"}'},
                {"l": '{"env": "staging", "host": "h300"}'},
            ),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON heartbeat_runs (company_id, (context_snapshot ->> 'issueId'), created_at DESC, id DESC)",
        "CREATE INDEX ON heartbeat_runs USING gin (labels jsonb_path_ops)",
    ),
)

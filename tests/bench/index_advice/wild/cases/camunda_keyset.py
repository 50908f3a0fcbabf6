from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="camunda_keyset",
    about=(
        "Keyset pages deep in a list, as a row comparison and as its expansion with OR (after camunda/camunda issue"
        " 56138, blockscout issue 9891 and twentyhq/twenty issue 24367), with the tenant first."
    ),
    schema="""
CREATE TABLE wait_state (
  wait_state_key bigint PRIMARY KEY,
  tenant_id varchar(64) NOT NULL,
  partition_id integer NOT NULL,
  element_type varchar(32) NOT NULL,
  process_key bigint NOT NULL,
  created_at timestamp NOT NULL,
  payload text
);
CREATE INDEX wait_state_created ON wait_state (created_at);
""",
    load="""
SELECT setseed(0.20);
INSERT INTO wait_state
SELECT 2251799813685000 + g, CASE WHEN random() < 0.6 THEN '<default>' ELSE 'tenant-' || floor(power(random(), 2) * 40)::int END,
       g % 3 + 1, (ARRAY['USER_TASK', 'TIMER', 'MESSAGE', 'JOB'])[1 + floor(power(random(), 2) * 4)::int],
       1000 + (power(random(), 2) * 800)::int,
       timestamp '2025-01-01' + (g / 40) * interval '20 minutes', repeat(md5(g::text), 4)
FROM generate_series(1, 300000) AS g;
""",
    statements=(
        Called(
            "next_page",
            "SELECT wait_state_key, element_type, created_at, payload FROM wait_state WHERE tenant_id = {t}"
            " AND (created_at, wait_state_key) > ({c}::timestamp, {k}) ORDER BY created_at, wait_state_key LIMIT 50",
            (
                {"t": "<default>", "c": "2025-03-01 10:00", "k": 2251799813854000},
                {"t": "tenant-3", "c": "2025-02-01 00:00", "k": 2251799813774000},
                {"t": "tenant-39", "c": "2025-01-02 00:00", "k": 2251799813688000},
            ),
            200,
        ),
        Called(
            "next_page_or",
            "SELECT wait_state_key, created_at FROM wait_state WHERE tenant_id = {t} AND (created_at < {c}::timestamp"
            " OR (created_at = {c}::timestamp AND wait_state_key < {k})) ORDER BY created_at DESC, wait_state_key DESC LIMIT 50",
            (
                {"t": "tenant-39", "c": "2025-04-01 00:00", "k": 2251799813944000},
                {"t": "<default>", "c": "2025-04-14 00:00", "k": 2251799813981000},
            ),
            100,
        ),
        Called(
            "first_page_of_type",
            "SELECT wait_state_key, created_at FROM wait_state WHERE tenant_id = {t} AND element_type = {e}"
            " ORDER BY created_at DESC, wait_state_key DESC LIMIT 50",
            ({"t": "tenant-30", "e": "JOB"}, {"t": "<default>", "e": "USER_TASK"}),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON wait_state (tenant_id, created_at, wait_state_key)",
        "CREATE INDEX ON wait_state (tenant_id, element_type, created_at, wait_state_key)",
    ),
)

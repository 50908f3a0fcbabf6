from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="supabase_rls",
    about=(
        "Row security whose policies hold the only condition, user_id = (SELECT auth.uid()) and membership of a team, which stays"
        " a filter for each row, run as the application's role (Supabase's guide to the performance of policies)."
    ),
    roles="""
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'trap_authenticated') THEN
    CREATE ROLE trap_authenticated NOLOGIN;
  END IF;
END $$;
""",
    settings={"request.jwt_sub": "77", "role": "trap_authenticated"},
    schema="""
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS integer LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('request.jwt_sub', true), '')::integer $$;
CREATE TABLE team_members (
  team_id integer NOT NULL,
  user_id integer NOT NULL,
  PRIMARY KEY (team_id, user_id)
);
CREATE TABLE documents (
  id bigserial PRIMARY KEY,
  team_id integer NOT NULL,
  owner_id integer NOT NULL,
  title text NOT NULL,
  starred boolean NOT NULL,
  updated_at timestamptz NOT NULL,
  body text NOT NULL
);
CREATE TABLE notes (
  id bigserial PRIMARY KEY,
  user_id integer NOT NULL,
  content text NOT NULL,
  created_at timestamptz NOT NULL
);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY team_documents ON documents
  USING (team_id IN (SELECT m.team_id FROM team_members m WHERE m.user_id = (SELECT auth.uid())));
CREATE POLICY own_notes ON notes USING (user_id = (SELECT auth.uid()));
GRANT USAGE ON SCHEMA auth, public TO trap_authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO trap_authenticated;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO trap_authenticated;
""",
    load="""
SELECT setseed(0.40);
INSERT INTO team_members SELECT DISTINCT 1 + floor(power(random(), 2) * 2000)::int, 1 + floor(random() * 6000)::int
FROM generate_series(1, 25000) AS g;
INSERT INTO documents (team_id, owner_id, title, starred, updated_at, body)
SELECT 1 + floor(power(random(), 2) * 2000)::int, (random() * 6000)::int, 'Document ' || g, random() < 0.03,
       timestamptz '2024-01-01 00:00+00' + random() * interval '500 days', repeat(md5(g::text), 5)
FROM generate_series(1, 150000) AS g;
INSERT INTO notes (user_id, content, created_at)
SELECT CASE WHEN random() < 0.01 THEN 77 ELSE (random() * 6000)::int END, repeat(md5(g::text), 4),
       timestamptz '2024-01-01 00:00+00' + g * interval '2 minutes'
FROM generate_series(1, 150000) AS g;
""",
    statements=(
        Called(
            "my_notes",
            "SELECT id, content, created_at FROM notes ORDER BY created_at DESC LIMIT 20",
            (),
            100,
        ),
        Called("my_note_count", "SELECT count(*) FROM notes", (), 50),
        Called(
            "recent_documents",
            "SELECT id, title, updated_at FROM documents WHERE updated_at > {d} ORDER BY updated_at DESC LIMIT 20",
            ({"d": "2025-05-01 00:00+00"}, {"d": "2024-02-01 00:00+00"}),
            100,
        ),
        Called(
            "starred_documents", "SELECT id, title FROM documents WHERE starred ORDER BY id", (), 50
        ),
    ),
    expert=(
        "CREATE INDEX ON notes (user_id, created_at DESC)",
        "CREATE INDEX ON documents (updated_at) INCLUDE (id, title, team_id)",
        "CREATE INDEX ON documents (id) INCLUDE (title, team_id) WHERE starred",
        "CREATE INDEX ON team_members (user_id)",
    ),
)

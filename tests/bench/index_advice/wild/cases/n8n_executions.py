from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="n8n_executions",
    about=(
        "Runs of a workflow that put the running ones first by a CASE, several workflows by COALESCE of two times, pruning by NOT IN of"
        " states, with quoted names (after n8n-io/n8n pulls 9817, 19263 and 32116)."
    ),
    schema="""
CREATE TABLE workflow_entity (id varchar(36) PRIMARY KEY, name varchar(128) NOT NULL, active boolean NOT NULL);
CREATE TABLE shared_workflow ("workflowId" varchar(36) NOT NULL, "projectId" varchar(36) NOT NULL, role text NOT NULL, PRIMARY KEY ("workflowId", "projectId"));
CREATE TABLE execution_entity (
  id integer PRIMARY KEY,
  finished boolean NOT NULL,
  mode varchar NOT NULL,
  "retryOf" varchar,
  "startedAt" timestamptz(3),
  "stoppedAt" timestamptz(3),
  "waitTill" timestamptz(3),
  status varchar NOT NULL,
  "workflowId" varchar(36) NOT NULL,
  "deletedAt" timestamptz(3),
  "createdAt" timestamptz(3) NOT NULL
);
CREATE INDEX "idx_execution_entity_workflow_id_started_at" ON execution_entity ("workflowId", "startedAt")
  WHERE "startedAt" IS NOT NULL AND "deletedAt" IS NULL;
CREATE INDEX "IDX_execution_entity_deletedAt" ON execution_entity ("deletedAt");
""",
    load="""
SELECT setseed(0.64);
INSERT INTO workflow_entity SELECT 'wf' || md5(g::text), 'Workflow ' || g, random() < 0.6 FROM generate_series(0, 400) AS g;
INSERT INTO shared_workflow SELECT id, 'project' || (power(random(), 2) * 30)::int, 'workflow:owner' FROM workflow_entity;
INSERT INTO execution_entity
SELECT g, s.st <> 'running', CASE WHEN random() < 0.7 THEN 'trigger' ELSE 'webhook' END, NULL, CASE WHEN s.st <> 'new' THEN s.t END,
       CASE WHEN s.st NOT IN ('running', 'new', 'waiting') THEN s.t + power(random(), 4) * interval '50 minutes' END,
       CASE WHEN s.st = 'waiting' THEN s.t + interval '1 day' * random() * 60 END, s.st, 'wf' || md5(((power(random(), 2) * 400)::int)::text),
       CASE WHEN g < 60000 AND random() < 0.3 THEN s.t + interval '14 days' END, s.t - interval '1 second'
FROM (SELECT g, timestamptz '2025-06-01 00:00+00' - (260000 - g) * interval '40 seconds' AS t,
             CASE WHEN g > 259900 AND random() < 0.5 THEN 'running' WHEN g > 259950 THEN 'new' WHEN random() < 0.003 THEN 'waiting' WHEN random() < 0.9 THEN 'success'
                  WHEN random() < 0.8 THEN 'error' ELSE 'crashed' END AS st
      FROM generate_series(1, 260000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "running_first",
            """SELECT execution.id, execution.status, execution."startedAt", execution."stoppedAt", w.name FROM execution_entity execution"""
            """ INNER JOIN workflow_entity w ON w.id = execution."workflowId" WHERE execution."workflowId" = {w} AND execution."deletedAt" IS NULL"""
            """ ORDER BY CASE WHEN execution.status = 'running' THEN 0 ELSE 1 END, execution.id DESC LIMIT 20""",
            (
                {"w": "wfcfcd208495d565ef66e7dff9f98764da"},
                {"w": "wf98f13708210194c475687be6106a3b84"},
                {"w": "wfbd4c9ab730f5513206b999ec0d90d1fb"},
            ),
            100,
        ),
        Called(
            "of_workflows",
            """SELECT execution.id, execution.status, execution."startedAt" FROM execution_entity execution INNER JOIN shared_workflow sw"""
            """ ON sw."workflowId" = execution."workflowId" WHERE execution."workflowId" IN ({a}, {b}) AND execution.status IN ({s}, {t})"""
            """ AND sw."projectId" = {p} AND execution."deletedAt" IS NULL"""
            """ ORDER BY COALESCE(execution."startedAt", execution."createdAt") DESC LIMIT 20""",
            (
                {
                    "a": "wfcfcd208495d565ef66e7dff9f98764da",
                    "b": "wf98f13708210194c475687be6106a3b84",
                    "s": "error",
                    "t": "crashed",
                    "p": "project0",
                },
                {
                    "a": "wfbd4c9ab730f5513206b999ec0d90d1fb",
                    "b": "wfc4ca4238a0b923820dcc509a6f75849b",
                    "s": "waiting",
                    "t": "canceled",
                    "p": "project1",
                },
            ),
            60,
        ),
        Called(
            "to_prune",
            """SELECT id, "workflowId" FROM execution_entity WHERE "deletedAt" IS NULL AND status NOT IN ('new', 'running', 'waiting')"""
            """ AND "stoppedAt" <= {t} ORDER BY "stoppedAt" LIMIT 100""",
            ({"t": "2025-02-01 12:00+00"}, {"t": "2025-01-15 12:00+00"}),
            20,
        ),
        Called(
            "due",
            """SELECT id, "waitTill" FROM execution_entity WHERE "waitTill" <= {t} AND status <> 'crashed' ORDER BY "waitTill" ASC""",
            ({"t": "2025-02-06 00:01+00"}, {"t": "2025-02-10 00:01+00"}),
            100,
        ),
        Called(
            "to_delete",
            """SELECT id, "workflowId" FROM execution_entity WHERE "deletedAt" <= {t} LIMIT 100""",
            ({"t": "2025-02-20 00:00+00"},),
            10,
        ),
        Called(
            "finish",
            """UPDATE execution_entity SET status = {s}, "stoppedAt" = {t}, finished = true WHERE id = {i}""",
            ({"s": "success", "t": "2025-06-01 00:10+00", "i": 259990},),
            100,
        ),
    ),
    expert=(
        """CREATE INDEX ON execution_entity ("workflowId", (CASE WHEN status = 'running' THEN 0 ELSE 1 END), id DESC) WHERE "deletedAt" IS NULL""",
        """CREATE INDEX ON execution_entity ("workflowId", status) WHERE "deletedAt" IS NULL""",
        """CREATE INDEX ON execution_entity ("stoppedAt") WHERE "deletedAt" IS NULL AND "stoppedAt" IS NOT NULL""",
        """CREATE INDEX ON execution_entity ("waitTill") WHERE "waitTill" IS NOT NULL""",
    ),
)

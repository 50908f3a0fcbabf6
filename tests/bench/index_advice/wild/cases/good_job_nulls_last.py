from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="good_job_nulls_last",
    about=(
        "Candidates ordered by priority DESC NULLS LAST, created_at, with finished_at IS NULL and scheduled_at <= now OR IS NULL, through a"
        " MATERIALIZED CTE (after bensheldon/good_job pull 726): the order of NULLs must be that of the index."
    ),
    schema="""
CREATE TABLE good_jobs (
  id uuid PRIMARY KEY,
  queue_name text,
  priority integer,
  serialized_params jsonb NOT NULL,
  scheduled_at timestamp,
  performed_at timestamp,
  finished_at timestamp,
  error text,
  created_at timestamp NOT NULL,
  active_job_id uuid NOT NULL,
  concurrency_key text,
  cron_key text,
  cron_at timestamp
);
CREATE INDEX index_good_jobs_on_scheduled_at ON good_jobs (scheduled_at) WHERE finished_at IS NULL;
CREATE INDEX index_good_jobs_on_queue_name_and_scheduled_at ON good_jobs (queue_name, scheduled_at) WHERE finished_at IS NULL;
""",
    load="""
SELECT setseed(0.50);
INSERT INTO good_jobs
SELECT md5('g' || g)::uuid, (ARRAY['default', 'default', 'mailers', 'slow'])[1 + g % 4],
       CASE WHEN random() < 0.3 THEN NULL ELSE (random() * 10)::int END, jsonb_build_object('job_class', 'Job' || g % 30, 'args', md5(g::text)),
       CASE WHEN random() < 0.5 THEN timestamp '2025-05-01' + g * interval '15 seconds' END,
       CASE WHEN g < 130000 THEN timestamp '2025-05-01' + g * interval '15 seconds' END,
       CASE WHEN g < 130000 AND random() < 0.999 THEN timestamp '2025-05-01' + g * interval '15 seconds' END,
       CASE WHEN random() < 0.02 THEN 'StandardError: ' || md5(g::text) END, timestamp '2025-05-01' + g * interval '15 seconds',
       md5('a' || g / 2)::uuid, CASE WHEN random() < 0.2 THEN 'key-' || g % 700 END,
       CASE WHEN random() < 0.01 THEN 'cron' || g % 9 END, CASE WHEN random() < 0.01 THEN timestamp '2025-05-01' + g * interval '15 seconds' END
FROM generate_series(1, 180000) AS g;
""",
    statements=(
        Called(
            "candidates",
            'SELECT "good_jobs".* FROM "good_jobs" WHERE "good_jobs"."id" IN (WITH "rows" AS MATERIALIZED (SELECT "good_jobs"."id",'
            ' "good_jobs"."active_job_id" FROM "good_jobs" WHERE "good_jobs"."finished_at" IS NULL AND ("good_jobs"."scheduled_at" <= {now}'
            ' OR "good_jobs"."scheduled_at" IS NULL) ORDER BY priority DESC NULLS LAST, created_at ASC LIMIT 200)'
            ' SELECT "rows"."id" FROM "rows" LIMIT 1)',
            ({"now": "2025-06-10 00:00:00"}, {"now": "2025-05-20 00:00:00"}),
            200,
        ),
        Called(
            "of_active_job",
            "SELECT count(*) FROM good_jobs WHERE active_job_id = {a}",
            (
                {"a": "a8a64cef-262a-04de-4872-b68b63ab7cd8"},
                {"a": "00000000-0000-0000-0000-000000000001"},
            ),
            100,
        ),
        Called(
            "concurrency",
            "SELECT count(*) FROM good_jobs WHERE concurrency_key = {k} AND finished_at IS NULL",
            ({"k": "key-7"}, {"k": "key-699"}),
            200,
        ),
        Called(
            "cron_done",
            "SELECT 1 AS one FROM good_jobs WHERE cron_key = {k} AND cron_at = {t} LIMIT 1",
            ({"k": "cron3", "t": "2025-05-20 10:00:15"},),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON good_jobs (priority DESC NULLS LAST, created_at) WHERE finished_at IS NULL",
        "CREATE INDEX ON good_jobs (active_job_id)",
        "CREATE INDEX ON good_jobs (concurrency_key) WHERE finished_at IS NULL",
        "CREATE INDEX ON good_jobs (cron_key, cron_at) WHERE cron_key IS NOT NULL",
    ),
)

"""A queue of jobs in a table: few ready, many done."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

_CLAIM = """
update jobs set state = 'running', locked_at = now(), locked_by = {worker}
where id = (
    select id from jobs where queue = {queue} and state = 'ready' and run_at <= {now}
    order by priority desc, run_at limit 1 for update skip locked
)
returning *
"""

CASE = Wild(
    name="job_queue",
    about="a queue with SKIP LOCKED as in que, delayed_job and Oban: 99% of 400,000 jobs are done",
    schema="""
create table jobs (
    id bigint generated always as identity primary key, queue text not null, state text not null,
    priority int not null default 0, run_at timestamptz not null, locked_at timestamptz, locked_by text,
    attempts int not null default 0, args jsonb not null
) with (fillfactor = 90);
""",
    load="""
select setseed(0.1);
insert into jobs (queue, state, priority, run_at, locked_at, locked_by, attempts, args)
select (array['default', 'default', 'default', 'mail', 'mail', 'reports', 'search'])[1 + (random() * 6)::int],
    case when g > 396000 and random() < 0.8 then 'ready' when random() < 0.002 then 'failed'
         when g > 395000 and random() < 0.05 then 'running' else 'done' end,
    (random() * 3)::int, timestamptz '2025-03-01' + g * interval '20 seconds', null, null,
    (random() * random() * 5)::int, jsonb_build_object('user_id', (random() * 50000)::int, 'note', repeat('x', 80))
from generate_series(1, 400000) g;
update jobs set locked_at = run_at, locked_by = 'host-' || id % 12 where state = 'running';
""",
    statements=(
        Called(
            "claim",
            _CLAIM,
            (
                {"worker": "host-3", "queue": "default", "now": "2025-06-01 18:00+00"},
                {"worker": "host-5", "queue": "mail", "now": "2025-06-01 17:00+00"},
                {"worker": "host-7", "queue": "reports", "now": "2025-06-02 03:00+00"},
            ),
            calls=10,
        ),
        Called(
            "stalled",
            "select id, queue, locked_by from jobs where state = 'running' and locked_at < {limit} order by locked_at",
            ({"limit": "2025-06-01 12:00+00"}, {"limit": "2025-06-01 20:00+00"}),
            calls=2,
        ),
        Called(
            "depth",
            "select queue, count(*) from jobs where state in ('ready', 'running') group by queue",
            calls=3,
        ),
        Called(
            "failed",
            "select * from jobs where state = 'failed' order by run_at desc limit 25",
            calls=1,
        ),
        Called(
            "finish",
            "update jobs set state = 'done' where id = {id}",
            ({"id": 397001}, {"id": 398500}),
            10,
        ),
        Called(
            "enqueue",
            "insert into jobs (queue, state, priority, run_at, args) values ({queue}, 'ready', {priority}, {at}, {args})",
            (
                {
                    "queue": "mail",
                    "priority": 1,
                    "at": "2025-06-02 00:00+00",
                    "args": {"user_id": 5},
                },
            ),
            calls=10,
        ),
    ),
    expert=(
        "create index on jobs (queue, priority desc, run_at) where state = 'ready'",
        "create index on jobs (state, run_at) where state <> 'done'",
    ),
)

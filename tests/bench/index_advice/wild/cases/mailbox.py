"""Messages between people: either of two columns, the newest of each thread, and unread ones."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

_PEOPLE = ({"me": 1}, {"me": 77}, {"me": 15000})

CASE = Wild(
    name="mailbox",
    about="OR across two columns, LATERAL with the newest of each thread (after macro-inc/macro pull 4741), UNION, and a flag",
    schema="""
create table threads (id int primary key, owner_id int not null, is_archived boolean not null, title text not null);
create table messages (
    id int primary key, thread_id int not null, sender_id int not null, recipient_id int not null, sent_at timestamptz,
    created_at timestamptz not null, read_at timestamptz, subject text not null, snippet text not null
);
""",
    load="""
select setseed(0.6);
insert into threads
select g, 1 + (power(random(), 3) * 19999)::int, random() < 0.7, 'thread ' || g from generate_series(1, 60000) g;
insert into messages
select g, 1 + (power(random(), 2) * 59999)::int, 1 + (power(random(), 3) * 19999)::int, 1 + (power(random(), 3) * 19999)::int,
    case when random() < 0.97 then timestamptz '2024-01-01' + g * interval '80 seconds' end,
    timestamptz '2024-01-01' + g * interval '80 seconds' + interval '3 seconds',
    case when random() < 0.95 then timestamptz '2025-01-01' end, 'subject ' || g, repeat('snippet ', 12)
from generate_series(1, 300000) g;
""",
    statements=(
        Called(
            "mine",
            "select id, subject, created_at from messages where sender_id = {me} or recipient_id = {me}"
            " order by created_at desc limit 25",
            _PEOPLE,
            6,
        ),
        Called(
            "conversation",
            "select * from messages where (sender_id = {me} and recipient_id = {other})"
            " or (sender_id = {other} and recipient_id = {me}) order by created_at",
            ({"me": 1, "other": 77}, {"me": 300, "other": 2}, {"me": 15000, "other": 16000}),
            6,
        ),
        Called(
            "inbox",
            "select t.id, t.title, m.subject, m.snippet from threads t cross join lateral (select subject, snippet,"
            " coalesce(sent_at, created_at) as at from messages where thread_id = t.id"
            " order by coalesce(sent_at, created_at) desc limit 1) m"
            " where t.owner_id = {me} and not t.is_archived order by m.at desc limit 20",
            _PEOPLE,
            1,
        ),
        Called(
            "unread",
            "select count(*) from messages where recipient_id = {me} and read_at is null",
            _PEOPLE,
            10,
        ),
        Called(
            "read",
            "update messages set read_at = {at} where id = {id}",
            ({"at": "2025-02-01", "id": 5000},),
            10,
        ),
    ),
    expert=(
        "create index on messages (sender_id, created_at)",
        "create index on messages (recipient_id, created_at)",
        "create index on messages (thread_id, coalesce(sent_at, created_at) desc)",
        "create index on messages (recipient_id) where read_at is null",
        "create index on threads (owner_id) where not is_archived",
    ),
)

"""A store of events that is read by the time at which they are valid, which is another column if it is NULL."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="event_store",
    about="order by COALESCE of two columns, and streams of an aggregate (after RailsEventStore/rails_event_store issue 1919)",
    schema="""
create table event_store_events (
    id bigserial primary key, event_id uuid not null, event_type varchar not null, metadata jsonb, data jsonb not null,
    created_at timestamp not null, valid_at timestamp
);
create table event_store_events_in_streams (
    id bigserial primary key, stream varchar not null, position int, event_id uuid not null, created_at timestamp not null
);
create unique index on event_store_events (event_id);
create index on event_store_events (created_at);
""",
    load="""
select setseed(0.5);
insert into event_store_events (event_id, event_type, metadata, data, created_at, valid_at)
select md5(g::text)::uuid, 'Orders::' || (array['Placed', 'Paid', 'Paid', 'Shipped', 'Shipped', 'Returned'])[1 + (random() * 5)::int],
    '{"request_ip": "127.0.0.1"}', jsonb_build_object('order_id', (random() * 40000)::int, 'text', repeat('x', 120)),
    timestamp '2024-01-01' + g * interval '2 minutes',
    case when random() < 0.05 then timestamp '2024-01-01' + g * interval '2 minutes' - random() * interval '90 days' end
from generate_series(1, 200000) g;
insert into event_store_events_in_streams (stream, position, event_id, created_at)
select 'Order$' || (power(random(), 2) * 40000)::int, null, event_id, created_at from event_store_events;
""",
    statements=(
        Called(
            "as_of",
            'SELECT "event_store_events".* FROM "event_store_events" ORDER BY COALESCE("event_store_events"."valid_at",'
            ' "event_store_events"."created_at") DESC, "event_store_events"."id" DESC LIMIT {n} OFFSET {skip}',
            ({"n": 50, "skip": 0}, {"n": 50, "skip": 200}),
            5,
        ),
        Called(
            "between",
            'SELECT count(*) FROM "event_store_events" WHERE COALESCE("event_store_events"."valid_at",'
            ' "event_store_events"."created_at") >= {start} AND COALESCE("event_store_events"."valid_at",'
            ' "event_store_events"."created_at") < {stop}',
            (
                {"start": "2024-05-01 00:00", "stop": "2024-05-02 00:00"},
                {"start": "2024-08-01 00:00", "stop": "2024-08-01 06:00"},
            ),
            5,
        ),
        Called(
            "stream",
            "SELECT e.* FROM event_store_events_in_streams s JOIN event_store_events e ON e.event_id = s.event_id"
            " WHERE s.stream = {stream} ORDER BY s.id ASC LIMIT 100",
            ({"stream": "Order$0"}, {"stream": "Order$812"}, {"stream": "Order$33333"}),
            10,
        ),
        Called(
            "last_of_type",
            'SELECT "event_store_events".* FROM "event_store_events" WHERE "event_store_events"."event_type" IN ({kind})'
            ' ORDER BY "event_store_events"."id" DESC LIMIT 1',
            ({"kind": "Orders::Returned"}, {"kind": "Orders::Paid"}, {"kind": "Orders::Lost"}),
            4,
        ),
        Called(
            "append",
            "INSERT INTO event_store_events (event_id, event_type, data, created_at) VALUES ({id}, 'Orders::Paid', {data}, {at})",
            (
                {
                    "id": "11111111-2222-3333-4444-555555555555",
                    "data": {"order_id": 7},
                    "at": "2024-12-01 00:00",
                },
            ),
            10,
        ),
    ),
    expert=(
        "create index on event_store_events (coalesce(valid_at, created_at) desc, id desc)",
        "create index on event_store_events_in_streams (stream, id)",
        "create index on event_store_events (event_type, id)",
    ),
)

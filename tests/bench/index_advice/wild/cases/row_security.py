"""Deliveries of webhooks whose tenant is only in a policy of row-level security."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="row_security",
    about=(
        "django-rls-tenants: the tenant is compared with current_setting in a sub-SELECT of the policy, and no statement"
        " names it (after dvoraj75/django-rls-tenants issue 57 and fazer-ai/agents issue 382)"
    ),
    roles="create role wild_app login; grant pg_read_all_stats to wild_app;",
    schema="""
create table deliveries (
    id bigint generated always as identity primary key, tenant_id int not null, endpoint_id int not null,
    status text not null, code int, created_at timestamptz not null, body text not null
);
create table endpoints (id int primary key, tenant_id int not null, url text not null, enabled boolean not null);
alter table deliveries enable row level security;
alter table endpoints enable row level security;
create policy tenant on deliveries
    using (tenant_id = nullif((select current_setting('rls.current_tenant', true)), '')::int);
create policy tenant on endpoints
    using (tenant_id = nullif((select current_setting('rls.current_tenant', true)), '')::int);
grant select, insert, update, delete on deliveries, endpoints to wild_app;
""",
    load="""
select setseed(0.4);
insert into endpoints
select g, 1 + (power(random(), 2) * 499)::int, 'https://example.org/hook/' || g, random() < 0.9 from generate_series(1, 4000) g;
insert into deliveries (tenant_id, endpoint_id, status, code, created_at, body)
select e.tenant_id, e.id, case when random() < 0.97 then 'ok' when random() < 0.5 then 'failed' else 'retry' end, 200,
    timestamptz '2025-01-01' + g * interval '40 seconds', repeat('payload ', 20)
from (select g, 1 + (power(random(), 2) * 3999)::int as endpoint from generate_series(1, 300000) g offset 0) d
join endpoints e on e.id = d.endpoint;
""",
    statements=(
        Called("newest", "select * from deliveries order by id desc limit 51 offset 0", calls=10),
        Called(
            "of_endpoint",
            "select id, status, code, created_at from deliveries where endpoint_id = {endpoint}"
            " and created_at >= {since} order by created_at desc limit 100",
            (
                {"endpoint": 100, "since": "2025-04-01"},
                {"endpoint": 2500, "since": "2025-03-01"},
                {"endpoint": 3900, "since": "2025-05-01"},
            ),
            5,
        ),
        Called(
            "troubles",
            "select count(*) from deliveries where status in ('failed', 'retry')",
            calls=5,
        ),
        Called("endpoints", "select id, url from endpoints where enabled order by id", calls=5),
    ),
    expert=(
        "create index on deliveries (tenant_id, id desc)",
        "create index on deliveries (tenant_id, endpoint_id, created_at)",
        "create index on deliveries (tenant_id, status) where status <> 'ok'",
        "create index on endpoints (tenant_id)",
    ),
    settings={"role": "wild_app", "rls.current_tenant": "137"},
)

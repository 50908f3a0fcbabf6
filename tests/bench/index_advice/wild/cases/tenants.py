"""A multi-tenant tracker with soft delete: one tenant has a third of the rows."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

_TENANTS = ({"tenant": 1}, {"tenant": 17}, {"tenant": 812})

CASE = Wild(
    name="tenants",
    about="a Rails application with acts_as_paranoid and acts_as_tenant: pages, lists of a user, counts and a lookup",
    schema="""
create table users (id bigint primary key, tenant_id bigint not null, email text not null, deleted_at timestamp);
create table issues (
    id bigint primary key, tenant_id bigint not null, assignee_id bigint, status text not null, title text not null,
    body text not null, created_at timestamp not null, updated_at timestamp not null, deleted_at timestamp
);
create index index_issues_on_deleted_at on issues (deleted_at);
""",
    load="""
select setseed(0.2);
insert into users
select g, t, 'User' || g || '@Example.org', case when random() < 0.1 then timestamp '2025-01-01' end
from (select g, case when random() < 0.3 then 1 else 1 + (power(random(), 3) * 999)::int end t
      from generate_series(1, 60000) g) u;
insert into issues
select g, u.tenant_id, case when random() < 0.8 then u.id end,
    (array['closed', 'closed', 'closed', 'closed', 'closed', 'closed', 'open', 'blocked'])[1 + (random() * 7)::int],
    'issue ' || g, repeat('text ', 30), timestamp '2023-01-01' + g * interval '3 minutes',
    timestamp '2023-01-01' + g * interval '3 minutes' + random() * interval '60 days',
    case when random() < 0.15 then timestamp '2025-02-01' end
from generate_series(1, 300000) g join users u on u.id = 1 + (g * 7919::bigint) % 60000;
""",
    statements=(
        Called(
            "newest",
            'SELECT "issues".* FROM "issues" WHERE "issues"."deleted_at" IS NULL AND "issues"."tenant_id" = {tenant}'
            ' ORDER BY "issues"."created_at" DESC LIMIT 50 OFFSET 0',
            _TENANTS,
            10,
        ),
        Called(
            "next_page",
            'SELECT "issues".* FROM "issues" WHERE "issues"."deleted_at" IS NULL AND "issues"."tenant_id" = {tenant}'
            " AND (created_at, id) < ({at}, {id}) ORDER BY created_at DESC, id DESC LIMIT 50",
            (
                {"tenant": 1, "at": "2024-02-01 00:00", "id": 190080},
                {"tenant": 17, "at": "2024-01-01 00:00", "id": 175200},
                {"tenant": 812, "at": "2023-08-01 00:00", "id": 101760},
            ),
            5,
        ),
        Called(
            "mine",
            'SELECT "issues".* FROM "issues" WHERE "issues"."deleted_at" IS NULL AND "issues"."tenant_id" = {tenant}'
            ' AND "issues"."assignee_id" = {user} AND "issues"."status" != {closed} ORDER BY "issues"."updated_at" DESC',
            tuple(
                {"tenant": t, "user": u, "closed": "closed"}
                for t, u in ((1, 4321), (17, 101), (812, 59000))
            ),
            8,
        ),
        Called(
            "open",
            'SELECT COUNT(*) FROM "issues" WHERE "issues"."deleted_at" IS NULL AND "issues"."tenant_id" = {tenant}'
            " AND \"issues\".\"status\" IN ('open', 'blocked')",
            _TENANTS,
            4,
        ),
        Called(
            "login",
            'SELECT "users".* FROM "users" WHERE "users"."deleted_at" IS NULL AND (lower(email) = lower({email})) LIMIT 1',
            ({"email": "user4711@example.org"}, {"email": "USER20@example.org"}),
            6,
        ),
        Called(
            "touch",
            'UPDATE "issues" SET "updated_at" = {at}, "status" = {status} WHERE "issues"."id" = {id}',
            ({"at": "2025-03-01 10:00", "status": "closed", "id": 123456},),
            10,
        ),
    ),
    expert=(
        "create index on issues (tenant_id, created_at desc, id desc) where deleted_at is null",
        "create index on issues (assignee_id) where deleted_at is null",
        "create index on issues (tenant_id, status) where deleted_at is null",
        "create index on users (lower(email))",
    ),
)

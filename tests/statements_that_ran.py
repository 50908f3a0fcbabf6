"""Statements as applications send them, run on a real server so that pg_stat_statements records its own texts of them.

Without values, literals are in the text, as drivers that interpolate send them; ``%s`` is a bound parameter.
The kinds come from what Rails, Django, Hibernate, Sequelize, Prisma, TypeORM, jOOQ, Hasura, PostgREST, Metabase and
Superset send, and from public reports of statements that no tool could plan.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.sqltext.plan_trees import PlanNode

SCHEMA = """
create extension if not exists pg_stat_statements;
create type mood as enum ('low', 'mid', 'high');
create domain email as text check (value like '%@%');
create table accounts (id bigint generated always as identity primary key, name text not null, mail email, current_city varchar(80),
    plan mood default 'mid', score numeric(10,2), created_at timestamptz not null, active boolean default true, ref uuid);
create table orders (id serial primary key, account_id bigint not null references accounts, state int not null, total numeric not null,
    paid boolean not null, placed_on date not null, placed_at timestamp not null, payload jsonb, tags text[], lines int[], note text,
    deleted_at timestamptz);
create table items (order_id int not null references orders, sku text not null, amount int not null, price float8 not null,
    attributes json, valid daterange, primary key (order_id, sku));
create table nodes (id int primary key, parent_id int, label text, weight real);
create table counters (day date not null, kind text not null, active boolean not null default true, hits bigint not null);
create unique index counters_open on counters (day, kind) where active;
create unique index counters_all on counters (day, kind, active);
insert into accounts (name, mail, current_city, plan, score, created_at, ref)
    select 'n' || g, 'm' || g || '@x.org', 'c' || g % 50, (array['low','mid','high'])[1 + g % 3]::mood, g % 100,
    timestamptz '2026-01-01' + g * interval '1 hour', md5(g::text)::uuid from generate_series(1, 2000) g;
insert into orders (account_id, state, total, paid, placed_on, placed_at, payload, tags, lines, note)
    select 1 + g % 2000, g % 5, g % 977, g % 3 = 0, date '2026-01-01' + g % 300, timestamp '2026-01-01' + g * interval '10 min',
    jsonb_build_object('kind', 'k' || g % 5, 'n', g), array['t' || g % 7, 'u' || g % 11], array[g % 13, g % 17], 'note ' || g
    from generate_series(1, 6000) g;
insert into items select g, 's' || g % 9, g % 5, g % 70, '{}', daterange(date '2026-01-01' + g % 300, date '2026-01-08' + g % 300)
    from generate_series(1, 6000) g;
insert into nodes select g, g / 3, 'l' || g, g % 10 from generate_series(1, 3000) g;
insert into counters select date '2026-01-01' + g % 300, 'k' || g / 300, true, g from generate_series(0, 2999) g;
analyze;
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and the values bound to its ``%s``. ``least`` is the first major that knows it."""

    sql: str
    values: Sequence[Any] = ()
    least: int = 0


SENT = (
    # GROUP BY, DISTINCT ON and ORDER BY over expressions with constants: Metabase, Superset, Django
    Sent("select date_trunc('month', placed_at) m, count(*) from orders where state = 3 group by date_trunc('month', placed_at) order by 1"),
    Sent("select date_trunc('day', o.placed_at) as d, sum(o.total) from orders o where o.placed_at >= '2026-02-01' group by date_trunc('day', o.placed_at) order by date_trunc('day', o.placed_at) desc limit 50"),
    Sent("select cast(date_trunc('week', placed_at + interval '1 day') + interval '-1 day' as date) w, count(*) as c from orders group by cast(date_trunc('week', placed_at + interval '1 day') + interval '-1 day' as date) order by cast(date_trunc('week', placed_at + interval '1 day') + interval '-1 day' as date)"),
    Sent("select extract('year' from placed_at at time zone 'UTC') as year, count(id) from orders group by extract('year' from placed_at at time zone 'UTC') order by year"),
    Sent("select distinct on (date_trunc('day', placed_at)) id, placed_at from orders order by date_trunc('day', placed_at), placed_at desc"),
    Sent("select distinct on (coalesce(note, 'none')) * from orders order by coalesce(note, 'none'), id"),
    Sent("select distinct payload->>'kind', state from orders order by payload->>'kind'"),
    Sent("select case when total > 500 then 'big' when total > 100 then 'mid' else 'small' end as size, count(*) from orders group by case when total > 500 then 'big' when total > 100 then 'mid' else 'small' end"),
    Sent("select substr(name, 1, 2), count(*) from accounts group by substr(name, 1, 2) having count(*) > 5"),
    Sent("select payload->>'kind' k, count(*) from orders where payload->>'kind' is not null group by payload->>'kind' order by count(*) desc limit 10"),
    Sent("select date_part('hour', placed_at), floor(total / 100) * 100, avg(total) from orders group by date_part('hour', placed_at), floor(total / 100) * 100"),
    Sent("select coalesce(o.note, 'x') || '!', max(total) from orders o group by coalesce(o.note, 'x') order by max(total) + 1 desc limit 3"),
    Sent("select to_char(placed_at, 'YYYY-MM') as ym, to_char(placed_at, 'DD') as d, count(*) from orders group by to_char(placed_at, 'YYYY-MM'), to_char(placed_at, 'DD')"),
    Sent("select date_trunc('month', placed_at), state, count(*) from orders group by rollup (date_trunc('month', placed_at), state)"),
    Sent("select m, sum(n) over (order by m rows between 2 preceding and current row) from (select date_trunc('month', placed_at) m, count(*) n from orders group by date_trunc('month', placed_at)) x"),
    # aggregates over CASE and FILTER: reports everywhere
    Sent("select account_id, sum(case when paid then 1 else 0 end), count(case when state = 2 then 1 end) from orders group by account_id"),
    Sent("select sum(case when state = 1 then total else 0 end), avg(case when paid then 1.0 else 0.0 end) from orders where account_id = 7"),
    Sent("select round(100.0 * sum(case when paid then 1 else 0 end) / count(*), 2) from orders where placed_on > '2026-05-01'"),
    Sent("select coalesce(sum(total), 0) from orders where account_id = 12 and state in (1, 2)"),
    Sent("select count(*) filter (where state = 3), max(case state when 1 then 10 when 2 then 20 else 0 end) from orders"),
    Sent("select greatest(max(lines[1]), 5), least(min(state), 0) from orders where account_id = 9"),
    # dates and intervals
    Sent("select * from orders where placed_on >= current_date - 7"),
    Sent("select * from orders where placed_on >= current_date - interval '7 days' and state = 1"),
    Sent("select count(*) from orders where placed_at > now() - interval '1 hour' * 24"),
    Sent("select count(*) from orders where placed_at > now() - (30 || ' days')::interval"),
    Sent("select * from accounts where created_at between now() - '3 days'::interval and now()"),
    Sent("select id from orders where placed_on between date '2026-03-01' and date '2026-03-01' + 6"),
    Sent("select id from accounts where extract(year from created_at) = 2026 and extract(epoch from now() - created_at) > 3600"),
    Sent("select id from accounts where created_at >= timestamp with time zone '2026-01-05' and created_at < now() at time zone 'utc' - interval '1' day"),
    Sent("select id from orders where (placed_at, id) < ('2026-03-01', 500) order by placed_at desc, id desc limit 20"),
    Sent("select age(placed_at, '2026-01-01'), placed_on + 1, placed_on - '2026-01-01' from orders where id = 4"),
    # arrays and lists
    Sent("select * from orders where account_id = any(array[1, 2, 3])"),
    Sent("select * from orders where account_id = any('{1,2,3}'::bigint[]) and state <> all(array[0, 4])"),
    Sent("select * from orders where account_id in (1, 2, 3, 4, 5)"),
    Sent("select * from orders where account_id in (%s, %s, %s)", (5, 6, 7)),
    Sent("select * from orders where account_id = any(%s)", ([5, 6, 7],)),
    Sent("select * from orders where tags && array['t1', 't2']"),
    Sent("select * from orders where tags @> array['t1']::varchar[]::text[] and lines && array[3, 4]"),
    Sent("select * from orders where 't3' = any(tags)"),
    Sent("select * from orders where note like any(array['%7', '%8'])"),
    Sent("select o.* from unnest(array[10, 20, 30]) as x(id) join orders o on o.id = x.id"),
    Sent("select o.* from orders o where o.id in (select unnest(array[10, 20, 30]))"),
    Sent("select o.*, x.n from unnest(array[10, 20]::int[], array['a', 'b']) with ordinality as x(id, name, n) join orders o using (id) order by x.n"),
    Sent("select array_append(tags, 'z'), array_length(tags, 1), array_position(tags, 't1') from orders where id = 6"),
    Sent("select * from accounts where plan in ('low', 'high') and plan <> 'mid'"),
    Sent("select * from accounts where plan = any(array['low', 'mid']::mood[]) and ref = any(array['b5a43bcd-5d34-a4ad-8d2d-4a9e76e1d4a0']::uuid[])"),
    Sent("select * from orders where (account_id, state) in ((1, 2), (3, 4))"),
    Sent("select * from orders where id = 7 % 5"),
    Sent("select * from orders where account_id % 10 = 3 and total > 5 * 100 + 1"),
    Sent("select * from orders where id = -1 or id = 1 + 2 limit 10 offset (3 - 1) * 10"),
    # rows that come from the statement
    Sent("select * from generate_series(1, 10) n"),
    Sent("select d::date, count(o.id) from generate_series(date '2026-01-01', date '2026-01-10', interval '1 day') d left join orders o on o.placed_on = d group by d"),
    Sent("select d, (select count(*) from orders o where o.placed_on = d) from generate_series('2026-01-01'::timestamp, '2026-01-10', '1 day') as d"),
    Sent("select n, o.id from generate_series(1, 5) n left join orders o on o.account_id = n and o.state = 2"),
    Sent("select o.id, v.x from orders o join (values (1, 'one'), (2, 'two')) v(id, x) on v.id = o.id"),
    Sent("select * from (values (1, 2.5), (3, 4)) as v(a, b) join orders o on o.account_id = v.a and o.total > v.b"),
    Sent("with wanted(id, at) as (values (1, date '2026-01-04'), (2, '2026-01-05')) select o.* from orders o, wanted w where o.account_id = w.id and o.placed_on = w.at"),
    Sent("update orders set state = v.state, note = v.note from (values (1, 2, 'a'), (2, 3, 'b')) as v(id, state, note) where orders.id = v.id"),
    Sent("update orders as t set total = c.total, placed_on = c.placed_on::date from (values (11, 12.5, '2026-01-01'), (12, 13, '2026-01-02')) as c(id, total, placed_on) where c.id = t.id"),
    Sent("delete from items using (values (1, 'zz'), (2, 'zz')) as v(o, s) where items.order_id = v.o and items.sku = v.s"),
    Sent("insert into nodes (id, parent_id, label) select x.id, 1, x.label from (values (90001, 'a'), (90002, 'b')) as x(id, label) on conflict do nothing"),
    Sent("insert into nodes (id, parent_id, label, weight) values (90003, null, 'c', 1.5), (90004, 2, 'd', 2) on conflict (id) do update set label = excluded.label, weight = nodes.weight + 1"),
    Sent("insert into counters (day, kind, hits) values ('2026-01-05', 'k1', 1) on conflict (day, kind) where active do update set hits = counters.hits + excluded.hits"),
    Sent("insert into counters (day, kind, active, hits) values (%s, %s, true, 1) on conflict (day, kind, active) do update set hits = counters.hits + 1 where counters.active = true returning hits", ("2026-01-05", "k1")),
    Sent("insert into counters (day, kind, hits) select '2026-12-01', 'x' || g, 0 from generate_series(1, 3) g on conflict (day, kind) where active = true do nothing"),
    Sent("insert into nodes (id, parent_id, label) select 95000 + g, 1, 'n' from generate_series(1, 3) g"),
    # trees
    Sent("with recursive t as (select id, parent_id, 1 as depth from nodes where id = 5 union all select n.id, n.parent_id, t.depth + 1 from nodes n join t on n.parent_id = t.id where t.depth < 5) select * from t"),
    Sent("with recursive t(id, path, level) as (select id, array[id], 0 from nodes where parent_id = 7 union all select n.id, t.path || n.id, t.level + 1 from nodes n, t where n.parent_id = t.id and not n.id = any(t.path)) select count(*) from t where level <= 3"),
    Sent("with recursive n(i) as (select 1 union all select i + 1 from n where i < 10) select i, o.id from n left join orders o on o.id = i"),
    Sent("with recursive up as (select id, parent_id, label, '' as path from nodes where id = 900 union select n.id, n.parent_id, n.label, n.label || '/' || up.path from nodes n join up on n.id = up.parent_id) select * from up"),
    # JSON that the server makes: Hasura, PostgREST
    Sent("""select coalesce(json_agg("root"), '[]') as "root" from (select row_to_json((select "_e" from (select "b"."id" as "id", "a"."account" as "account", 'orders' as "__typename") as "_e")) as "root" from (select * from "public"."orders" where (("public"."orders"."state") = (('2')::integer)) order by "id" asc limit 10) as "b" left outer join lateral (select row_to_json((select "_e" from (select "c"."id" as "id", "c"."name" as "name") as "_e")) as "account" from (select * from "public"."accounts" where (("b"."account_id") = ("id")) limit 1) as "c") as "a" on ('true')) as "_root" """),
    Sent("select coalesce(json_agg(x), '[]') from (select id from orders where ('true') limit 5) x"),
    Sent("""with pgrst_source as (select "public"."orders".*, coalesce("o_items"."o_items", '[]') as "items" from "public"."orders" left join lateral (select json_agg("o_items")::jsonb as "o_items" from (select "items"."sku" from "public"."items" where "items"."order_id" = "public"."orders"."id") as "o_items") as "o_items" on true where "public"."orders"."account_id" = %s limit %s offset %s) select null::bigint as total_result_set, pg_catalog.count(_postgrest_t) as page_total, coalesce(json_agg(_postgrest_t), '[]') as body, nullif(current_setting('response.headers', true), '') as response_headers from (select * from pgrst_source) _postgrest_t""", (7, 10, 0)),
    Sent("""with pgrst_body as (select '[{"id": 96001, "label": "q"}]'::json as json_data) insert into nodes (id, label) select pgrst_body.id, pgrst_body.label from (select _.* from pgrst_body b, json_to_recordset(b.json_data) as _(id int, label text)) pgrst_body on conflict (id) do nothing"""),
    Sent("select jsonb_build_object('id', o.id, 'kind', o.payload->'kind', 'n', 1) from orders o where o.payload @> '{\"kind\": \"k1\"}' and o.payload ? 'n'"),
    Sent("select json_build_object('total', 5, 'rows', json_agg(json_build_array(id, 'x'))) from orders where account_id = 4"),
    Sent("update orders set payload = jsonb_set(payload, '{seen}', 'true') || '{\"a\": 1}' where id = 8"),
    Sent("select * from orders where payload->'n' = '5' or (payload->>'n')::int between 100 and 102 or payload#>>'{a,b}' = 'x'"),
    Sent("select o.id, e.value from orders o cross join lateral jsonb_each_text(o.payload) e where e.key = 'kind' and o.id < 5"),
    # ORM forms
    Sent('select "orders"."id", count("items"."sku") as "n", exists(select (1) as "a" from "accounts" u0 where u0."id" = ("orders"."account_id") and u0."active" limit 1) as "has" from "orders" left outer join "items" on ("orders"."id" = "items"."order_id") where ("orders"."note"::text like %s and "orders"."placed_at" between %s and %s) group by "orders"."id" having count("items"."sku") > %s order by 2 desc limit 21', ("note 1%", "2026-01-03", "2026-02-03", 0)),
    Sent("select 1 as one from accounts where name = 'n5' limit 1"),
    Sent("select true from accounts where mail = 'm5@x.org'"),
    Sent("select id from orders where 1 = 1 and state = 3 and (total > 100 or 1 = 0)"),
    Sent("select id from orders where (%s::int is null or account_id = %s) and (%s::text is null or note = %s)", (5, 5, None, None)),
    Sent("select * from orders where account_id = %s order by id offset %s rows fetch first %s rows only", (5, 0, 10)),
    Sent("select t.* from (select o.*, row_number() over (partition by account_id order by placed_at desc) rn, lag(total, 1, 0) over (order by id) from orders o) t where rn <= 3 and account_id = 77"),
    Sent("select * from (select o.id, ntile(4) over (order by total), sum(total) over (order by placed_on range between '7 days' preceding and current row) from orders o where state = 1) x limit 10"),
    Sent("update orders set deleted_at = now(), note = concat(note, '-', 'gone'), total = total * 1.1 + 0.5, state = case when paid then 4 else 0 end where id in (select id from orders where deleted_at is null and state = 2 order by id limit 5 for update skip locked) returning id, 'ok'"),
    Sent("update accounts set score = coalesce(score, 0) + 1, active = not active where id = (select id from accounts where plan = 'low' order by random() limit 1)"),
    Sent("select a.id, 'account' as kind, a.name from accounts a where a.name ilike '%n12%' union all select o.id, 'order', o.note from orders o where o.note ilike '%12%' order by 1 limit 20"),
    Sent("select 1 as n, null as x union select id, note from orders where id = 3 union select 0, ''"),
    Sent("select lower(name), left(current_city, 3), lpad(id::text, 8, '0'), position('n' in name), split_part(mail, '@', 2) from accounts where lower(current_city) = lower('C7') and substring(name from 1 for 2) = 'n1'"),
    Sent("select nullif(note, ''), format('%%s-%%s', id, 'x') from orders where to_tsvector('english', note) @@ plainto_tsquery('english', 'note 12')".replace("%%", "%")),
    Sent("select * from items where valid && daterange('2026-03-01', '2026-03-04', '[)') and valid @> date '2026-03-02'"),
    Sent("select percentile_cont(0.95) within group (order by total), string_agg(note, ', ' order by id) from orders where account_id = 3"),
    Sent("select width_bucket(total, 0, 1000, 10) b, count(*) from orders group by width_bucket(total, 0, 1000, 10)"),
    Sent("select a.*, l.* from accounts a cross join lateral (select o.id, o.total from orders o where o.account_id = a.id and o.total > 10 order by o.total desc limit 3) l where a.plan = 'high' limit 30"),
    Sent("select * from orders tablesample system (5) where state = 1"),
    Sent("select o.id from orders o where not exists (select 1 from items i where i.order_id = o.id and i.amount > 2 * 1) and o.total / 2 > 10 limit 5"),
    Sent("select pg_advisory_xact_lock(hashtext('x'), 5), id from orders where id = 3"),
    Sent("merge into nodes n using (values (5, 'five'), (97001, 'new')) as v(id, label) on n.id = v.id when matched then update set label = v.label when not matched then insert (id, label) values (v.id, v.label)", least=15),
    # more of the same kinds, found by looking for what was still refused
    Sent("select round(avg(total)::numeric, 2) as a, case when state in (1, 2) then 'open' else 'done' end as st from orders group by case when state in (1, 2) then 'open' else 'done' end order by st"),
    Sent("select extract(dow from placed_at)::int as d, extract(hour from placed_at) as h, count(*) from orders group by extract(dow from placed_at)::int, extract(hour from placed_at) order by 1, 2"),
    Sent("select * from orders natural join (select 7 as id) k"),
    Sent("select * from orders join (select unnest(array[1,2,3]) as id, 'x' as lbl) k using (id)"),
    Sent("insert into nodes (id, label) select * from unnest(array[99001, 99002], array['a', 'b']) on conflict (id) do update set label = excluded.label where nodes.label is distinct from excluded.label returning (xmax = 0) as inserted"),
    Sent("with params as (select 5 as acc, date '2026-03-01' as since, 100 as lim) select o.* from orders o, params p where o.account_id = p.acc and o.placed_on >= p.since and o.total < p.lim"),
    Sent("select v.code, count(o.id) from (values ('a', 1), ('b', 2), (null, 3)) v(code, st) left join orders o on o.state = v.st group by v.code"),
    Sent("select * from (select 1 as id, 'x' as t) a left join orders o on o.id = a.id and o.note = a.t"),
    Sent("with recursive s as ((select state from orders order by state limit 1) union all select (select o.state from orders o where o.state > s.state order by state limit 1) from s where s.state is not null) select state from s where state is not null"),
    Sent("with recursive d as (select date '2026-01-01' as day union all select (day + interval '1 day')::date from d where day < '2026-01-10') select d.day, count(o.id) from d left join orders o on o.placed_on = d.day group by d.day"),
    Sent("select date_trunc('month', placed_at) as month, sum(sum(total)) over (order by date_trunc('month', placed_at)) from orders group by date_trunc('month', placed_at)"),
    Sent("select * from orders where (placed_on, placed_on + 10) overlaps (date '2026-02-01', date '2026-02-05')"),
    Sent("select * from orders where id in (select (x->>'id')::int from jsonb_array_elements('[{\"id\": 1}]'::jsonb) x)"),
    Sent("select id from accounts order by array_position(array['high','mid','low']::mood[], plan), id limit 10"),
    Sent("update nodes set label = case id when 50 then 'a' when 51 then 'b' end, parent_id = case id when 50 then 1 when 51 then 2 else parent_id end where id in (50, 51)"),
    Sent("update nodes set weight = data.w from (select unnest(array[60, 61]) as id, unnest(array[1.5, 2.5]) as w) as data where nodes.id = data.id"),
    Sent("select percentile_disc(array[0.25, 0.5, 0.75]) within group (order by total) from orders"),
    Sent("select grouping(state), case grouping(state) when 1 then 'all' else state::text end, count(*) from orders group by grouping sets ((state), ())"),
    Sent("select width_bucket(total, array[100, 500]) b, count(*) from orders group by 1"),
    Sent("select date_bin('15 minutes', placed_at, timestamp '2026-01-01') as b, count(*) from orders group by date_bin('15 minutes', placed_at, timestamp '2026-01-01')"),
    Sent("select * from orders where placed_at > now() - 7 * interval '1 day'"),
    Sent("with ins as (insert into nodes (id, parent_id, label) values (98001, 1, 'w') returning id), upd as (update nodes set label = 'q' where id in (select id from ins) returning id) select * from ins union all select 0 from upd"),
    Sent("insert into nodes (id, label, weight) values (99010, 'x', 1) on conflict on constraint nodes_pkey do update set weight = coalesce(nodes.weight, 0) + excluded.weight"),
    Sent("select s.d::date, coalesce(c.hits, 0) from generate_series(current_date - 30, current_date, '1 day') s(d) left join counters c on c.day = s.d and c.kind = 'k1' order by 1"),
    Sent("update orders set tags = array(select distinct unnest(tags || array['a','b'])) where id = 16"),
    Sent("(select id, 1 as prio from orders where state = 1 limit 2) union all (select id, 2 from orders where state = 2 order by id desc limit 2) order by prio"),
    Sent("select id from orders where note = U&'d\\0061t' or note = E'a\\nb' or note = $$x$$ or lines = '{1,2}'"),
    Sent("select regexp_replace(note, '[0-9]+', 'N', 'g'), count(*) from orders group by regexp_replace(note, '[0-9]+', 'N', 'g') order by 2 desc"),
    Sent("table counters"),
    Sent("select hashtext('x' || id) % 8 as shard, count(*) from orders group by hashtext('x' || id) % 8"),
    # utility commands that contain a query
    Sent("declare c1 cursor for select * from orders where account_id = 55"),
    Sent("create table made as select id, total from orders where state = 3 and total > 900"),
    Sent("create materialized view seen as select account_id, sum(total) from orders where placed_on > '2026-06-01' group by account_id"),
    Sent("copy (select id, note from orders where account_id = 66) to stdout"),
    Sent("prepare pick (int, text) as select * from orders where account_id = $1 and note <> $2; execute pick (5, 'x')"),
    Sent("select id into made_too from orders where state = 4 and paid"),
)  # fmt: skip


def run(dsn: str) -> None:
    """Run them all, each in a transaction that is rolled back."""
    with psycopg.connect(dsn, prepare_threshold=None) as connection:
        connection.execute("select pg_stat_statements_reset()")
        connection.commit()
        for sent in _known(connection):
            _run(connection, sent)
            connection.rollback()


def real_plans(
    connection: psycopg.Connection[Any], wanted: Collection[int | None]
) -> Iterator[tuple[int, PlanNode]]:
    """Yield the server's own plans of the texts with literals, with the query IDs that it gives them."""
    connection.execute("set compute_query_id = on")
    for sent in _known(connection):
        if not sent.values and not sent.sql.startswith(("copy", "prepare")):
            explain = f"explain (verbose, format json) {sent.sql}".encode()
            row = connection.execute(explain).fetchone()
            assert row is not None
            if row[0][0].get("Query Identifier") in wanted:
                yield row[0][0]["Query Identifier"], row[0][0]["Plan"]


def _known(connection: psycopg.Connection[Any]) -> Iterator[Sent]:
    return (s for s in SENT if s.least <= connection.info.server_version // 10_000)


def _run(connection: psycopg.Connection[Any], sent: Sent) -> None:
    if sent.sql.startswith("copy"):
        with connection.cursor().copy(sent.sql.encode()) as copied:
            for _ in copied:
                pass
    else:
        connection.execute(sent.sql.encode(), sent.values or None)

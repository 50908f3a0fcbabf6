"""python -m tests.bench.index_advice.majors: does the lab plan as servers of other majors do? Prints Markdown.

Each chosen server (``PGWATCH_WED_PG_VERSIONS``) gets the same tables with their indexes. The plans of statements of many kinds are
compared with those of the lab: costs, nodes, and whether the lab says that it doubts them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from pgwatch_wed.sqltext.plan_trees import PlanNode, outline
from pgwatch_wed.whatif.lab import source
from tests import servers
from tests.planning import query, real_plan
from tests.psql import psql

NEAR, FAR = 0.05, 2.0

SCHEMA = """
select setseed(0.25);
create table accounts (id int primary key, region text not null, parent int references accounts, created date not null,
    balance numeric, deleted_at timestamptz);
insert into accounts select g, 'r' || (6 ^ random())::int, nullif(g / 10, 0), date '2020-01-01' + g % 1500,
    round((random() * 999)::numeric, 2), case when g % 20 = 0 then now() end from generate_series(1, 30000) g;
create table events (id bigint primary key, account_id int not null references accounts, kind int not null,
    state text not null, at timestamptz not null, deleted bool not null, score float8, note text);
insert into events select g, 1 + (30000 * random() ^ 3)::int % 30000, (30 * random() ^ 2)::int,
    (array['new', 'open', 'done', 'done', 'done', 'done', 'void'])[1 + floor(random() * 7)::int],
    timestamptz '2024-01-01' + g * interval '1 minute', random() < 0.1, random() * 1000, repeat('x', 60)
from generate_series(1, 300000) g;
create index events_account_at on events (account_id, at);
create index events_deleted_account on events (deleted, account_id);
create index events_kind_state_at on events (kind, state, at);
create index events_at on events (at);
create index events_at_kind on events (at, kind);
create index accounts_region on accounts (region, created);
create table parts (id int, day date not null, kind int, value int) partition by range (day);
create table parts_1 partition of parts for values from ('2024-01-01') to ('2024-02-01');
create table parts_2 partition of parts for values from ('2024-02-01') to ('2024-03-01');
create table parts_3 partition of parts for values from ('2024-03-01') to ('2024-04-01');
insert into parts select g, date '2024-01-01' + g % 90, g % 40, g % 1000 from generate_series(1, 150000) g;
create index parts_day on parts (day, kind);
vacuum analyze;
"""

STATEMENTS = {
    "key": "select * from events where account_id = 77",
    "two keys": "select * from events where account_id = 77 and at > '2024-03-01'",
    "skip": "select * from events where account_id = 7000 and kind = 3",
    "skip, index only": "select count(*) from events where state = 'void'",
    "range then equal": "select * from events where at > '2024-06-01' and kind = 29",
    "wide range then equal": "select * from events where kind > 10 and state = 'new'",
    "in": "select * from events where account_id in (5, 66, 777, 8888)",
    "in after a key": "select * from events where kind = 28 and state in ('new', 'void')",
    "in after a range": "select * from events where at > '2024-07-01' and kind in (27, 28, 29)",
    "in after a wide range": "select id from events where at > '2024-02-01' and kind in (27, 28, 29)",
    "in after a range, index only": "select at from events where at > '2024-06-01' and kind in (27, 28, 29)",
    "in, ordered": "select * from events where kind = 28 and state in ('new', 'void') order by kind, state, at limit 50",
    "in, ordered by the key before": "select * from events where at > '2024-06-01' and kind in (28, 29) order by at limit 50",
    "many in": "select * from events where account_id = any (array(select generate_series(1, 9000, 9)))",
    "any parameter": "select * from events where account_id = any ($1::int[])",
    "or": "select * from events where account_id = 5 or account_id = 66",
    "or, index only": "select at from events where account_id = 5 or account_id = 66 order by account_id",
    "or of columns": "select * from events where account_id = 5 or kind = 29 and state = 'void'",
    "or of ranges": "select * from events where account_id = 5 and (at < '2024-01-09' or at > '2024-07-09')",
    "top n": "select * from events where account_id = 77 order by at desc limit 10",
    "top n with filter": "select * from events where state = 'void' order by at desc limit 10",
    "incremental sort": "select * from events where account_id < 90 order by account_id, score limit 20",
    "window": "select account_id, row_number() over (partition by account_id order by score) from events where account_id < 900",
    "window run condition": "select * from (select id, row_number() over (partition by account_id order by at desc) n from events where account_id < 900) x where n <= 1",
    "distinct": "select distinct account_id from events",
    "distinct two": "select distinct account_id, score from events where account_id < 900",
    "distinct other order": "select distinct at, account_id from events where account_id < 900",
    "distinct on": "select distinct on (account_id) * from events where account_id < 900 order by account_id, at desc",
    "distinct constants": "select distinct account_id from events where account_id = 77",
    "group": "select account_id, count(*) from events group by account_id",
    "group other order": "select at, account_id, count(*) from events where account_id < 900 group by at, account_id",
    "group ordered": "select account_id, at, count(*) from events where account_id < 900 group by at, account_id order by account_id, at",
    "ordered aggregate": "select account_id, array_agg(score order by at) from events where account_id < 900 group by account_id",
    "distinct aggregate": "select account_id, count(distinct kind) from events where account_id < 900 group by account_id",
    "distinct aggregate of all": "select count(distinct account_id) from events",
    "min and max": "select min(at), max(at) from events where account_id = 77",
    "nested loop": "select * from accounts a join events e on e.account_id = a.id where a.region = 'r1' and a.created < '2020-01-05'",
    "memoize": "select a.id, e.id from events e join accounts a on a.id = e.account_id where e.at > '2024-07-20' and e.kind < 5",
    "memoize lateral": "select e.id, x.n from events e cross join lateral (select count(*) n from accounts a where a.parent = e.account_id and a.id < 50) x where e.at > '2024-07-27'",
    "hash join": "select count(*) from events e join accounts a on a.id = e.account_id where a.region = 'r2'",
    "merge join": "select a.region, e.id from events e join accounts a on a.id = e.account_id order by e.account_id limit 100",
    "exists": "select * from accounts a where exists (select from events e where e.account_id = a.id and e.kind = 29)",
    "exists, small": "select * from events e where exists (select from accounts a where a.id = e.account_id and a.region = 'r1' and a.created = '2020-01-05')",
    "in subquery": "select * from events where account_id in (select id from accounts where region = 'r1' and created < '2020-01-20')",
    "not exists": "select * from accounts a where not exists (select from events e where e.account_id = a.id)",
    "not exists, right": "select * from events e where not exists (select from accounts a where a.parent = e.account_id)",
    "not in": "select * from accounts where id not in (select account_id from events where kind = 29)",
    "correlated": "select a.id, (select max(at) from events e where e.account_id = a.id) from accounts a where a.region = 'r1'",
    "self join": "select e.id from events e join events f using (id) where e.account_id = 77",
    "outer join": "select a.id, e.id from accounts a left join events e on e.account_id = a.id and e.kind = 29 where a.created = '2020-02-02'",
    "outer join removed": "select e.id from events e left join accounts a on a.id = e.account_id where e.kind = 29",
    "full join": "select a.id, e.id from accounts a full join (select * from events where kind = 29) e on e.account_id = a.id",
    "values": "select * from events e join (values (1, 'a'), (2, 'b')) v (account, name) on v.account = e.account_id",
    "in values": "select * from events where account_id in (values (5), (66), (777))",
    "union": "select account_id from events where kind = 28 union select id from accounts where region = 'r1'",
    "union all": "select at from events where account_id = 5 union all select at from events where account_id = 66 order by at limit 10",
    "union ordered": "select account_id, at from events where account_id < 300 union select account_id, at from events where account_id > 29000 order by 1, 2 limit 10",
    "intersect": "select account_id from events where kind = 28 intersect select id from accounts",
    "cte": "with x as materialized (select account_id, count(*) n from events group by 1) select * from x join accounts a on a.id = x.account_id where n > 50",
    "partitions": "select * from parts where day = '2024-02-05' and kind = 3",
    "partitions ordered": "select * from parts order by day, kind limit 20",
    "partitions grouped": "select day, count(*) from parts group by day",
    "partitions skip": "select * from parts where kind = 3",
    "partitions joined": "select count(*) from parts p join parts q on q.day = p.day and q.id = p.id where p.kind = 3",
    "not null": "select * from events where at is not null and account_id = 77",
    "is null": "select * from accounts where region is null",
    "series": "select d, count(e.id) from generate_series('2024-01-01', '2024-01-10', interval '1 day') d left join events e on e.at >= d and e.at < d + interval '1 day' group by d",
    "grouping sets": "select kind, state, count(*) from events group by rollup (kind, state)",
    "having": "select account_id from events group by account_id having account_id < 50 and count(*) > 1",
    "row comparison": "select * from events where (account_id, at) > (77, '2024-02-01') order by account_id, at limit 20",
    "like": "select * from accounts where region like 'r1%'",
    "update": "update events set score = 0 where account_id = 77 and kind = 3",
    "delete": "delete from events where account_id = 7000 and deleted",
    "update from": "update events e set score = a.balance from accounts a where a.id = e.account_id and a.created = '2020-02-02'",
    "update partitions": "update parts set value = 0 where day = '2024-02-05' and kind = 3",
    "parameter": "select * from events where account_id = $1 and at > $2 order by at limit 20",
    "between parameters": "select * from events where at between $1 and $2",
    "skip parameter": "select * from events where account_id = $1 and state = $2",
    "array in select": "select * from events where kind = any (array[27, 28]) and state = 'void' order by at desc limit 5",
    "count": "select count(*) from events",
    "sorted": "select * from events order by score limit 20",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement's cost in the lab and on the server, whether the nodes are the same, and whether the lab doubts it."""

    name: str
    lab: float
    server: float
    is_same: bool
    is_doubted: bool

    @property
    def ratio(self) -> float:
        """How many times the larger cost is the smaller."""
        low, high = sorted((max(self.lab, 0.01), max(self.server, 0.01)))
        return high / low


def main() -> None:
    """Compare on each chosen server up to the lab's major."""
    print(
        "| server | statements | cost within 5% | same plan | differ by more than a factor of 2 |"
    )
    print("|---|---|---|---|---|")
    for spec in servers.chosen():
        if spec.major < 19:
            pairs = list(compared(spec))
            far = [p for p in pairs if p.ratio > FAR]
            said = ", ".join(p.name + (" (doubted)" if p.is_doubted else "") for p in far)
            near = sum(p.ratio <= 1 + NEAR for p in pairs)
            same = sum(p.is_same for p in pairs)
            print(f"| {spec.major} | {len(pairs)} | {near} | {same} | {said} |", flush=True)


def compared(spec: servers.ServerSpec) -> Iterator[Pair]:
    """Yield each statement's plans in the lab and on a server of its own."""
    server = servers.start(spec, servers.SETTINGS)
    try:
        with server.database() as dsn:
            psql(dsn, SCHEMA)
            with source.open_lab(dsn) as lab, psycopg.connect(dsn, autocommit=True) as connection:
                names = {f"pgwx_{oid}": index.name for oid, index in lab.catalog.indexes.items()}
                for name, text in STATEMENTS.items():
                    asked, there = query(text), _real(connection, text)
                    here = lab.plan(asked)
                    yield Pair(
                        name,
                        here.cost,
                        float(there["Total Cost"]),
                        _named(outline(here.tree), names) == outline(there),
                        bool(lab.doubts(asked, here.tree)),
                    )
    finally:
        server.stop()


def _real(connection: psycopg.Connection, text: str) -> PlanNode:
    """Return a server's plan, which does not depend on parameters."""
    numbers = [int(n) for n in re.findall(r"\$(\d+)", text)]
    if not numbers:
        return real_plan(connection, text)
    connection.execute("set plan_cache_mode = force_generic_plan")
    connection.execute(f"prepare asked as {text}".encode())
    try:
        return real_plan(connection, f"execute asked ({', '.join(['null'] * max(numbers))})")
    finally:
        connection.execute("deallocate asked")


def _named(plan: str, names: dict[str, str]) -> str:
    return re.sub(r"pgwx_\d+", lambda found: names.get(found[0], found[0]), plan)


if __name__ == "__main__":
    main()

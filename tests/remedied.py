"""Run what a finding recommends as its reader would, judge again, run the undo, and compare what is there."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pglast
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config, parse
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Object, Remedy
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.rules import all_rules
from pgwatch_wed.target.collect import collect
from tests import excepted
from tests.dumps import schema
from tests.psql import psql
from tests.rules.waiting import reported
from tests.servers import Server

PREPARE = "create extension pg_stat_statements;\n"

# Everything is the owner's, as it is where an application's role has created it.
_HAND_OVER = """
do $$
declare
    command text;
begin
    for command in
        select format('alter schema %%I owner to {owner}', nspname) from pg_namespace
            where nspname !~ '^pg_' and nspname <> 'information_schema'
        union all
        select format('alter table %%s owner to {owner}', oid::regclass) from pg_class c
            where relnamespace::regnamespace::text !~ '^(pg_.*|information_schema)$' and relkind in ('r', 'p', 'v', 'm', 'f')
                and not exists (select from pg_depend where objid = c.oid and deptype = 'e')
        union all
        select format('alter sequence %%s owner to {owner}', oid::regclass) from pg_class c
            where relnamespace::regnamespace::text !~ '^(pg_.*|information_schema)$' and relkind = 'S'
                and not exists (select from pg_depend where objid = c.oid and deptype in ('a', 'i') and refobjsubid > 0)
        union all
        select format('alter domain %%s owner to {owner}', oid::regtype) from pg_type
            where typnamespace::regnamespace::text !~ '^(pg_.*|information_schema)$' and typtype = 'd'
    loop
        execute command;
    end loop;
end $$;
"""


@dataclass(frozen=True, slots=True)
class World:
    """A database in which each of some rules finds something that can be mended."""

    rules: tuple[str, ...]
    sql: str
    limits: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    by_hand: str = ""  # why some of its findings have nothing to run
    is_planned: bool = False  # whether the lab advises and statements are planned


# What a remedy and its undo together leave as it was: lines, by what they are about.
State = Mapping[str, Sequence[str]]


def differences(before: State, after: State) -> str:
    """Return a readable difference; nothing if there is none."""
    return "\n".join(
        f"{about}:\n{_difference(before[about], after[about])}"
        for about in before
        if before[about] != after[about]
    )


def _difference(olds: Sequence[str], news: Sequence[str]) -> str:
    gone, come = Counter(olds) - Counter(news), Counter(news) - Counter(olds)
    lines = [*(f"  - {x}" for x in gone.elements()), *(f"  + {x}" for x in come.elements())]
    return "\n".join(lines) or "  the same lines in another order"


_STATE = {
    "invalid": """
        select i.indexrelid::regclass::text || ' ' || i.indisvalid || i.indisready || i.indislive
        from pg_index i where not (i.indisvalid and i.indisready and i.indislive) and i.indrelid >= 16384
        order by 1""",
    "role_settings": """
        select coalesce(d.datname, '') || ' ' || coalesce(r.rolname, '') || ' ' || s.setconfig::text
        from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase
        left join pg_roles r on r.oid = s.setrole
        where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        order by 1""",
    "server_settings": """
        select name || ' = ' || coalesce(setting, '') || ' ' || coalesce(sourcefile, '') from pg_file_settings order by 1""",
    "memberships": """
        select m.roleid::regrole::text || ' to ' || m.member::regrole::text from pg_auth_members m order by 1""",
    "sequences": """
        select schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '') from pg_sequences order by 1""",
}


def state(dsn: str, server: Server) -> State:
    """Return the schema with its grants, what is not valid, the settings, and the sequences' values."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = {
            name: [row[0] for row in connection.execute(query.encode())]
            for name, query in _STATE.items()
        }
    return {"schema": schema(dsn, server).splitlines(), **found}


@contextmanager
def world(server: Server, dsn: str, script: str) -> Iterator[str]:
    """Run a script as an administrator, and yield the conninfo of the role that then owns everything."""
    with server.role("pg_monitor") as role:
        psql(dsn, PREPARE + script)
        dbname = conninfo_to_dict(dsn)["dbname"]
        psql(dsn, f"grant create on database {dbname} to {role};")
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(_HAND_OVER.format(owner=role).replace("%%", "%").encode())
        try:
            yield make_conninfo(dsn, user=role)
        finally:
            psql(dsn, f"reassign owned by {role} to current_user;")


# What is about tables, indexes and statements of the database; the rest has tests of its own.
_AREAS = ("index", "schema", "vacuum", "integrity")


def config(here: World) -> Config:
    """Return the configuration of a world: the rules about the database, and counters of any age."""
    only = {r.id for r in all_rules() if r.scope == "database" and r.area in _AREAS}
    only |= set(here.rules)
    return parse({"only": sorted(only), "window": 0, "rules": here.limits}, "here")


def facts(dsn: str, here: World) -> Snapshot:
    """Read what a run reads."""
    if here.is_planned:
        return gather(dsn, Wanted(), lambda _what, _share: None)[0]
    return collect(dsn)


def is_prose(text: str) -> bool:
    """Tell whether there is nothing in it that a machine can run."""
    return not pglast.parse_sql(text)


def is_for_machines(finding: Finding) -> bool:
    """Tell whether every step of the remedy can be run."""
    return bool(finding.remedy) and not any(is_prose(step.sql) for step in finding.remedy)


def apply(dsn: str, steps: Sequence[Remedy]) -> None:
    """Run the steps as printed, statement by statement as psql does."""
    for step in steps:
        psql(dsn, step.sql)


def undo(dsn: str, steps: Sequence[Remedy]) -> None:
    """Run the ways back as printed, the last first."""
    for step in reversed(steps):
        psql(dsn, step.undo)


@dataclass(frozen=True, slots=True)
class Trial:
    """A world, and what is there and found before a remedy is tried."""

    server: Server
    admin: str
    owner: str
    here: World
    before: State
    snapshot: Snapshot
    found: Mapping[str, Finding]

    @classmethod
    def begin(
        cls, server: Server, admin: str, owner: str, here: World, now: State | None = None
    ) -> "Trial":
        """Look at what is there; ``now`` is the state, if it is known."""
        reported(admin)
        snapshot = facts(admin, here)
        report = analyse([snapshot], config(here))
        assert not [n for n in report.plan.not_planned if "unexpected" in n.reason]
        found = {f.id: f for f in report.findings}
        before = state(admin, server) if now is None else now
        return cls(server, admin, owner, here, before, snapshot, found)

    def faults(self, finding: Finding) -> Iterator[str]:
        """Try a remedy and its undo, and yield what is wrong with them."""
        try:
            for step in finding.remedy:
                apply(self._role(step), [step])
        except AssertionError as error:
            yield from self._failed(finding, str(error))
            return
        yield from self._judged(finding)
        try:
            for step in reversed(finding.remedy):
                undo(self._role(step), [step])
        except AssertionError as error:
            yield f"the undo fails: {error}"
            return
        yield from self._restored(finding)

    def _role(self, step: Remedy) -> str:
        """Return whom the report lets run a step."""
        return self.admin if "superuser" in step.needs.split(", ") else self.owner

    def _again(self) -> Sequence[Finding]:
        reported(self.admin)
        return analyse([facts(self.admin, self.here)], config(self.here)).findings

    def _failed(self, finding: Finding, error: str) -> Iterator[str]:
        """What a remedy that fails because of the rows leaves behind has a remedy that works."""
        if excepted.BY_ROWS.get(finding.rule, "\0") not in error or not finding.caveats:
            yield f"the remedy fails: {error}"
            return
        for new in self._again():
            if new.id not in self.found:
                apply(self.owner, new.remedy)
        if different := differences(self.before, state(self.admin, self.server)):
            yield f"the remedy fails and leaves something behind:\n{different}"

    def _judged(self, finding: Finding) -> Iterator[str]:
        if finding.rule in excepted.REWRITES:
            apply(self.owner, [Remedy(line) for line in _last_resorts(finding)])
        after = self._again()
        if finding.rule not in excepted.READS and finding.id in {f.id for f in after}:
            yield "still found"
        for new in after:
            if new.id not in self.found and not self._may_come(finding, new):
                yield f"new: {new.rule} {new.object.label} ({new.severity}) {new.title}"

    def _may_come(self, finding: Finding, new: Finding) -> bool:
        if new.severity.rank > finding.severity.rank:
            return True
        if new.rule in excepted.YOUNG and self._is_new(new.object):
            return True
        told = {*map(_table, (finding.object, *finding.related))}
        found = {f.object for f in self.found.values()}
        about = (new.object, *new.related)
        is_near = any(_table(o) in told or o in found or self._is_new(o) for o in about)
        return (finding.rule, new.rule) in excepted.FOLLOWS and is_near

    def _is_new(self, given: Object) -> bool:
        there = {(i.schema, i.name) for i in self.snapshot.indexes}
        return given.kind == "index" and (given.schema, given.name) not in there

    def _restored(self, finding: Finding) -> Iterator[str]:
        before, now = self.before, state(self.admin, self.server)
        if finding.rule in excepted.INVALID_GONE:
            left = [i for i in before["invalid"] if i in now["invalid"]]
            before = {**before, "invalid": left}
        different = differences(before, now)
        says_so = any(is_prose(step.undo) for step in finding.remedy)
        if different and not (says_so and finding.rule in excepted.NOT_RESTORED):
            yield f"the undo does not restore:\n{different}"


def _table(given: Object) -> tuple[str | None, str]:
    return given.schema, given.table or given.name


def _last_resorts(finding: Finding) -> list[str]:
    """Return the rewrites that the comments of a remedy name."""
    lines = [line for step in finding.remedy for line in step.sql.splitlines()]
    return [line[line.index("VACUUM FULL") :] for line in lines if "VACUUM FULL" in line]


def trouble(server: Server, admin: str, owner: str, here: World) -> Iterator[str]:
    """Yield what is wrong with the remedies and undos of what the rules of a world find in it."""
    trial = Trial.begin(server, admin, owner, here)
    mine = [f for f in trial.found.values() if f.rule in here.rules]
    yield from (f"{r} finds nothing" for r in here.rules if r not in {f.rule for f in mine})
    for finding in mine:
        name = f"{finding.rule} {finding.object.label} ({finding.severity})"
        if not is_for_machines(finding):
            if not here.by_hand:
                yield f"{name}: there is nothing to run, and no reason why"
            continue
        faults = list(trial.faults(finding))
        steps = "".join(f"\n  {s.sql}\n  undo: {s.undo}" for s in finding.remedy)
        yield from (f"{name}: {fault}{steps}" for fault in faults)
        is_as_before = not faults and finding.rule not in excepted.NOT_RESTORED
        now = trial.before if is_as_before else None
        trial = Trial.begin(server, admin, owner, here, now)

"""Every remedy that the rules print is run as printed, by the owner; the finding is gone, and the undo restores what was."""

import inspect
import json

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.rules import all_rules, rule
from pgwatch_wed.target.collect import collect
from tests import excepted
from tests.remedied import World, trouble, world
from tests.servers import Server
from tests.test_scenarios import BAD, FOLDER, directives, fits, needed
from tests.worlds import WORLDS

PENDING = {
    name: [pytest.mark.xfail(reason=reason, strict=False)]
    for name, reason in excepted.PENDING.items()
}
PARAMS = [
    pytest.param(name, marks=[*needed(FOLDER / name), *PENDING.get(name, [])], id=name)
    for name in BAD
]


def check(server: Server, db: str, here: World) -> None:
    with world(server, db, here.sql) as owner:
        faults = list(trouble(server, db, owner, here))
    assert not faults, "\n\n".join(faults)


@pytest.mark.spread(1)
@pytest.mark.parametrize("name", PARAMS)
def test_of_every_scenario(name: str, every_pg: Server, every_db: str) -> None:
    path = FOLDER / name
    if not fits(path, every_pg.version):
        pytest.skip("the feature is not in this server")
    limits = [json.loads(text) for text in directives(path, "limits")]
    rule_id = path.parent.name
    text, by_hand = path.read_text(encoding="utf-8"), " ".join(directives(path, "remedy"))
    check(
        every_pg,
        every_db,
        World((rule_id,), text, {rule_id: limits[0] if limits else {}}, by_hand),
    )


@pytest.mark.parametrize("name", WORLDS)
def test_of_every_shape(name: str, pg: Server, db: str) -> None:
    check(pg, db, WORLDS[name])


# Where versions differ most; all shapes on all of them would take half an hour.
@pytest.mark.parametrize(
    "name", ["constraints", "foreign-table partition", "sequences", "sub-partitioned"]
)
def test_of_shapes_on_other_servers(name: str, every_pg: Server, every_db: str) -> None:
    if every_pg.local is not None:
        pytest.skip("all shapes are tested there")
    check(every_pg, every_db, WORLDS[name])


def test_a_temporary_table_is_for_its_own_session(pg: Server, db: str) -> None:
    with world(pg, db, "create table other (id int primary key);"), psycopg.connect(db) as session:
        session.execute(
            """
            create temp table t (id serial, k int);
            insert into t select g, g from generate_series(1, 20000) g;
            create index a on t (k);
            create index b on t (k);
            create index c on t (k, id);
            alter table t add constraint checked check (k > 0) not valid;
            select setval('t_id_seq', 2100000000);
            """
        )
        session.commit()
        everything = parse({"only": ["index", "schema", "vacuum"], "window": 0}, "here")
        assert [f.title for f in analyse([collect(db)], everything).findings] == []


# Rules whose remedies other tests run, as they need a server, sessions or counters of their own; or which have none.
ELSEWHERE = {
    "test_server_remedies": (
        "config-dangerous",
        "config-logging",
        "config-observability",
        "config-role-override",
        "coverage-statements",
        "lock-no-timeouts",
    ),
    "rules/test_advice": ("advice-harmed", "advice-no-effect"),
    "rules/test_blocking_episodes": ("lock-blocking-episodes",),
    "rules/test_capacity": ("capacity-limit-near",),
    "rules/test_cache": (
        "cache-backend-writes",
        "cache-shared-buffers",
        "cache-slru",
        "cache-work-mem",
    ),
    "rules/test_config": ("config-default-memory",),
    "rules/test_connection": ("connection-usage",),
    "rules/test_coverage": ("coverage-extension", "coverage-privileges"),
    "rules/test_integrity": ("integrity-checksum-failures",),
    "rules/test_lock": (
        "lock-blocked",
        "lock-ddl-queue",
        "lock-deadlocks",
        "lock-idle-in-transaction",
        "lock-long-transaction",
        "lock-prepared-transaction",
        "lock-slru-waits",
        "lock-table-pressure",
    ),
    "rules/test_misestimate": ("query-misestimate",),
    "rules/test_regression": ("query-regression",),
    "rules/test_query": ("query-jit-overhead", "query-temp-spill"),
    "rules/test_replication": (
        "replication-slot-inactive",
        "replication-slot-retention",
        "replication-slot-spill",
    ),
    "rules/test_vacuum": (
        "vacuum-catalogs",
        "vacuum-horizon",
        "vacuum-multixact",
        "vacuum-wraparound",
        "vacuum-workers-saturated",
    ),
    "rules/test_wal": ("wal-buffers-full", "wal-checkpoints-requested", "wal-full-page-images"),
}
NO_REMEDY = (
    "cache-hit-ratio",
    "cache-huge-pages",
    "cache-temp-files",
    "connection-peak-risen",
    "query-table-load-risen",
    "query-waits",
    "wal-volume-risen",
    "config-pending-restart",
    "config-version",
    "connection-churn",
    "connection-idle",
    "coverage-window",
    "query-io-bound",
    "query-n-plus-one",
    "query-partition-not-pruned",
    "query-planning-heavy",
    "query-top-time",
    "query-unstable",
    "query-wal-heavy",
    "replication-lag",
    "wal-archive-failing",
)


def test_no_rules_remedy_is_left_out() -> None:
    here = {name.split("/")[0] for name in BAD} | {r for w in WORLDS.values() for r in w.rules}
    elsewhere = [r for rules in ELSEWHERE.values() for r in rules]
    assert here | {*elsewhere, *NO_REMEDY} == {r.id for r in all_rules()}
    for module, rules in ELSEWHERE.items():
        text = (FOLDER.parent / f"{module}.py").read_text(encoding="utf-8")
        assert [r for r in rules if r not in text] == []


@pytest.mark.parametrize("rule_id", NO_REMEDY)
def test_what_has_no_remedy_makes_none(rule_id: str) -> None:
    assert "remedy=" not in inspect.getsource(rule(rule_id).module)


def test_exceptions_name_rules() -> None:
    known = {r.id for r in all_rules()}
    named = {
        *excepted.READS,
        *excepted.NOT_RESTORED,
        *excepted.INVALID_GONE,
        *excepted.BY_ROWS,
        *excepted.REWRITES,
        *excepted.YOUNG,
        *(r for pair in excepted.FOLLOWS for r in pair),
    }
    assert named <= known

"""Every remedy of the rules about indexes, run as printed, and every way back: the schema is as before, to the letter."""

import pytest

from tests.dumps import schema
from tests.psql import psql
from tests.rules.judging import found
from tests.servers import Server
from tests.test_scenarios import FOLDER, PREPARE, directives, fits, judged

# To rebuild an index changes nothing that a dump tells; some remedies are not for the machine.
NOT_HERE = ("index-bloat/", "index-invalid/")
PLANTED = [
    name
    for path in sorted(FOLDER.glob("index-*/bad*.sql"))
    if not (name := path.relative_to(FOLDER).as_posix()).startswith(NOT_HERE)
    and not directives(path, "remedy")
]


@pytest.mark.parametrize("name", PLANTED)
def test_the_way_back_of_every_index_remedy_leads_back(name: str, pg: Server, db: str) -> None:
    if not fits(FOLDER / name, pg.version):
        pytest.skip("the feature is not in this server")
    psql(db, PREPARE + (FOLDER / name).read_text(encoding="utf-8"))
    before = schema(db, pg)
    findings = judged(db, FOLDER / name).findings
    assert findings
    for finding in findings:
        for step in finding.remedy:
            psql(db, step.sql)
        assert schema(db, pg) != before, finding.title
        for step in reversed(finding.remedy):
            psql(db, step.undo)
        assert schema(db, pg) == before, finding.title


# Two of each, since one of two is dropped; comments and options are the younger ones'.
TWINS = """
create table t (id int primary key, a int not null, b int not null, c int not null);
alter table t add constraint t_include unique (a) include (b);
alter table t add constraint t_include_2 unique (a) include (b);
alter table t add constraint t_deferred unique (b) deferrable initially deferred;
alter table t add constraint t_deferred_2 unique (b) deferrable initially deferred;
alter table t add constraint t_fill unique (c) with (fillfactor = 70);
alter table t add constraint t_fill_2 unique (c) with (fillfactor = 70);
comment on constraint t_fill_2 on t is 'asked for by audit';
create table p (id bigint, at date not null, k int) partition by range (at);
create table p1 partition of p for values from ('2024-01-01') to ('2025-01-01') partition by range (k);
create table p1a partition of p1 default;
create table p2 partition of p for values from ('2025-01-01') to ('2026-01-01');
create index p_k on p (k);
create index p_k_at on p (k, at);
alter table p add constraint p_id unique (id, at, k) deferrable;
alter table p add constraint p_id_2 unique (id, at, k) deferrable;
comment on constraint p_id_2 on p is 'asked for twice';
insert into t select g, g, g, g from generate_series(1, 9) g;
insert into p select g, date '2024-01-01' + g, g from generate_series(1, 600) g;
"""


@pytest.mark.parametrize("rule", ["index-duplicate", "index-redundant"])
def test_constraints_and_partitioned_indexes_come_back_whole(
    rule: str, every_pg: Server, every_db: str
) -> None:
    psql(every_db, TWINS + "vacuum analyze;")
    before = schema(every_db, every_pg)
    findings = found(every_db, rule)
    assert {f.object.name for f in findings} >= (
        {"p_id_2", "t_include_2", "t_deferred_2", "t_fill_2"}
        if rule == "index-duplicate"
        else {"p_k"}
    )
    for finding in findings:
        for step in finding.remedy:
            psql(every_db, step.sql)
        assert schema(every_db, every_pg) != before
        for step in reversed(finding.remedy):
            psql(every_db, step.undo)
        assert schema(every_db, every_pg) == before, finding.title

"""Orphaned large objects: what their remedy must never delete."""

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.psql import psql
from tests.rules.judging import found
from tests.servers import Server

DOCUMENTS = """
create table doc (id int primary key, content oid);
insert into doc select g, lo_from_bytea(0, decode(repeat(md5(g::text), 1500), 'hex')) from generate_series(1, 600) g;
delete from doc where id > 200;
vacuum analyze;
"""


def left(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from pg_largeobject_metadata").fetchone()
    assert row is not None
    return int(row[0])


def test_rows_that_a_policy_hides_refer_to_their_large_objects_too(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, DOCUMENTS)
    with every_pg.role() as owner, psycopg.connect(every_db, autocommit=True) as admin:
        role = sql.Identifier(owner)
        numbers = admin.execute("select oid from pg_largeobject_metadata").fetchall()
        for (number,) in numbers:
            admin.execute(sql.SQL("alter large object {} owner to {}").format(number, role))
        admin.execute("alter table doc enable row level security")
        admin.execute("create policy few on doc using (id <= 10)")
        admin.execute(sql.SQL("grant select on doc to {}").format(role))
        (orphans,) = found(every_db, "schema-orphaned-large-objects")
        with psycopg.connect(make_conninfo(every_db, user=owner), autocommit=True) as hers:
            for step in orphans.remedy[:2]:
                with pytest.raises(
                    psycopg.errors.InsufficientPrivilege, match="row-level security"
                ):
                    hers.execute(step.sql.encode())
        assert left(every_db) == 600
        admin.execute("alter table doc disable row level security")
        with psycopg.connect(make_conninfo(every_db, user=owner), autocommit=True) as hers:
            hers.execute(orphans.remedy[1].sql.encode())
        assert left(every_db) == 200
        for (number,) in admin.execute("select oid from pg_largeobject_metadata").fetchall():
            admin.execute("select lo_unlink(%s)", (number,))
        admin.execute(sql.SQL("drop owned by {}").format(role))

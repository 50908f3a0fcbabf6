"""A target's functions run while its statements are planned: in the lab, as nobody who may do harm."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.lab.lab_connections import DATABASE
from pgwatch_wed.whatif.model import Candidate, Key, Query
from tests import servers
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab is there once, whatever the target

# "Immutable" functions that, where they are in a lab, try to write files and to rise.
HOSTILE = """
create function misbehave(place text) returns void language plpgsql as $f$
begin
  if current_database() <> 'lab' then return; end if;
  begin execute format('copy (select 1) to %L', '{folder}/' || place);
  exception when others then null; end;
  begin execute format('copy (select 1) to program %L', 'touch {folder}/program-' || place);
  exception when others then null; end;
  begin perform set_config('role', 'postgres', false); execute 'alter role pgwatch_wed_guest superuser';
  exception when others then null; end;
  begin execute 'update pg_authid set rolsuper = true'; exception when others then null; end;
end $f$;
create function of_plan(int) returns int language plpgsql immutable as
  $f$ begin perform public.misbehave('plan'); return $1; end $f$;
create function of_value(text) returns text language plpgsql immutable as
  $f$ begin perform public.misbehave('value'); return $1; end $f$;
create function of_index(int) returns int language plpgsql immutable as
  $f$ begin perform public.misbehave('index'); return $1; end $f$;
create function of_check(text) returns boolean language plpgsql immutable as
  $f$ begin perform public.misbehave('check'); return true; end $f$;
create domain checked as text check (public.of_check(value));
create table things (id int, name text, kind checked);
insert into things select g, 'n' || g % 300, 'k' || g % 7 from generate_series(1, 30000) g;
create index by_expression on things ((id + of_index(1)));
analyze things;
"""


@pytest.fixture
def hostile(pg: servers.Server, tmp_path: Path) -> Iterator[str]:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:  # the lab's server runs as somebody else where we are root
        parent.chmod(parent.stat().st_mode | 0o011)
    with pg.database() as dsn:
        psql(dsn, HOSTILE.replace("{folder}", str(tmp_path)))
        yield dsn


def is_superuser(lab: Lab) -> bool:
    with psycopg.connect(lab._server.dsn(DATABASE)) as connection:
        row = connection.execute(
            "select bool_or(rolsuper) from pg_roles where rolname <> 'postgres'"
        ).fetchone()
    assert row is not None
    return bool(row[0])


def test_code_of_the_target_does_no_harm_in_the_lab(hostile: str, tmp_path: Path) -> None:
    with source.open_lab(hostile) as lab:
        expression = Candidate("public", "things", (Key("of_value(name)"),))
        partial = Candidate("public", "things", (Key.of("id"),), (), "of_plan(1) = 1")
        lab.add([expression, partial])
        plan = lab.plan(Query("q", "select * from things where id = of_plan(7)"), [])
        lab.plan(Query("r", "select * from things where of_value(name) = 'n1'"), [expression])
        assert not is_superuser(lab)
    # it did run: the planner knows the value
    assert "7" in str(plan.tree)
    assert "of_plan" not in str(plan.tree)
    assert list(tmp_path.iterdir()) == []

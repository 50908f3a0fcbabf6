"""Every remedy about the server's settings is run as printed; after the reload or restart that it names, the finding is gone."""

import time
from collections.abc import Iterator, Sequence

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config, parse
from pgwatch_wed.findings import Finding, Remedy
from pgwatch_wed.rules import all_rules
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.remedied import apply, is_for_machines, undo
from tests.servers import Server

# What a new server would be asked to change, and more.
BAD = {
    "fsync": "on",
    "full_page_writes": "off",
    "zero_damaged_pages": "on",
    "enable_seqscan": "off",
    "data_sync_retry": "on",
    "autovacuum": "off",
    "track_counts": "on",
    "track_io_timing": "off",
    "track_activity_query_size": "100",
    "track_functions": "none",
    "autovacuum_vacuum_scale_factor": "0.9",
    "pg_stat_statements.track": "none",
    "shared_buffers": "16MB",
    "work_mem": "64kB",
    "maintenance_work_mem": "1MB",
    "log_min_duration_statement": "-1",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_lock_waits": "off",
    "log_temp_files": "-1",
    "max_wal_size": "64MB",
    "checkpoint_timeout": "30s",
}
OWN = """
create extension pg_stat_statements;
create role greedy login;
create role "Od'd role" login;
alter role greedy set work_mem = '2GB';
alter role greedy set track_counts = 'false';
alter role "Od'd role" in database postgres set "enable_hashjoin" = 'no';
alter database postgres set random_page_cost = '9';
alter database postgres set synchronous_commit = 'off';
"""
# The same, but set by ALTER SYSTEM, whose file the undo has to bring back.
SYSTEM = """
alter system set full_page_writes = off;
alter system set enable_seqscan = off;
alter system set track_io_timing = off;
alter system set log_temp_files = '123MB';
alter system set lock_timeout = '0';
alter system set pg_stat_statements.track = 'none';
alter system set autovacuum = 'off';
alter role greedy set lock_timeout = 0;
alter role greedy set statement_timeout = '0';
"""
STATE = """
select sourcefile || ': ' || name || ' = ' || setting from pg_file_settings
union all
select concat_ws(' ', 'role settings:', setdatabase, nullif(setrole, 0)::regrole, c)
from pg_db_role_setting, unnest(setconfig) c
order by 1
"""
FOUND = {
    "config-dangerous",
    "config-logging",
    "config-observability",
    "config-role-override",
    "coverage-statements",
    "lock-no-timeouts",
    "vacuum-disabled",
}


def state(server: Server) -> list[str]:
    with psycopg.connect(server.dsn()) as connection:
        return [row[0] for row in connection.execute(STATE)]


def judged(server: Server, config: Config) -> dict[str, Finding]:
    return {f.id: f for f in analyse([collect(server.dsn())], config).findings}


def take_effect(server: Server, steps: Sequence[Remedy] = ()) -> None:
    """Restart if the steps say so; a reload takes a moment."""
    assert server.local is not None
    time.sleep(0.3)
    if any("after a server restart" in step.lock for step in steps):
        server.local.halt("fast")
        server.local.boot()


def trouble(server: Server, config: Config) -> Iterator[str]:
    found, before = judged(server, config), state(server)
    yield from (f"{rule} finds nothing" for rule in FOUND - {f.rule for f in found.values()})
    for finding in (f for f in found.values() if f.remedy):
        assert is_for_machines(finding), finding.remedy
        apply(server.dsn(), finding.remedy)
        take_effect(server, finding.remedy)
        after = judged(server, config)
        if finding.id in after:
            yield f"{finding.rule} {finding.object.name} is still found"
        others = [f for f in after.values() if f.id not in found]
        new = [f for f in others if f.severity.rank <= finding.severity.rank]
        yield from (f"{finding.title}: then {f.title}" for f in new)
        undo(server.dsn(), finding.remedy)
        take_effect(server, finding.remedy)
        if (now := state(server)) != before:
            yield f"{finding.title}: {sorted({*now} ^ {*before})} after the undo"
        if finding.id not in judged(server, config):
            yield f"{finding.title}: the undo has no effect"


@pytest.mark.slow
@pytest.mark.parametrize("also", ["", SYSTEM], ids=["postgresql.conf", "ALTER SYSTEM"])
def test_of_settings(also: str, start_pg: StartServer) -> None:
    server = start_pg(BAD)
    psql(server.dsn(), OWN + also + "select pg_reload_conf();")
    take_effect(server)
    rules = [r.id for r in all_rules() if r.area not in ("index", "schema", "query")]
    faults = list(trouble(server, parse({"only": rules, "window": 0}, "test")))
    assert not faults, "\n".join(faults)

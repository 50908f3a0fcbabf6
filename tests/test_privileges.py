"""docs/privileges.md, line by line: what a feature needs is enough, and nothing of it can be left out."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed import install
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Missing
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target import exact_bloat
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif import engines
from pgwatch_wed.whatif.lab import dump
from tests.psql import psql
from tests.servers import MAJORS, Server
from tests.test_queries import lacking

PAGE = (Path(__file__).parent.parent / "docs" / "privileges.md").read_text(encoding="utf-8")
NEED = re.compile(r"`([^`]+)`(?: \((from|until) (\d+)\))?")
SHOP = """
create schema app;
create table app.orders (id serial primary key, customer int, placed timestamptz);
insert into app.orders (customer, placed) select g % 500, now() from generate_series(1, 20000) g;
analyze app.orders;
"""
WORK = "select count(*) from app.orders where customer = 7"


@dataclass(frozen=True)
class Need:
    """A statement that grants something, and the majors that it is for."""

    statement: str
    majors: range


@dataclass(frozen=True)
class Line:
    """One way to give a feature what it needs."""

    feature: str
    needs: tuple[Need, ...]

    def fits(self, server: Server) -> bool:
        """Tell whether this server has what the line grants."""
        return all(server.version in need.majors for need in self.needs)


def lines() -> Iterator[Line]:
    """Read the page's table; each alternative of a cell is a line."""
    table = PAGE.partition("| feature | needs |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        feature, needs, _ = (cell.strip() for cell in row.strip("|").split("|"))
        for way in needs.split(", or "):
            found = NEED.findall(way)
            assert found, f"{feature}: nothing is granted by {way!r}"
            yield Line(feature, tuple(Need(s, majors(word, n)) for s, word, n in found))


def majors(word: str, number: str) -> range:
    first = int(number) if word == "from" else MAJORS.start
    last = int(number) + 1 if word == "until" else MAJORS.stop
    return range(first, last)


LINES = list(lines())


# What shows that a feature works


def reads(fact: str) -> Callable[[str], bool]:
    return lambda dsn: fact not in collect(dsn).missing


def connects(dsn: str) -> bool:
    return bool(collect(dsn).tables)


def reads_statements(dsn: str) -> bool:
    snapshot = collect(dsn)
    seen = any("from app.orders where customer" in (s.text or "") for s in snapshot.statements)
    return seen and "statements" not in snapshot.missing


def sees_hidden_settings(dsn: str) -> bool:
    return bool(collect(dsn).setting("shared_preload_libraries"))


def reads_column_statistics(dsn: str) -> bool:
    return len(collect(dsn).column_statistics) == 3


def reads_sequences(dsn: str) -> bool:
    return all(s.is_readable for s in collect(dsn).sequences)


def advises(dsn: str) -> bool:
    (snapshot,) = gather(dsn, Wanted(budget_s=60), lambda _what, _share: None)
    advice = {"missing_indexes", "index_drop_trials"}
    return not advice & snapshot.missing.keys() and "lab" in {
        i.engine for i in snapshot.missing_indexes
    }


def advises_there(dsn: str, folder: Path) -> bool:
    (folder / "query.sql").write_text(WORK, encoding="utf-8")
    advice = engines.advise_target(dsn, folder, engine="hypopg")
    return [i.index.columns for i in advice.indexes] == [("customer",)]


def measures_bloat(dsn: str) -> bool:
    found = exact_bloat.measure(dsn, collect(dsn), 5, 30)
    return not isinstance(found, Missing) and bool(found)


def knows_the_age(dsn: str) -> bool:
    return collect(dsn).server.database_created_at is not None


def installs(dsn: str) -> bool:
    install.upgrade(dsn, "app")
    install.downgrade(dsn, "app")
    return True


def calls_functions(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return bool(connection.execute("select * from public.get_cache_stats()").fetchall())


PROOFS: dict[str, Callable[[str], bool]] = {
    "sizes, indexes": connects,
    "sessions": reads("sessions"),
    "statements": reads_statements,
    "settings": sees_hidden_settings,
    "column statistics": reads_column_statistics,
    "values of sequences": reads_sequences,
    "index advice": advises,
    "`--exact-bloat`": measures_bloat,
    "errors in the configuration files": reads("file_settings"),
    "the age of the database": knows_the_age,
    "subscriptions": reads("subscriptions"),
    "`install`": installs,
    "the installed functions": calls_functions,
}


def proof_of(line: Line, folder: Path) -> Callable[[str], bool]:
    """Return what shows whether the line's feature works."""
    if line.feature.startswith("`indexes --engine hypopg"):
        return lambda dsn: advises_there(dsn, folder)
    (proof,) = (p for name, p in PROOFS.items() if line.feature.startswith(name))
    return proof


def works(proof: Callable[[str], bool], dsn: str) -> bool:
    """Tell whether the feature works; a refusal may be an error that a user may see, or the server's."""
    try:
        return proof(dsn)
    except (Error, psycopg.errors.InsufficientPrivilege):
        return False


# Roles


@contextmanager
def role_with(server: Server, needs: tuple[Need, ...], *, installed: bool = False) -> Iterator[str]:
    """Yield the conninfo of a new role that has this and nothing else, in a new shop."""
    with server.database() as dsn:
        psql(dsn, SHOP)
        if installed:
            install.upgrade(dsn, "public")
        database = str(conninfo_to_dict(dsn)["dbname"])
        words = {"shop": sql.Identifier(database)}
        with server.role() as role, psycopg.connect(dsn, autocommit=True) as admin:
            words["db_analyze"] = sql.Identifier(role)
            _execute(admin, "REVOKE ALL ON DATABASE shop FROM public", words)
            for need in needs:
                _execute(admin, need.statement, words)
            # an index has to save more than filling the table with it would take
            for _ in range(200):
                admin.execute(WORK.encode())
            yield make_conninfo(dsn, user=role)
            _execute(admin, "DROP OWNED BY db_analyze", words)


def _execute(
    admin: psycopg.Connection[tuple[object, ...]], statement: str, words: dict[str, sql.Identifier]
) -> None:
    parts = re.split(r"\b(shop|db_analyze)\b", statement)
    admin.execute(sql.Composed([words.get(p) or sql.SQL(p) for p in parts]))


def offers(server: Server, line: Line) -> bool:
    """Tell whether the server has the extensions that the line creates, and the lab can copy it."""
    wanted = {
        n.statement.split()[-1] for n in line.needs if n.statement.startswith("CREATE EXTENSION")
    }
    if "the lab" in line.feature and server.version > dump.major():
        return False  # the lab copies no server that is newer than itself
    with psycopg.connect(server.dsn()) as connection:
        rows = connection.execute("select name from pg_available_extensions")
        return wanted <= {str(name) for (name,) in rows}


CONNECT = LINES[0].needs


def test_every_line_has_a_proof_and_every_proof_a_line(tmp_path: Path) -> None:
    for line in LINES:
        assert callable(proof_of(line, tmp_path))
    for name in PROOFS:
        assert any(line.feature.startswith(name) for line in LINES), name
    assert CONNECT[0].statement.startswith("GRANT CONNECT")


def needed(line: Line) -> list[pytest.MarkDecorator]:
    """Where a line can be tried: what it grants is there, and the lab copies the server."""
    newest = dump.major() if "the lab" in line.feature else MAJORS.stop
    marks = [pytest.mark.pg(f">= {n.majors.start}, < {n.majors.stop}") for n in line.needs]
    created = [n.statement.split()[-1] for n in line.needs if "CREATE EXTENSION" in n.statement]
    asked = [pytest.mark.pg(">= 13", extension=name) for name in created if name == "hypopg"]
    return [*marks, *asked, pytest.mark.pg(f"<= {newest}")]


@pytest.mark.slow
@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=needed(line), id=f"{line.feature[:30]}, {len(line.needs)}")
        for line in LINES
    ],
)
def test_a_line_is_enough_and_nothing_of_it_can_be_left_out(
    line: Line, every_pg: Server, tmp_path: Path
) -> None:
    if not line.fits(every_pg) or not offers(every_pg, line):
        pytest.skip("this server does not have what the line grants")
    proof = proof_of(line, tmp_path)
    more = () if line.needs == CONNECT else CONNECT
    installed = "installed" in line.feature
    with role_with(every_pg, (*more, *line.needs), installed=installed) as dsn:
        assert proof(dsn), f"{line.feature}: its line is not enough"
    for left_out in line.needs:
        rest = tuple(n for n in line.needs if n != left_out)
        with role_with(every_pg, (*more, *rest), installed=installed) as dsn:
            assert not works(proof, dsn), f"{line.feature}: {left_out.statement} is not needed"


def test_the_role_of_the_page_lacks_only_what_it_says(every_pg: Server) -> None:
    """The two GRANTs at the top are what most people will use."""
    script = PAGE.partition("```sql")[2].partition("```")[0]
    granted = re.findall(r"^GRANT \w+ TO db_analyze", script, re.MULTILINE)
    assert granted == ["GRANT pg_monitor TO db_analyze", "GRANT pg_read_all_data TO db_analyze"]
    if every_pg.version < 14:
        granted = granted[:1]
    needs = [Need(s, range(0)) for s in ("CREATE EXTENSION pg_stat_statements", *granted)]
    with role_with(every_pg, (*CONNECT, *needs)) as dsn:
        missing = set(lacking(collect(dsn)))
    older = {"column_statistics", "sequences:left-out", "subscriptions"}
    assert missing == {"file_settings"} | (older if every_pg.version < 14 else set())

"""What a report promises, and what is measured: ``python -m tests.bench.gains [--only WORD] [--write]``.

For each case, a copy of a skewed database gets a load. The report on it promises time or bytes; its remedies are run as
printed; the same load runs again, with other parameters drawn from the same data; and the difference is what was kept.
``--write`` puts the table into docs/benchmarks.md. PGWATCH_WED_PG_VERSIONS chooses the server: JIT requires a container.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo
from tabulate import tabulate

from pgwatch_wed import units
from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.findings import Finding
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from tests import servers
from tests.bench.gains.cases import CASES, Case
from tests.bench.gains.replay import replay

_HERE = Path(__file__).parent
_PAGE = _HERE.parents[2] / "docs" / "benchmarks.md"
_MARKS = "<!-- promised and measured -->\n"
_SEEDS = (0.11, 0.77)
_SHOP = "gains_shop"
_NOISE = 0.05
_TABLES = "from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
_SIZE = b"select sum(pg_total_relation_size(oid)) " + _TABLES.encode()
_REUSED = (
    b"select sum(pg_table_size(oid) - (select sum(avail) from pg_freespace(oid))) "
    + _TABLES.encode()
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger: milliseconds of the whole load, and bytes. None: nothing was promised."""

    name: str
    remedies: tuple[str, ...]
    grades: str
    before_ms: float
    after_ms: float
    promised_ms: float | None
    promised_bytes: int
    saved_bytes: int

    @property
    def saved_ms(self) -> float:
        """What was measured."""
        return self.before_ms - self.after_ms

    @property
    def verdict(self) -> str:
        """How the promise compares; what is within the noise of a measurement is kept."""
        if self.promised_ms is not None:
            return _verdict(self.promised_ms, self.saved_ms, _NOISE * self.before_ms)
        if self.promised_bytes:
            return _verdict(self.promised_bytes, self.saved_bytes, 0.0)
        return "no promise"


def _verdict(promised: float, measured: float, noise: float) -> str:
    if abs(measured - promised) <= max(noise, 0.2 * promised):
        return "kept"
    if measured > promised:
        return "exceeded"
    return "short" if measured >= promised / 2 else "missed"


def main() -> None:
    """Run the cases, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a pattern of case names")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    wanted = parser.parse_args()
    server = servers.start(servers.chosen()[-1])
    try:
        with _shop(server):
            cases = [c for c in CASES if re.search(wanted.only, c.name)]
            entries = [e for case in cases for e in _tried(server, case)]
    finally:
        server.stop()
    text = _page(entries, server)
    sys.stdout.write(text)
    if wanted.write:
        _write(text)


@contextmanager
def _shop(server: servers.Server) -> Iterator[None]:
    """Make the database that each case copies."""
    _execute(server.dsn(), f"create database {_SHOP}")
    _execute(server.dsn(_SHOP), (_HERE / "shop.sql").read_text(encoding="utf-8"), "vacuum analyze")
    try:
        yield
    finally:
        _execute(server.dsn(), f"drop database {_SHOP} with (force)")


def _execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _split(text: str) -> list[str]:
    return [part for each in text.split(";") if (part := each.strip())]


def _tried(server: servers.Server, case: Case) -> Iterator[Entry]:
    """Try one case; nothing if its rules find nothing, which is said on standard error."""
    name = "gains_case"
    _execute(server.dsn(), f"create database {name} template {_SHOP}")
    settings = [f"alter system set {each}" for each in _split(case.settings)]
    _execute(server.dsn(), *settings, "select pg_reload_conf()")
    try:
        for statement in _split(
            case.before
        ):  # each a session: its counters are then reported in order
            _execute(server.dsn(name), statement)
        entry = _entry(server.dsn(name), case)
    finally:
        _execute(server.dsn(), "alter system reset all", "select pg_reload_conf()")
        _execute(server.dsn(), f"alter role {_user(server)} reset all")
        _execute(server.dsn(), f"drop database {name} with (force)")
    sys.stderr.write(f"{case.name}: {entry}\n")
    if entry is not None:
        yield entry


def _user(server: servers.Server) -> str:
    return str(conninfo.conninfo_to_dict(server.dsn())["user"])


def _entry(dsn: str, case: Case) -> Entry | None:
    before = replay(dsn, case.loads, _SEEDS[0])
    findings = _findings(dsn, case)
    if not findings:
        return None
    held = _bytes(dsn, case)
    for finding in findings:
        for text in [case.instead] if case.instead else [step.sql for step in finding.remedy]:
            _execute(dsn, *_steps(text))
        if "Run ANALYZE" in " ".join(finding.caveats):
            _execute(dsn, "analyze")
    saved = held - _bytes(dsn, case)
    after = replay(dsn, case.loads, _SEEDS[1])
    gains = [f.impact.gain for f in findings if f.impact.gain is not None]
    return Entry(
        case.name,
        (case.instead,) if case.instead else tuple(_remedy(f) for f in findings),
        "".join(sorted({f.grade.value for f in findings})),
        sum(t.ms for t in before.values()),
        sum(t.ms for t in after.values()),
        sum(g.ms for g in gains) if gains else None,
        sum(f.impact.bytes or 0 for f in findings),
        saved,
    )


def _steps(text: str) -> list[str]:
    return [line for each in re.split(r";\s*$", text, flags=re.MULTILINE) if (line := each.strip())]


def _findings(dsn: str, case: Case) -> Sequence[Finding]:
    snapshots = gather(dsn, Wanted(), lambda _what, _share: None)
    found = analyse(snapshots, Config(window_days=0)).findings
    return [f for f in found if f.rule in case.rules and f.remedy]


def _bytes(dsn: str, case: Case) -> int:
    """Return what the relations take, or less of it: what new rows can reuse."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(_REUSED if case.measures_reuse else _SIZE).fetchone()
    return int(row[0]) if row else 0


def _remedy(finding: Finding) -> str:
    text = " ".join(finding.remedy[0].sql.split())
    text = re.sub(r"CREATE INDEX CONCURRENTLY \S+ ON public\.(\w+) USING (\w+) ", r"\1 \2 ", text)
    return text.replace(" btree ", " ").replace("public.", "").removesuffix(";")


def _page(entries: Sequence[Entry], server: servers.Server) -> str:
    rows = [_row(e) for e in entries]
    heads = ["load", "remedy", "grade", "before", "promised", "measured", "verdict"]
    counts = {
        v: sum(e.verdict == v for e in entries) for v in ("kept", "exceeded", "short", "missed")
    }
    said = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    table = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    return f"PostgreSQL {server.version}: {len(entries)} remedies, of which {said}.\n\n{table}\n"


def _row(e: Entry) -> list[str]:
    promised = [] if e.promised_ms is None else [f"−{e.promised_ms / e.before_ms:.0%}"]
    promised += [units.size(e.promised_bytes)] if e.promised_bytes and e.promised_ms is None else []
    measured = [f"−{e.saved_ms / e.before_ms:.0%}".replace("−-", "+")]
    measured += [units.size(e.saved_bytes)] if e.promised_bytes and e.promised_ms is None else []
    return [
        e.name,
        "; ".join(f"`{r}`" for r in e.remedies),
        e.grades,
        units.duration(e.before_ms),
        ", ".join(promised) or "nothing",
        ", ".join(measured),
        e.verdict,
    ]


def _write(text: str) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    before, _, after = page.split(_MARKS)
    _PAGE.write_text(f"{before}{_MARKS}{text}{_MARKS}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

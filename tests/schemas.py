"""Load other projects' schemas, empty, and show what the structural rules say of them.

    python -m tests.schemas FOLDER

Each ``*.sql`` of the folder gets a database of its own on an embedded server. What a finding says
of a schema that people run must stand up to its authors; this prints every one of them to be read.
The schemas are other people's and stay outside the repository.
"""

import sys
from collections import Counter
from pathlib import Path

import psycopg

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import Report
from pgwatch_wed.target.collect import collect

AREAS = ("index", "schema", "integrity")


def load(server: embedded.EmbeddedServer, name: str, script: Path) -> int:
    """Run a script as psql does, going on after errors; return how many tables came of it."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f'create database "{name}"'.encode())
    options = ["-X", "-q", "-v", "ON_ERROR_STOP=0", "-f", str(script)]
    server.run("psql", *options, dbname=name)
    with psycopg.connect(server.dsn(name)) as connection:
        row = connection.execute(
            "select count(*) from pg_class where relkind in ('r', 'p')"
            " and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        ).fetchone()
    return int(row[0]) if row else 0


def judge(server: embedded.EmbeddedServer, name: str) -> Report:
    """Judge one database by every rule about what its schema is, or what a fresh one shows."""
    return analyse([collect(server.dsn(name))], Config(only=AREAS))


def main(folder: Path) -> None:
    """Print the findings of every schema, and how often each rule spoke."""
    total: Counter[str] = Counter()
    with embedded.start() as server:
        for number, script in enumerate(sorted(folder.glob("*.sql"))):
            name = f"schema_{number}"
            tables = load(server, name, script)
            report = judge(server, name)
            print(f"\n## {script.stem}: {tables} tables, {len(report.findings)} findings")
            for finding in report.findings:
                total[finding.rule] += 1
                print(f"{finding.severity:8} {finding.rule:28} {finding.title}")
    print("\n" + "\n".join(f"{n:5} {rule}" for rule, n in total.most_common()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

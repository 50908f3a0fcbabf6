"""A script for psql, line by line: what is written into it, psql takes for nothing else."""

import re
from collections.abc import Iterable

from pgwatch_wed.quote import literal
from pgwatch_wed.remedies.resumable import ResumableStep, StepBlock, StepKind
from pgwatch_wed.render.characters import visible_line
from pgwatch_wed.sqltext.fragments import for_psql, terminated

_BREAK = re.compile(r"[\n\r]")
# An earlier setting of the role or the session must not cancel what takes its time.
_NO_TIMEOUTS = (
    "SELECT pg_catalog.format('SET %I = 0', name) FROM pg_catalog.pg_settings\n"
    "    WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout',"
    " 'idle_in_transaction_session_timeout')\n\\gexec"
)
_NEEDED = "pgwatch_wed_needed"


_CHECK = (
    "DECLARE server text; BEGIN"
    " BEGIN server := (SELECT system_identifier::text FROM pg_catalog.pg_control_system());"
    " EXCEPTION WHEN insufficient_privilege OR undefined_function THEN NULL; END;"
    " {checks} END"
)


def _refused(here: str, wanted: str, message: str) -> str:
    hint = "To run it on a copy, add -v anywhere=1."
    return (
        f"IF {here} <> {literal(wanted)} THEN RAISE EXCEPTION USING"
        f" MESSAGE = {literal(message)}, HINT = {literal(hint)}; END IF;"
    )


class PsqlScript:
    """Lines of a script that stops at the first error, and that can then be run again."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._database: str | None = None
        self._lock_timeout = ""

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    def comment(self, *texts: str) -> None:
        """Add comments of one line each."""
        self._lines += [f"-- {visible_line(' '.join(text.split()))}" for text in texts]

    def code_as_comment(self, sql: str) -> None:
        """Add SQL that is not to be run."""
        self._lines += [f"--     {visible_line(line)}" for line in sql.splitlines()]

    def gap(self) -> None:
        """Add an empty line."""
        self._lines.append("")

    def begin(self) -> None:
        """Add what makes psql stop at the first error, whatever the user's own settings are."""
        self._lines += [
            r"\set ON_ERROR_STOP on",
            r"\set ON_ERROR_ROLLBACK off",
            r"\set AUTOCOMMIT on",
            r"\encoding UTF8",
        ]

    def refuse_elsewhere(self, database: str | None, system_identifier: str | None) -> None:
        r"""Add what stops the script in another database, or on another server; an error, since ``\quit`` would be a success.

        None is for what does not matter, or is not known. A server whose identifier this role may not read is not refused.
        """
        checks = []
        if database is not None:
            named = f"this script is for database {visible_line(database)}"
            checks.append(_refused("pg_catalog.current_database()", database, named))
        if system_identifier is not None:
            checks.append(
                _refused("server", system_identifier, "this script is for another server")
            )
        if not checks:
            return
        check = _CHECK.format(checks=" ".join(checks))
        self._lines += [r"\if :{?anywhere}", r"\else", f"DO {literal(check)};", r"\endif"]

    def begin_session(self) -> None:
        """Add what a new session begins with."""
        self._lines.append(_NO_TIMEOUTS)
        self._lock_timeout = "0"

    def end(self) -> None:
        """Add what leaves the session as it was, if there was one before."""
        self._lines += [
            *(f"RESET {n};" for n in ("lock_timeout", "statement_timeout")),
            f"\\unset {_NEEDED}",
        ]

    def echo(self, text: str) -> None:
        """Add a line that tells how far the script is."""
        self._lines.append(f"\\echo {_argument(text)}")

    def connect(self, database: str) -> None:
        """Go to another database of the server; the name must be :func:`reachable`."""
        if database != self._database:
            self._lines.append(f"\\connect -reuse-previous=on {_conninfo(database)}")
            self._database = database
            self.begin_session()

    def reload(self) -> None:
        """Make the server read its configuration."""
        self._lines.append("SELECT pg_catalog.pg_reload_conf();")

    def block(self, block: StepBlock) -> None:
        """Add statements, those of a transaction between BEGIN and COMMIT."""
        self._wait(block.steps)
        self._lines += ["BEGIN;"] if block.is_transaction else []
        for step in block.steps:
            self._step(step)
        self._lines += ["COMMIT;"] if block.is_transaction else []

    def _wait(self, steps: Iterable[ResumableStep]) -> None:
        wanted = [s.lock_timeout for s in steps if s.kind is not StepKind.COMMENT]
        if wanted and wanted[0] != self._lock_timeout:
            self._lock_timeout = wanted[0]
            self._lines.append(f"SET lock_timeout = {literal(self._lock_timeout)};")

    def _step(self, step: ResumableStep) -> None:
        if step.kind is StepKind.COMMENT:
            self.comment(step.sql.removeprefix("--"))
            return
        if step.leftover:
            self.comment("what an interrupted build has left")
            self._lines += [step.leftover, "\\gexec"]
        if not step.sql:
            return
        sql = for_psql(terminated(step.sql))
        if not step.needed:
            self._lines.append(sql)
            return
        self._lines += [
            f"{step.needed} AS {_NEEDED}",
            "\\gset",
            f"\\if :{_NEEDED}",
            sql,
            "\\else",
            "    \\echo '    already done'",
            "\\endif",
        ]


def reachable(database: str) -> bool:
    r"""Tell whether psql's ``\connect`` can name a database: it ends with the line."""
    return _BREAK.search(database) is None


def _argument(text: str) -> str:
    """Quote an argument of a backslash command: nothing in it is replaced or run."""
    line = visible_line(" ".join(text.split()))
    return "'" + line.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _conninfo(database: str) -> str:
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    quoted = f"dbname='{value}'".replace('"', '""')
    return f'"{quoted}"'

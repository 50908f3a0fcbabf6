"""Add a server's own names to ``redaction/own.txt``: ``python -m tools.own_names CONNINFO…``.

Nothing is removed: a name that only older versions have still reveals nothing about a database.
"""

import sys
import textwrap
from collections.abc import Iterable

import psycopg

from pgwatch_wed.redaction import own

QUERY = """
    select 'function', proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace
    union select 'type', typname from pg_type
        where typnamespace = 'pg_catalog'::regnamespace and typrelid = 0 and typname !~ '^_'
    union select 'relation', relname from pg_class
        where relnamespace = any ('{pg_catalog,information_schema}'::regnamespace[])
            and relkind in ('r', 'v')
    union select 'opclass', opcname from pg_opclass where opcnamespace = 'pg_catalog'::regnamespace
    union select 'access_method', amname from pg_am
    union select 'extension', name from pg_available_extensions
    union select 'setting', name from pg_settings where name not like '%.%'
    union select 'configuration', cfgname from pg_ts_config
        where cfgnamespace = 'pg_catalog'::regnamespace
    order by 1, 2"""


def names(conninfo: str) -> list[tuple[str, str]]:
    """Return a server's own names by kind."""
    with psycopg.connect(conninfo) as connection:
        return [(kind, name) for kind, name in connection.execute(QUERY)]


def merged(added: Iterable[tuple[str, str]]) -> str:
    """Return the text of the file with added names."""
    sections = {kind: set(words) for kind, words in own.sections().items()}
    for kind, name in added:
        sections.setdefault(kind, set()).add(name)
    lines: list[str] = []
    for kind, words in sorted(sections.items()):
        wrapped = textwrap.wrap(
            " ".join(sorted(words)), 110, break_long_words=False, break_on_hyphens=False
        )
        lines += [f"[{kind}]", *wrapped]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = [pair for conninfo in sys.argv[1:] for pair in names(conninfo)]
    own.FILE.write_text(merged(found), encoding="utf-8")

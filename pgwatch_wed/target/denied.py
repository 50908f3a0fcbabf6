"""What a role lacks to run a query of ours: asked of the server, not guessed from its message."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pglast import ast
from psycopg import sql

from pgwatch_wed.facts import Cause, Missing, Server
from pgwatch_wed.postgres import privileges
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import trees
from pgwatch_wed.target import queries
from pgwatch_wed.target.session import Reader

_SYSTEM = "pg_catalog"


@dataclass(frozen=True, slots=True)
class _Used:
    """A relation or function that a query names; the number of arguments of a function."""

    schema: str
    relation: str | None = None
    function: str | None = None
    arguments: int | None = None


def explained(reader: Reader, fact: str, text: str, denied: Missing) -> Missing:
    """Return why a query was denied, with the GRANTs that allow it, or that the provider does not."""
    assert reader.server is not None
    grants = _lacking(reader, text)
    server = reader.server
    if server.provider and any(schema == _SYSTEM for _, schema in grants):
        reason = f"the provider, {server.provider}, does not allow it: {denied.said}"
        return Missing(reason, "", Cause.CLOSED, denied.said)
    mend = "\n".join(grant for grant, _ in grants) or _by_fact(fact, server)
    return replace(denied, mend=mend)


def _lacking(reader: Reader, text: str) -> tuple[tuple[str, str], ...]:
    used = sorted(set(_uses(text)), key=str)
    query = queries.composed(
        "target",
        "lacking",
        schemas=sql.Literal([u.schema for u in used]),
        relations=sql.Literal([u.relation for u in used]),
        functions=sql.Literal([u.function for u in used]),
        arguments=sql.Literal([u.arguments for u in used]),
    )
    rows = reader.run("lacking", query.as_bytes(None))
    return () if isinstance(rows, Missing) else tuple((grant, schema) for grant, schema, _ in rows)


def _uses(text: str) -> Iterator[_Used]:
    for node in trees.walk(trees.parse(text)):
        match node:
            case ast.RangeVar():
                yield _Used(node.schemaname or _SYSTEM, relation=node.relname)
            case ast.FuncCall():
                *schema, name = trees.names(node.funcname)
                arguments = len(node.args or ())
                yield _Used(schema[0] if schema else _SYSTEM, function=name, arguments=arguments)


def _by_fact(fact: str, server: Server) -> str:
    """Return the GRANT for what is allowed by column, or where a function itself asks for a role."""
    if fact == "subscriptions" and not server.features.has_readable_subscriptions():
        columns = "oid, subdbid, subname, subenabled"
        return f"GRANT SELECT ({columns}) ON pg_subscription TO {ident(server.role)};"
    return privileges.grant_stats(server)

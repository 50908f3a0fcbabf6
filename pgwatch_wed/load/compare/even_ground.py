"""Each block begins with clean tables: what autovacuum did by chance on one side would stay for all blocks after it."""

from contextlib import suppress

import psycopg
from psycopg import sql

from pgwatch_wed.errors import ConnectError
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.ground.server_answer import load_sql
from pgwatch_wed.load.load_model import Ground


def clean_up(ground: Ground) -> None:
    """Vacuum the tables of a database of our own; a server that does not answer is noticed by the block."""
    if ground.schema:
        return
    with suppress(psycopg.Error, ConnectError), connected(ground) as session:
        for schema, table in session.execute(load_sql("own_tables")).fetchall():
            try:
                session.execute(sql.SQL("vacuum {}").format(sql.Identifier(schema, table)))
            except psycopg.Error:
                if session.closed:
                    return

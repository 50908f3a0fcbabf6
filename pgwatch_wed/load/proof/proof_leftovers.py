"""What a proof that was killed has left in a database: put back at the next start of any load test there."""

import psycopg

from pgwatch_wed import units
from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.load.proof import undo_journal
from pgwatch_wed.whatif.proof import copies


def undone_leftovers(conninfo: str) -> tuple[str, ...]:
    """Undo what a proof has left, unless one is at work there; return notes about it, for people."""
    with copies.connected(conninfo) as connection:
        try:
            if not undo_journal.stands(connection):
                return ()
            if not copies.reserve(connection):
                return ("a proof is at work in this database; what it has changed was left alone",)
            undone = undo_journal.recover(connection)
        except CollectError as error:
            return (str(error),)
        except psycopg.Error as error:
            return (f"whether a proof has left something could not be told: {said(error)}",)
    return (f"{units.count(undone, 'change')} of a proof that was ended by force: undone",)

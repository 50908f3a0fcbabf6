"""Slow statements as a person reads them in psql: a few rounded columns and short texts."""

from pgwatch_wed.install import remove, restore, run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make version 2, which has other columns."""
    remove("get_slow_queries")
    run("get_slow_queries", 2)


def downgrade() -> None:
    """Go back to version 1."""
    remove("get_slow_queries")
    restore("get_slow_queries", 1)

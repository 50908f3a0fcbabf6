"""All columns of pg_stat_statements, under a name of their own."""

from pgwatch_wed.install import remove, run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make version 1."""
    run("get_statement_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_statement_stats")

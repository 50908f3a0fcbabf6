"""Tables: sizes, rows, scans and the distance to autovacuum."""

from pgwatch_wed.install import remove, run

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make version 1."""
    run("get_table_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_table_stats")

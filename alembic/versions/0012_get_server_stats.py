"""Metrics of statements without those of tools; texts in PostgreSQL's words."""

from pgwatch_wed.install import restore, run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make version 2."""
    run("get_server_stats", 2)


def downgrade() -> None:
    """Go back to version 1."""
    restore("get_server_stats", 1)

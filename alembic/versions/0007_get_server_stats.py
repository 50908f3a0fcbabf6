"""Metrics of the server and the database."""

from pgwatch_wed.install import remove, run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make version 1."""
    run("get_server_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_server_stats")

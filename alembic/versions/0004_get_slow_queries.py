"""Statements whose mean time is at or above a threshold."""

from pgwatch_wed.install import remove, run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make version 1."""
    run("get_slow_queries", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_slow_queries")
